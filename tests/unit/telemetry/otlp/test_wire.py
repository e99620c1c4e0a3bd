# SPDX-License-Identifier: Apache-2.0
import pytest
from google.protobuf.wrappers_pb2 import UInt64Value
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import KeyValue

from otel_qtap.telemetry.otlp.wire import delimited, fields, read_varint, utf8, varint

WIDTHS = st.integers(0, 63).flatmap(lambda bits: st.integers(0, (2 << bits) - 1))


@given(WIDTHS)
def test_varint_is_what_protobuf_writes(number):
    expected = UInt64Value(value=number).SerializeToString()[1:] or b"\x00"
    assert varint(number) == expected


@given(WIDTHS)
def test_varint_reads_back(number):
    assert read_varint(b"\xff" + varint(number) + b"rest", 1) == (number, 1 + len(varint(number)))


def test_fields_reads_every_wire_type():
    message = b"\x08\x96\x01" + b"\x12\x02hi" + b"\x19" + b"12345678" + b"\x25" + b"1234"
    assert list(fields(message)) == [(1, 150), (2, b"hi"), (3, b"12345678"), (4, b"1234")]


@given(st.binary(max_size=40))
def test_any_bytes_are_read_or_refused(message):
    try:
        for number, value in fields(message):
            assert number >= 0
            assert isinstance(value, int | bytes)
    except ValueError:
        pass


@pytest.mark.parametrize("message", [b"\x80", b"\x0a\x05abc", b"\x09123", b"\x0b", b"\x80" * 11])
def test_broken_messages_are_refused(message):
    with pytest.raises(ValueError, match=r"ends within|longer|unknown"):
        list(fields(message))


def test_delimited_is_a_field():
    assert KeyValue.FromString(delimited(b"\x0a", b"name" * 100)).key == "name" * 100


def test_undecodable_text_becomes_question_marks():
    assert utf8("caf\udce9") == b"caf?"
