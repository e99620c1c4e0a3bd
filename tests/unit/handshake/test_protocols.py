# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.handshake.protocols import protocol_label, read_protocols
from tests.support.tls_wire import alpn


def test_names_are_read_in_order() -> None:
    assert read_protocols(alpn(b"h2", b"http/1.1")[1]) == (b"h2", b"http/1.1")


@pytest.mark.parametrize("content", [b"", b"\0", b"\0\3\2h2", b"\0\4\2h2\7"])
def test_what_is_cut_off_gives_the_names_before(content: bytes) -> None:
    assert read_protocols(content) in {(), (b"h2",)}


@pytest.mark.parametrize(
    ("name", "label"), [(b"h2", "h2"), (b"\x0a\x0a", "0x0a0a"), (b"\xffx", "0xff78"), (b"a\nb", "0x610a62")]
)
def test_a_name_that_is_no_text_is_shown_in_digits(name: bytes, label: str) -> None:
    assert protocol_label(name) == label


def test_a_long_name_is_cut_and_says_so() -> None:
    assert protocol_label(b"n" * 64) == "n" * 64
    assert protocol_label(b"n" * 65) == "n" * 63 + "…"
    assert protocol_label(b"\0" * 255) == "0x" + "0" * 61 + "…"
