# SPDX-License-Identifier: Apache-2.0
"""The head of an HTTP message taken apart for display. Nothing is refused: it is shown as it was."""

from collections.abc import Iterator
from dataclasses import dataclass

from otel_qtap.objectstore.reader import StoredRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """Text may hold surrogate escapes where bytes are not UTF-8."""

    start_line: str
    fields: tuple[tuple[str, str], ...]

    def first(self, name: str) -> str:
        """The first value of a field; empty where it is absent."""
        return next((value for key, value in self.fields if key.lower() == name.lower()), "")


def head_of(record: StoredRecord) -> Head | None:
    """The head of a stored HTTP message; None for a message of another protocol or without a head."""
    if not record.fields.get("content-type", "").lower().startswith("application/http"):
        return None
    block, body_offset = record.block, int(record.fields["qtap-body-offset"])
    ends = [end + len(mark) for mark in (b"\r\n\r\n", b"\n\n") if (end := block.find(mark)) >= 0]
    raw = block[: min([*ends, body_offset if not ends else len(block)])]
    if not raw:
        return None
    start_line, *lines = raw.decode("utf-8", "surrogateescape").rstrip("\r\n").split("\n")
    return Head(start_line=start_line.removesuffix("\r"), fields=tuple(_fields(lines)))


def trailer_of(record: StoredRecord) -> str:
    """What follows the body in the block, without the framing of chunks."""
    end = int(record.fields["qtap-body-offset"]) + int(record.fields["qtap-body-length"])
    rest = record.block[end:].removeprefix(b"\r\n").removeprefix(b"0\r\n")
    return rest.decode("utf-8", "surrogateescape").strip("\r\n")


def parameters(value: str) -> tuple[str, dict[str, str]]:
    """A media type in lower case, and its parameters: ``text/plain; charset="utf-8"``."""
    media_type, *rest = value.split(";")
    found: dict[str, str] = {}
    for item in rest:
        name, equals, content = item.partition("=")
        if equals:
            found.setdefault(name.strip().lower(), content.strip().strip('"'))
    return media_type.strip().lower(), found


def _fields(lines: list[str]) -> Iterator[tuple[str, str]]:
    for line in lines:
        name, _, value = line.removesuffix("\r").partition(":")
        yield name, value.strip(" \t")
