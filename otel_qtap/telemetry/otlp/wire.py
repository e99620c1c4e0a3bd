# SPDX-License-Identifier: Apache-2.0
"""The protocol buffer wire format, as far as OTLP needs it (protobuf.dev, Encoding)."""

from collections.abc import Iterator

_LENGTH_DELIMITED = 2
_FIXED64 = 1
_FIXED32 = 5


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


SMALL_VARINTS = tuple(_varint(number) for number in range(2048))
"""Varints of the lengths that attributes, links and most spans have: a look-up instead of a loop."""


def varint(number: int) -> bytes:
    """Encode a non-negative integer of at most 64 bits."""
    if number < 2048:
        return SMALL_VARINTS[number]
    # Offsets and sizes: written out, because the loop costs three times as much.
    if number < 1 << 14:
        return bytes((number & 0x7F | 0x80, number >> 7))
    if number < 1 << 21:
        return bytes((number & 0x7F | 0x80, number >> 7 & 0x7F | 0x80, number >> 14))
    return _varint(number)


def utf8(text: str) -> bytes:
    """Encode text; a lone surrogate (undecodable bytes of a path or of the wire) becomes a question mark."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def delimited(tag: bytes, body: bytes) -> bytes:
    """Encode a length-delimited field: its tag, the body's length, the body."""
    return b"%b%b%b" % (tag, varint(len(body)), body)


def read_varint(message: bytes, position: int) -> tuple[int, int]:
    """Read a varint at ``position``; return it and the position behind it.

    Raises:
        ValueError: the message ends within the varint, or the varint is longer than 64 bits.
    """
    number = 0
    for shift in range(0, 70, 7):
        if position >= len(message):
            raise ValueError("message ends within a varint")
        byte = message[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise ValueError("varint longer than 64 bits")


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """Yield (field number, value) of each field in order; length-delimited and fixed values as bytes.

    Raises:
        ValueError: ``message`` is no protocol buffer message.
    """
    position = 0
    while position < len(message):
        key, position = read_varint(message, position)
        number, wire_type = key >> 3, key & 7
        if wire_type == 0:
            value, position = read_varint(message, position)
            yield number, value
            continue
        if wire_type == _LENGTH_DELIMITED:
            size, position = read_varint(message, position)
        elif wire_type == _FIXED64:
            size = 8
        elif wire_type == _FIXED32:
            size = 4
        else:
            raise ValueError(f"unknown wire type {wire_type}")
        end = position + size
        if end > len(message):
            raise ValueError("message ends within a field")
        yield number, message[position:end]
        position = end
