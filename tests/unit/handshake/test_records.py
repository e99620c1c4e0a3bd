# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.handshake.records import Message, handshake_messages
from tests.support.tls_wire import message, record

HELLO = message(1, b"hello")
CERTIFICATE = message(11, b"certificate")
DONE = message(14, b"")


def test_messages_share_a_record_or_have_their_own() -> None:
    expected = [Message(1, b"hello", True), Message(11, b"certificate", True), Message(14, b"", True)]
    assert handshake_messages(record(HELLO + CERTIFICATE + DONE)) == expected
    assert handshake_messages(record(HELLO) + record(CERTIFICATE) + record(DONE)) == expected


def test_a_message_goes_over_several_records() -> None:
    assert handshake_messages(record(HELLO[:3]) + record(HELLO[3:])) == [Message(1, b"hello", True)]


def test_a_message_stands_without_its_record_s_header() -> None:
    assert handshake_messages(HELLO + DONE) == [Message(1, b"hello", True), Message(14, b"", True)]


def test_what_is_encrypted_is_left_alone() -> None:
    change_cipher, secret = record(b"\1", kind=20), record(HELLO)
    assert handshake_messages(record(HELLO) + change_cipher + secret) == [Message(1, b"hello", True)]
    assert handshake_messages(record(HELLO) + record(b"secret", kind=23)) == [Message(1, b"hello", True)]


@pytest.mark.parametrize("cut", range(len(record(HELLO))))
def test_a_record_is_cut_off_anywhere(cut: int) -> None:
    found = handshake_messages(record(HELLO)[:cut])
    assert found == ([] if cut < 9 else [Message(1, b"hello"[: cut - 9], False)])


def test_empty_records_end_it() -> None:
    assert handshake_messages(record(b"") * 1000 + record(HELLO)) == []


def test_of_messages_without_end_the_first_are_read() -> None:
    assert handshake_messages(b"\x0b\0\0\0" * 4000) == [Message(11, b"", whole=True)] * 32
