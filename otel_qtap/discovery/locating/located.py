# SPDX-License-Identifier: Apache-2.0
"""What a locator is asked and what it answers."""

from collections.abc import Callable
from typing import NamedTuple

from otel_qtap.discovery.elf import ElfFile, Function
from otel_qtap.discovery.plan import ProbeSite, Refusal
from otel_qtap.probes.spec import UNKNOWN_LAYOUT, ObjectLayout, ProbeFunction, TlsLibrary


class Located(NamedTuple):
    """What of a library is in a file. Neither ``functions`` nor ``sites``: it cannot be captured there."""

    functions: tuple[tuple[Function, ProbeFunction], ...] = ()
    """What to probe; where in the function, ``discovery.sites`` proves."""
    sites: tuple[ProbeSite, ...] = ()
    """Places that the locator proved itself, because no rule for C functions holds there."""
    layout: ObjectLayout = UNKNOWN_LAYOUT
    refusals: tuple[Refusal, ...] = ()
    """What is not probed and why, in words for the user. What is not certain is refused, not guessed."""
    release: str = ""
    """Of the library, where the file tells it in a way of the library's own."""


def refused(library: TlsLibrary, reason: str, *, is_elsewhere: bool = False) -> Located:
    """The answer for a file in which this library cannot be captured."""
    return Located(refusals=(Refusal(library.name, reason, is_elsewhere),))


Locator = Callable[[ElfFile, TlsLibrary, bool], Located]
"""Finds a library's functions in a file.

The last argument asks for the public functions only, as other tracers probe them. Raises ElfError when
the file cannot be read. Runs in a confined process of its own (``analysis_process``), so it may load the
disassembler.
"""
