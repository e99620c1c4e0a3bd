# SPDX-License-Identifier: Apache-2.0
"""Runs checks in order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from otel_qtap.agent.doctor.host import Host, NotConfiguredError
from otel_qtap.agent.doctor.outcome import Outcome, Status, fail, skip
from otel_qtap.agent.doctor.report import Report, Result, Severity


@dataclass(frozen=True, slots=True)
class Check:
    """One thing to look at. It is skipped when a check that it ``needs`` has not ended well."""

    id: str
    severity: Severity
    look: Callable[[Host], Outcome]
    needs: tuple[str, ...] = ()


def examine(checks: Sequence[Check], host: Host) -> Report:
    """Run all ``checks``. Never raises: a check that does has failed."""
    results: list[Result] = []
    unmet: set[str] = set()
    for check in checks:
        missing = [needed for needed in check.needs if needed in unmet]
        outcome = skip(f"needs {missing[0]}") if missing else _look(check, host)
        if outcome.status in (Status.FAIL, Status.SKIP):
            unmet.add(check.id)
        results.append(Result(check.id, check.severity, outcome))
    return Report(tuple(results))


def _look(check: Check, host: Host) -> Outcome:
    try:
        return check.look(host)
    except NotConfiguredError:
        return skip("needs settings, and they were refused")
    except Exception as error:  # the doctor reports on broken machines
        return fail(
            f"the check itself failed: {type(error).__name__}: {error}",
            remedy="Report this as a defect of otel-qtap, with the output of `otel-qtap doctor --json`.",
        )
