# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from otel_qtap.agent.doctor import Outcome, Report, Result, Status
from otel_qtap.agent.doctor.outcome import Remedy, fail, ok, skip, warn
from otel_qtap.agent.doctor.report import Severity

BAD = fail("broken", remedy="mend it")


def report(*results: tuple[Severity, Outcome]) -> Report:
    return Report(tuple(Result(f"group.{i}", severity, one) for i, (severity, one) in enumerate(results)))


@pytest.mark.parametrize(
    ("results", "verdict", "code"),
    [
        ([(Severity.PRIVILEGE, ok("fine"))], Status.OK, 0),
        ([(Severity.PRIVILEGE, skip("unknown"))], Status.OK, 0),
        ([(Severity.PRIVILEGE, warn("slow", remedy=""))], Status.WARN, 0),
        ([(Severity.DELIVERY, BAD)], Status.FAIL, 1),
        ([(Severity.DELIVERY, BAD), (Severity.PRIVILEGE, BAD)], Status.FAIL, 3),
        ([(Severity.PRIVILEGE, BAD), (Severity.CONFIGURATION, BAD)], Status.FAIL, 2),
    ],
)
def test_verdict_and_exit_code(results: list[tuple[Severity, Outcome]], verdict: Status, code: int) -> None:
    subject = report(*results)
    assert (subject.verdict, subject.exit_code) == (verdict, code)


def test_conclusion_names_what_decides() -> None:
    assert report((Severity.DELIVERY, ok("fine"))).conclusion == "otel-qtap can run here."
    slow = warn("slow", remedy="")
    assert report((Severity.DELIVERY, slow)).conclusion == "otel-qtap can run here, with 1 warning."
    conclusion = report((Severity.DELIVERY, BAD), (Severity.PRIVILEGE, BAD)).conclusion
    assert "cannot capture" in conclusion
    assert "group.1" in conclusion
    assert "group.0" not in conclusion


def test_json_form() -> None:
    subject = report(
        (Severity.DELIVERY, fail("broken", detail="a\nb", remedy=Remedy("mend it", ("--pid=host",))))
    )
    assert json.loads(json.dumps(subject.as_json())) == {
        "version": 1,
        "verdict": "fail",
        "checks": [
            {
                "id": "group.0",
                "status": "fail",
                "summary": "broken",
                "detail": "a\nb",
                "remedy": "mend it",
                "flags": ["--pid=host"],
            }
        ],
        "flags": ["--pid=host"],
    }


def test_each_flag_is_told_once() -> None:
    lacking = [fail("", remedy=Remedy("", flags)) for flags in (("--a", "--b"), ("--b", "--c"))]
    assert report(*((Severity.DELIVERY, outcome) for outcome in lacking)).flags == ("--a", "--b", "--c")
