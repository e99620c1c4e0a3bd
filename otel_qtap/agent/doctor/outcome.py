# SPDX-License-Identifier: Apache-2.0
"""What one check found."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum


class Status(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    """The agent runs, but does less or costs more than it could."""
    FAIL = "fail"
    """The agent does not start, or what it captures does not arrive."""
    SKIP = "skip"
    """Not looked at, and the summary says why."""


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do, and the flags of a container engine that do it, if any do."""

    text: str
    flags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """``summary`` is one line; ``detail`` may have more; ``remedy`` says what to do, also by ``flags``.

    ``data`` has what ``detail`` says in a form for programs.
    """

    status: Status
    summary: str
    detail: str = ""
    remedy: str = ""
    flags: tuple[str, ...] = ()
    data: Mapping[str, object] | None = None


def ok(summary: str, *, detail: str = "", data: Mapping[str, object] | None = None) -> Outcome:
    """All is well."""
    return Outcome(Status.OK, summary, detail, data=data)


def warn(
    summary: str, *, remedy: str | Remedy, detail: str = "", data: Mapping[str, object] | None = None
) -> Outcome:
    """Less than it could be."""
    return replace(_with(Status.WARN, summary, detail, remedy), data=data)


def fail(summary: str, *, remedy: str | Remedy, detail: str = "") -> Outcome:
    """Not good enough."""
    return _with(Status.FAIL, summary, detail, remedy)


def skip(summary: str) -> Outcome:
    """Not looked at."""
    return Outcome(Status.SKIP, summary)


def _with(status: Status, summary: str, detail: str, remedy: str | Remedy) -> Outcome:
    if isinstance(remedy, str):
        remedy = Remedy(remedy)
    return Outcome(status, summary, detail, remedy.text, remedy.flags)
