# SPDX-License-Identifier: Apache-2.0
import hashlib

import pytest

from otel_qtap.handshake.server_hello import ServerHello, read_server_hello
from tests.support.tls_wire import alpn, numbers, server_hello

TLS_1_3 = server_hello(
    [(51, numbers([0x1D]) + b"\0\2xy"), (43, numbers([0x0304])), (41, b"\0\0")],
    cipher=0x1302,
    session_id=b"echo",
)
TLS_1_2 = server_hello([(0xFF01, b"\0"), alpn(b"http/1.1")])


def test_the_extension_has_the_version_of_tls_1_3() -> None:
    assert read_server_hello(TLS_1_3) == ServerHello(
        legacy_version=0x0303,
        version=0x0304,
        session_id=b"echo",
        cipher=0x1302,
        extensions=(51, 43, 41),
        group=0x1D,
        has_pre_shared_key=True,
        whole=True,
    )


def test_a_server_of_tls_1_2_tells_the_protocol_that_it_chose() -> None:
    assert read_server_hello(TLS_1_2) == ServerHello(
        legacy_version=0x0303,
        version=0x0303,
        cipher=0xC02F,
        extensions=(0xFF01, 16),
        protocols=(b"http/1.1",),
        whole=True,
    )


def test_old_servers_send_no_extensions() -> None:
    assert read_server_hello(server_hello(version=0x0300)).whole


def test_a_request_to_try_again_is_known_by_its_random() -> None:
    retry = hashlib.sha256(b"HelloRetryRequest").digest()
    assert read_server_hello(server_hello(random=retry)).is_retry
    assert not read_server_hello(TLS_1_3).is_retry


@pytest.mark.parametrize("cut", range(len(TLS_1_3)))
def test_it_is_cut_off_anywhere(cut: int) -> None:
    hello, whole = read_server_hello(TLS_1_3[:cut], whole=False), read_server_hello(TLS_1_3)
    assert not hello.whole
    assert hello.cipher in {None, whole.cipher}
    assert whole.extensions[: len(hello.extensions)] == hello.extensions
