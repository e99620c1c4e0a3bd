# SPDX-License-Identifier: Apache-2.0
"""Content codings (RFC 9110, 8.4.1) undone, however little a body says of what it inflates to."""

import zlib
from collections.abc import Iterator
from importlib import import_module
from typing import NamedTuple

from otel_qtap.errors import StoreError

_CHUNK_BYTES = 16 * 1024
"""Fed at a time. What follows a member is copied, so it is small: a body may consist of tiny members."""


class Decoded(NamedTuple):
    """A body without its content codings; not ``complete`` where it was cut at the limit."""

    content: bytes
    complete: bool


def decode(codings: str, body: bytes, limit: int) -> Decoded:
    """Undo ``codings`` (a Content-Encoding field's value), the last one first, to at most ``limit`` bytes.

    What a cut-off body holds is given out as far as it goes. Raises StoreError for a coding that is
    unknown, needs a package that is absent, or that the body is not in.
    """
    complete = True
    for coding in reversed([name.strip() for name in codings.lower().split(",")]):
        if coding in ("", "identity"):
            continue
        body = b"".join(_pieces(coding, body, limit + 1))
        complete = complete and len(body) <= limit
    return Decoded(body[:limit], complete and len(body) <= limit)


def _pieces(coding: str, body: bytes, room: int) -> Iterator[bytes]:
    """The decoded body in pieces of at most ``room`` bytes altogether."""
    try:
        match coding:
            case "gzip" | "x-gzip":
                yield from _inflate(body, 31, room)
            case "deflate":
                # zlib's format, though some senders leave its wrapper out.
                yield from _inflate(body, 15 if body[:1] and body[0] & 0x0F == 8 else -15, room)
            case "br":
                yield from _brotli(body, room)
            case "zstd":
                decompressor = import_module("zstandard").ZstdDecompressor()
                with decompressor.stream_reader(body, read_across_frames=True) as reader:
                    yield reader.read(room)
            case _:
                raise StoreError(f"unknown content coding {coding}", retryable=False)
    except ImportError as error:
        raise StoreError(
            f"the content coding {coding} needs the Python package {error.name}, which is not installed: "
            "pip install 'otel-qtap[codings]'",
            retryable=False,
        ) from error
    except StoreError:
        raise
    except Exception as error:
        raise StoreError(f"the body is not valid {coding}", retryable=False) from error


def _inflate(body: bytes, window_bits: int, room: int) -> Iterator[bytes]:
    """All members of a body, one behind the other."""
    decompressor = zlib.decompressobj(window_bits)
    for start in range(0, len(body), _CHUNK_BYTES):
        data = body[start : start + _CHUNK_BYTES]
        while data:
            if decompressor.eof:
                decompressor = zlib.decompressobj(window_bits)
            piece = decompressor.decompress(data, room)
            yield piece
            room -= len(piece)
            if room <= 0:
                return
            data = decompressor.unused_data if decompressor.eof else b""


def _brotli(body: bytes, room: int) -> Iterator[bytes]:
    decompressor = import_module("brotli").Decompressor()
    for start in range(0, len(body), _CHUNK_BYTES):
        data = body[start : start + _CHUNK_BYTES]
        while data or not decompressor.can_accept_more_data():
            piece = decompressor.process(data, output_buffer_limit=room)
            yield piece
            room -= len(piece)
            if room <= 0:
                return
            data = b""
