# SPDX-License-Identifier: Apache-2.0
"""A real containerd is asked in tests/containers; here are servers that are none."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from otel_qtap.discovery.containers.answer import Query
from otel_qtap.discovery.containers.cri import Cri

ID = "a" * 64


class Handler(grpc.GenericRpcHandler):
    """Answers every call with the same bytes; None: refuses it."""

    def __init__(self) -> None:
        self.answer: bytes | None = b""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler | None:
        answer = self.answer
        if answer is None:
            return None
        return grpc.unary_unary_rpc_method_handler(lambda _request, _context: answer)


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "cri.sock")


@pytest.fixture
def handler(path: str) -> Iterator[Handler]:
    handler = Handler()
    server = grpc.server(ThreadPoolExecutor(1), handlers=[handler])
    server.add_insecure_port(f"unix:{path}")
    server.start()
    yield handler
    server.stop(None)


def ask(path: str) -> object:
    return Cri(path, seconds=1, labels=()).ask(Query(ID))


def test_an_unknown_container_is_unknown(path: str, handler: Handler) -> None:
    assert ask(path) is None


def test_another_container_than_was_asked_for_is_not_taken_for_it(path: str, handler: Handler) -> None:
    other = b"\x0a\x40" + b"b" * 64
    handler.answer = b"\x0a" + bytes((len(other),)) + other
    assert ask(path) is None


def test_a_refusal_is_named_without_the_servers_words(path: str, handler: Handler) -> None:
    handler.answer = None
    with pytest.raises(OSError, match="UNIMPLEMENTED"):
        ask(path)


def test_bytes_that_are_no_message_are_an_error(path: str, handler: Handler) -> None:
    handler.answer = b"\xff\xff\xff"
    with pytest.raises(OSError, match="INTERNAL"):
        ask(path)


def test_nobody_there_is_an_error_in_time(path: str) -> None:
    with pytest.raises(OSError, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"):
        ask(path)


def test_one_that_hangs_is_an_error_in_time(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        with pytest.raises(OSError, match=r"DEADLINE_EXCEEDED|UNAVAILABLE"):
            ask(path)
