# SPDX-License-Identifier: Apache-2.0
"""Which of the conversations that go on are missed."""

import struct
from collections import Counter
from collections.abc import Iterable

import pytest

from otel_qtap.agent.coverage.lasting import LASTING_NS, missed_now
from otel_qtap.capture.records import HELLO, SocketHello, Speaker

PID = 7
CALLED = 1000
LATER = CALLED + 1
MISSED = SocketHello(LATER, b"r" * 16, PID, 40000, 443, 1, 0, 0, 1, 0, 1)


def count(
    hello: SocketHello,
    *,
    called: int = CALLED,
    now: int = LATER + LASTING_NS,
    unbound: Iterable[tuple[bytes, bytes]] = (),
) -> Counter[int]:
    speakers = {PID: Speaker(1, called, 9, 0, 0, 0)}
    return missed_now([(bytes(8), HELLO.pack(*hello))] * 2, speakers, now, unbound=unbound)


def test_conversations_of_which_no_plaintext_was_seen_are_missed() -> None:
    assert count(MISSED) == {PID: 2}


@pytest.mark.parametrize(
    "hello",
    [
        MISSED._replace(asked=0),
        MISSED._replace(captured=1),
        MISSED._replace(relayed=1),
        MISSED._replace(tgid=0),
        MISSED._replace(tgid=PID + 1),
        MISSED._replace(seen_ns=CALLED),
    ],
    ids=["handshake", "captured", "relayed", "only the answer", "another's", "before the first call"],
)
def test_others_are_not(hello: SocketHello) -> None:
    assert count(hello) == {}


def test_what_has_just_begun_may_be_captured_yet() -> None:
    assert count(MISSED, now=LATER + LASTING_NS - 1) == {}


@pytest.mark.parametrize(
    ("process", "told", "missed"), [(PID, LATER + 1, 0), (PID, LATER, 2), (PID + 1, LATER, 2)]
)
def test_plaintext_that_is_bound_to_no_socket_may_be_of_any(process: int, told: int, missed: int) -> None:
    hello = MISSED._replace(seen_ns=LATER + 10**9)
    unbound = [(struct.pack("<I", process), struct.pack("<Q", told))]
    assert count(hello, now=LATER + 2 * LASTING_NS, unbound=unbound)[PID] == missed


def test_where_nothing_was_called_nothing_is_missed() -> None:
    assert count(MISSED, called=0) == {}
