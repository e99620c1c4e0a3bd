# SPDX-License-Identifier: Apache-2.0
"""Attributes as KeyValue fragments (opentelemetry/proto/common/v1/common.proto).

Most attributes of most spans repeat: a method, a port, a host. Each (key, value) pair is encoded
once and its bytes, framed for the message that carries it, are looked up from then on.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Final

from otel_qtap.model.exchange import AttributeValue
from otel_qtap.telemetry.otlp.wire import SMALL_VARINTS, delimited, utf8, varint

SPAN_ATTRIBUTES: Final = b"\x4a"
"""Tag of Span.attributes; below, of the same field elsewhere."""
LINK_ATTRIBUTES: Final = b"\x22"
LOG_ATTRIBUTES: Final = b"\x32"
RESOURCE_ATTRIBUTES: Final = b"\x0a"

_CACHED_FRAGMENTS = 8192
_CACHED_LENGTH = 128
_CACHED_BYTES = 512

_DOUBLE = Struct("<d")
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1


def _any_value(value: AttributeValue, value_length: int | None) -> bytes:
    kind = type(value)
    if isinstance(value, str):
        encoded = utf8(value if value_length is None else value[:value_length])
        return b"\x0a%b%b" % (varint(len(encoded)), encoded)
    if kind is bool:
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not _INT64_MIN <= value <= _INT64_MAX:  # OTLP has no wider integer
            return _any_value(str(value), value_length)
        return b"\x18" + varint(value & 0xFFFF_FFFF_FFFF_FFFF)
    if isinstance(value, float):
        return b"\x21" + _DOUBLE.pack(value)
    items = [_any_value(item, value_length) for item in value]
    body = b"".join([b"\x0a%b%b" % (varint(len(item)), item) for item in items])
    return b"\x2a%b%b" % (varint(len(body)), body)


class AttributeEncoder:
    """Encodes attributes of one kind of message; ``tag`` is that of the field which holds them."""

    __slots__ = ("_booleans", "_fragments", "_heads", "_tag", "value_length")

    def __init__(self, tag: bytes, *, value_length: int | None = None) -> None:
        self._tag = tag
        # Strings, integers and arrays as they stand in a dict's items, so that a look-up makes nothing.
        self._fragments: dict[tuple[str, AttributeValue], bytes] = {}
        # Apart, because 1 and True are one key of a dict.
        self._booleans: dict[tuple[str, bool], bytes] = {}
        self._heads: dict[str, bytes] = {}
        self.value_length = value_length

    def fragment(self, key: str, value: AttributeValue) -> bytes:
        """Return the framed KeyValue; strings longer than the limit are cut."""
        if isinstance(value, (bool, float)):
            return self._other_fragment(key, value)
        cached = self._fragments.get((key, value))
        if cached is not None:
            return cached
        framed = self._framed(key, value)
        # Longer strings (URIs, queries) seldom repeat: keeping them would only push out what does.
        if isinstance(value, int) or (len(value) <= _CACHED_LENGTH and len(framed) <= _CACHED_BYTES):
            if len(self._fragments) >= _CACHED_FRAGMENTS:
                self._fragments.clear()
            self._fragments[key, value] = framed
        return framed

    def fragments(self, attributes: Mapping[str, AttributeValue]) -> list[bytes]:
        """Return the framed KeyValue of each attribute, in order.

        The values of one key must be of one type, as conventions demand: a key that had 1 and now has
        True would get what was remembered for 1.
        """
        get, fragment = self._fragments.get, self.fragment
        return [get(item) or fragment(*item) for item in attributes.items()]

    def _other_fragment(self, key: str, value: float) -> bytes:
        if isinstance(value, float):  # rare, and 0.0 equals -0.0
            return self._framed(key, value)
        cached = self._booleans.get((key, value))
        if cached is None:
            if len(self._booleans) >= _CACHED_FRAGMENTS:
                self._booleans.clear()
            cached = self._booleans[key, value] = self._framed(key, value)
        return cached

    def _framed(self, key: str, value: AttributeValue) -> bytes:
        head = self._heads.get(key)
        if head is None:
            if len(self._heads) >= _CACHED_FRAGMENTS:
                self._heads.clear()
            head = self._heads[key] = delimited(b"\x0a", utf8(key))
        any_value = _any_value(value, self.value_length)
        return delimited(self._tag, b"%b\x12%b%b" % (head, varint(len(any_value)), any_value))


class VaryingAttribute:
    """One key whose values seldom repeat: what stands before a value depends only on its length.

    Returns KeyValue messages with their length and without a tag, so that the same bytes do for a
    span (``SPAN_ATTRIBUTES +``) and its link (``LINK_ATTRIBUTES +``).
    """

    __slots__ = ("_key", "_number_heads", "_text_heads", "_value_length")

    def __init__(self, key: str, *, value_length: int | None = None) -> None:
        self._key = delimited(b"\x0a", utf8(key))
        self._value_length = value_length
        self._text_heads: dict[int, bytes] = {}
        self._number_heads = [self._head(b"\x18", size) for size in range(11)]

    def text(self, text: str) -> bytes:
        """Encode a string; one longer than the limit is cut."""
        if self._value_length is not None:
            text = text[: self._value_length]
        encoded = text.encode() if text.isascii() else utf8(text)
        size = len(encoded)
        head = self._text_heads.get(size)
        if head is None:
            if len(self._text_heads) >= _CACHED_FRAGMENTS:
                self._text_heads.clear()
            head = self._text_heads[size] = self._head(b"\x0a" + varint(size), size)
        return head + encoded

    def number(self, number: int) -> bytes:
        """Encode a non-negative integer of at most 63 bits."""
        encoded = SMALL_VARINTS[number] if number < 2048 else varint(number)
        return self._number_heads[len(encoded)] + encoded

    def _head(self, before: bytes, size: int) -> bytes:
        """All of a KeyValue that precedes ``size`` bytes of its value; ``before`` is within the AnyValue."""
        length = len(before) + size
        head = b"%b\x12%b%b" % (self._key, varint(length), before)
        return varint(len(head) + size) + head
