# SPDX-License-Identifier: Apache-2.0
from otel_qtap.agent.doctor import CHECKS, Host, Outcome, Status, examine
from otel_qtap.agent.doctor.examination import Check
from otel_qtap.agent.doctor.outcome import fail, ok, skip, warn
from otel_qtap.agent.doctor.report import Severity

HOST = Host(configuration="refused")


def check(id: str, outcome: Outcome, *needs: str) -> Check:
    return Check(id, Severity.DELIVERY, lambda host: outcome, needs)


def statuses(*checks: Check) -> list[Status]:
    return [result.outcome.status for result in examine(checks, HOST).results]


def test_what_rests_on_a_failure_is_skipped_and_so_on() -> None:
    found = statuses(
        check("a", fail("broken", remedy="mend it")),
        check("b", ok("fine"), "a"),
        check("c", ok("fine"), "b"),
        check("d", ok("fine")),
        check("e", ok("fine"), "d"),
    )
    assert found == [Status.FAIL, Status.SKIP, Status.SKIP, Status.OK, Status.OK]


def test_a_warning_is_good_enough_to_go_on_and_a_skip_is_not() -> None:
    assert statuses(check("a", warn("slow", remedy="")), check("b", ok("fine"), "a"))[1] is Status.OK
    assert statuses(check("a", skip("unknown")), check("b", ok("fine"), "a"))[1] is Status.SKIP


def test_a_check_that_raises_has_failed_and_the_others_run() -> None:
    def broken(host: Host) -> Outcome:
        raise RuntimeError("boom")

    first, second = examine([Check("a", Severity.DELIVERY, broken), check("b", ok("fine"))], HOST).results
    assert first.outcome.status is Status.FAIL
    assert "RuntimeError: boom" in first.outcome.summary
    assert second.outcome.status is Status.OK


def test_a_check_that_needs_refused_settings_is_skipped() -> None:
    (result,) = examine(
        [Check("a", Severity.DELIVERY, lambda host: ok(host.settings.objects.url))], HOST
    ).results
    assert result.outcome.status is Status.SKIP


def test_ids_are_distinct_and_needs_point_back() -> None:
    seen: set[str] = set()
    for one in CHECKS:
        assert one.id not in seen
        assert set(one.needs) <= seen, one.id
        seen.add(one.id)
        assert one.id.count(".") == 1
