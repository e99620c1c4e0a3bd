# SPDX-License-Identifier: Apache-2.0
"""The answers of an analysis: data that is also kept on disk, so no disassembler is needed to read it."""

from enum import StrEnum
from typing import NamedTuple


class SiteKind(StrEnum):
    """What was proven of a site (``discovery.sites`` says how)."""

    PAIR = "pair"
    """Entry and return probe cost half a microsecond each; the stack pointer is that of the entry."""
    ENTRY = "entry"
    """An entry probe is cheap; the stack pointer may have moved."""
    CLASSIC = "classic"
    """The first byte of the function: right, and about 10 µs a hit."""


class ProbeSite(NamedTuple):
    """One place to attach at: an entry probe and, if ``needs_return``, a return probe as well."""

    function: str
    cookie: int
    file_offset: int
    needs_return: bool
    kind: SiteKind
    instruction: str
    code: str
    """The instruction's bytes in hex: compared again before a remembered site is used."""
    reason: str
    """Why the site is not cheap; empty when it is."""


class RoleField(NamedTuple):
    """``offset`` of a u32 in the TLS object: 0 client, else server.

    ``type_offset``: when not None, a u32 there must be 0, or the object is no TLS connection.
    """

    offset: int
    type_offset: int | None


class Refusal(NamedTuple):
    """A function that is not probed, and why."""

    function: str
    reason: str


class Analysis(NamedTuple):
    """All that was found out about one file."""

    sites: tuple[ProbeSite, ...]
    role: RoleField | None
    refusals: tuple[Refusal, ...]
