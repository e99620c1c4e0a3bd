# SPDX-License-Identifier: Apache-2.0
"""What one check found."""

from dataclasses import dataclass
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
class Outcome:
    """``summary`` is one line; ``detail`` may have more; ``remedy`` says what to do."""

    status: Status
    summary: str
    detail: str = ""
    remedy: str = ""


def ok(summary: str, *, detail: str = "") -> Outcome:
    """All is well."""
    return Outcome(Status.OK, summary, detail)


def warn(summary: str, *, remedy: str, detail: str = "") -> Outcome:
    """Less than it could be."""
    return Outcome(Status.WARN, summary, detail, remedy)


def fail(summary: str, *, remedy: str, detail: str = "") -> Outcome:
    """Not good enough."""
    return Outcome(Status.FAIL, summary, detail, remedy)


def skip(summary: str) -> Outcome:
    """Not looked at."""
    return Outcome(Status.SKIP, summary)
