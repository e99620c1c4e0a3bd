# SPDX-License-Identifier: Apache-2.0
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import CHECKS, Report, Result
from otel_qtap.agent.doctor.outcome import Remedy, fail, ok
from otel_qtap.agent.doctor.report import Severity
from otel_qtap.cli.doctor import render
from tests.support.otlp_sink import running_sink

ROOT = Path(__file__).parents[3]
UNPRIVILEGED = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def doctor(
    *arguments: str, wrapper: tuple[str, ...] = (), **variables: str
) -> "subprocess.CompletedProcess[str]":
    environ = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [*wrapper, sys.executable, "-m", "otel_qtap", "doctor", *arguments],
        cwd=ROOT,
        env=environ | variables,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


REPORT = Report(
    (
        Result("kernel.btf", Severity.PRIVILEGE, fail("absent", detail="one\ntwo", remedy="build it in")),
        Result("kernel.uprobe_multi", Severity.PRIVILEGE, ok("supported")),
        Result("host.cgroups", Severity.PRIVILEGE, ok("version 2")),
    )
)


def test_text_is_grouped_and_aligned() -> None:
    assert render(REPORT, coloured=False, columns=200).splitlines() == [
        "Kernel",
        "  fail  btf           absent",
        "                      one",
        "                      two",
        "                      → build it in",
        "  ok    uprobe multi  supported",
        "",
        "Host",
        "  ok    cgroups       version 2",
        "",
        "otel-qtap cannot capture here: a privilege or kernel feature is missing (kernel.btf).",
    ]


def test_long_lines_are_wrapped_below_where_they_began() -> None:
    remedy = "one two three four five six seven eight nine"
    report = Report((Result("a.b", Severity.DELIVERY, fail("bad", remedy=remedy)),))
    assert render(report, coloured=False, columns=40).splitlines()[1:4] == [
        "  fail  b  bad",
        "           → one two three four five six",
        "             seven eight nine",
    ]


def test_all_flags_stand_together_before_the_verdict() -> None:
    flags = (("--pid=host",), ("--pid=host", "--cap-add=BPF"))
    lacking = [fail("absent", remedy=Remedy("add it", each)) for each in flags]
    report = Report(tuple(Result("a.b", Severity.PRIVILEGE, outcome) for outcome in lacking))
    *_, together, blank, verdict = render(report, coloured=False, columns=200).splitlines()
    assert together == "All flags that the container lacks: --pid=host --cap-add=BPF"
    assert blank == ""
    assert "cannot capture" in verdict


def test_colour_only_where_it_is_asked_for() -> None:
    assert "\033[31mfail\033[0m" in render(REPORT, coloured=True, columns=80)
    assert "\033" not in render(REPORT, coloured=False, columns=80)


def test_no_text_reaches_the_terminal_as_a_command() -> None:
    strange = "\x1b[2J\x07\x7f\x9b31m\x85 ok"
    outcome = fail(strange, detail=f"{strange}\n\x0c{strange}", remedy=strange)
    report = Report((Result("a.b", Severity.DELIVERY, outcome),))
    lines = render(report, coloured=False, columns=200).split("\n")
    assert len(lines) == len(("A", "summary", "detail", "detail", "remedy", "", "verdict"))
    assert all(line.isprintable() for line in lines)
    assert json.loads(json.dumps(report.as_json()))["checks"][0]["summary"] == strange


@pytest.mark.bpf
def test_all_is_well_here(tmp_path: Path) -> None:
    with running_sink() as sink:
        done = doctor(
            "--json",
            OTEL_EXPORTER_OTLP_ENDPOINT=sink.endpoint,
            OTEL_QTAP_OBJECTS_URL=f"file://{tmp_path}/objects",
            OTEL_QTAP_STATE_DIRECTORY=f"{tmp_path}/state",
            OTEL_QTAP_OBJECTS_MAX_DISK_BYTES="1MiB",
            OTEL_QTAP_HEALTH_ADDRESS="127.0.0.1:0",
        )
    found = json.loads(done.stdout)
    assert [check["id"] for check in found["checks"]] == [check.id for check in CHECKS]
    assert [check for check in found["checks"] if check["status"] == "fail"] == []
    assert found["verdict"] in ("ok", "warn")
    assert done.returncode == 0
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.bpf
def test_a_user_without_privileges_gets_3_and_what_to_do() -> None:
    done = doctor(wrapper=UNPRIVILEGED)
    assert done.returncode == 3
    assert "missing: CAP_BPF" in done.stdout
    assert "sudo" in done.stdout
    assert "\033" not in done.stdout


def test_refused_settings_give_2_and_the_rest_is_examined_all_the_same() -> None:
    done = doctor("--json", OTEL_QTAP_HEALTH_ADDRESS="nonsense")
    assert done.returncode == 2
    checks = {check["id"]: check for check in json.loads(done.stdout)["checks"]}
    assert "OTEL_QTAP_HEALTH_ADDRESS" in checks["configuration.settings"]["summary"]
    assert checks["collector.traces"]["status"] == "skip"
    assert checks["kernel.release"]["status"] == "ok"
