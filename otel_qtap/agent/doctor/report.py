# SPDX-License-Identifier: Apache-2.0
"""All results of an examination."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from otel_qtap.agent.doctor.outcome import Outcome, Status

SCHEMA_VERSION: Final = 1
"""Of the JSON form. Fields may be added; one that changes its meaning or goes raises it."""


class Severity(IntEnum):
    """Exit code that a failed check asks for. Of several the worst counts: 2, then 3, then 1."""

    DELIVERY = 1
    """The agent starts, and what it captures does not arrive; or a part of it is not installed."""
    CONFIGURATION = 2
    """The agent refuses to start: a setting is wrong."""
    PRIVILEGE = 3
    """A privilege or a kernel feature is missing."""


_WORST_FIRST = (Severity.CONFIGURATION, Severity.PRIVILEGE, Severity.DELIVERY)


@dataclass(frozen=True, slots=True)
class Result:
    """What the check called ``id`` (``group.name``) found."""

    id: str
    severity: Severity
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Report:
    """The results, in the order of the checks."""

    results: tuple[Result, ...]

    def with_status(self, status: Status) -> tuple[Result, ...]:
        """The results that ended so."""
        return tuple(result for result in self.results if result.outcome.status is status)

    @property
    def verdict(self) -> Status:
        """``fail`` when any check failed, else ``warn`` when any warned, else ``ok``."""
        return next((s for s in (Status.FAIL, Status.WARN) if self.with_status(s)), Status.OK)

    @property
    def flags(self) -> tuple[str, ...]:
        """All that this container's engine should be told in addition, each once."""
        return tuple(dict.fromkeys(flag for result in self.results for flag in result.outcome.flags))

    @property
    def exit_code(self) -> int:
        """0 when the agent can run (warnings allowed); else that of the worst failure."""
        failed = {result.severity for result in self.with_status(Status.FAIL)}
        return next((int(severity) for severity in _WORST_FIRST if severity in failed), 0)

    @property
    def conclusion(self) -> str:
        """The verdict in one sentence."""
        failed = self.with_status(Status.FAIL)
        names = ", ".join(result.id for result in failed if result.severity == self.exit_code)
        warnings = len(self.with_status(Status.WARN))
        also = f", with {warnings} warning{'s' if warnings > 1 else ''}" if warnings else ""
        match self.exit_code:
            case 0:
                return f"otel-qtap can run here{also}."
            case Severity.CONFIGURATION:
                return f"otel-qtap refuses to start with this configuration ({names})."
            case Severity.PRIVILEGE:
                return f"otel-qtap cannot capture here: a privilege or kernel feature is missing ({names})."
        return f"otel-qtap is not ready here ({names})."

    def as_json(self) -> dict[str, object]:
        """A stable form: version, verdict, checks with id, status, summary, detail, remedy, flags, data."""
        return {
            "version": SCHEMA_VERSION,
            "verdict": str(self.verdict),
            "checks": [
                {
                    "id": result.id,
                    "status": str(result.outcome.status),
                    "summary": result.outcome.summary,
                    "detail": result.outcome.detail,
                    "remedy": result.outcome.remedy,
                    "flags": list(result.outcome.flags),
                    **({} if result.outcome.data is None else {"data": dict(result.outcome.data)}),
                }
                for result in self.results
            ],
            "flags": list(self.flags),
        }
