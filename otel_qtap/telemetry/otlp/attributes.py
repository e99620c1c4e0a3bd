# SPDX-License-Identifier: Apache-2.0
"""Attributes as KeyValue fragments (opentelemetry/proto/common/v1/common.proto).

Most attributes of most spans repeat: a method, a port, a host. Each (key, value) pair is encoded
once and its bytes, framed for the message that carries it, are looked up from then on.
"""

from collections.abc import Mapping
from struct import Struct
from typing import Final

from otel_qtap.model.exchange import AttributeValue
from otel_qtap.telemetry.otlp.wire import SMALL_VARINTS, utf8, varint

SPAN_ATTRIBUTES: Final = b"\x4a"
"""Tag of Span.attributes; below, of the same field elsewhere."""
LINK_ATTRIBUTES: Final = b"\x22"
LOG_ATTRIBUTES: Final = b"\x32"
RESOURCE_ATTRIBUTES: Final = b"\x0a"

_CACHED_FRAGMENTS = 8192
_CACHED_LENGTH = 128
"""Longer strings (URIs, queries) seldom repeat: caching them would only push out what does."""

_DOUBLE = Struct("<d")
_INT64_MIN, _INT64_MAX = -(1 << 63), (1 << 63) - 1


def string_value(text: str) -> bytes:
    """Encode KeyValue.value with a string in it: the part of a fragment that follows its key."""
    encoded = utf8(text)
    size = len(encoded)
    if size < 0x7D:  # the usual case: every length below fits one byte
        return b"\x12%c\x0a%c%b" % (size + 2, size, encoded)
    length = varint(size)
    return b"\x12%b\x0a%b%b" % (varint(size + 1 + len(length)), length, encoded)


def number_value(number: int) -> bytes:
    """Encode KeyValue.value with a non-negative integer in it."""
    encoded = varint(number)
    return b"\x12%c\x18%b" % (len(encoded) + 1, encoded)


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

    __slots__ = ("_fragments", "_keys", "_tag", "value_length")

    def __init__(self, tag: bytes, *, value_length: int | None = None) -> None:
        self._tag = tag
        self._fragments: dict[tuple[object, ...], bytes] = {}
        self._keys: dict[str, bytes] = {}
        self.value_length = value_length

    def fragment(self, key: str, value: AttributeValue) -> bytes:
        """Return the framed KeyValue; strings longer than the limit are cut."""
        # 1, 1.0 and True are equal as keys of a dict, so the type of all but strings is part of it.
        cache_key = (key, value) if type(value) is str else (key, value, type(value))
        cached = self._fragments.get(cache_key)
        if cached is not None:
            return cached
        any_value = _any_value(value, self.value_length)
        framed = self.framed(key, b"\x12%b%b" % (varint(len(any_value)), any_value))
        # 0.0 and -0.0 are equal too: floats, which are rare, are not kept.
        if not isinstance(value, float) and (not isinstance(value, str) or len(value) <= _CACHED_LENGTH):
            if len(self._fragments) >= _CACHED_FRAGMENTS:
                self._fragments.clear()
            self._fragments[cache_key] = framed
        return framed

    def framed(self, key: str, value: bytes) -> bytes:
        """Return the framed KeyValue of what ``string_value`` or ``number_value`` made.

        For values that are used several times or not worth remembering.
        """
        head = self._keys.get(key)
        if head is None:
            encoded = utf8(key)
            head = self._keys[key] = b"\x0a%b%b" % (varint(len(encoded)), encoded)
            if len(self._keys) > _CACHED_FRAGMENTS:
                self._keys.clear()
        size = len(head) + len(value)
        length = SMALL_VARINTS[size] if size < 2048 else varint(size)
        return b"%b%b%b%b" % (self._tag, length, head, value)

    def fragments(self, attributes: Mapping[str, AttributeValue]) -> list[bytes]:
        """Return the framed KeyValue of each attribute, in order."""
        found: list[bytes] = []
        append = found.append
        get = self._fragments.get
        for key, value in attributes.items():
            cached = get((key, value) if type(value) is str else (key, value, type(value)))
            append(self.fragment(key, value) if cached is None else cached)
        return found
