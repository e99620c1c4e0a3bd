# SPDX-License-Identifier: Apache-2.0
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host, Status, capture
from otel_qtap.settings import load_settings


def interpreter(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def test_an_interpreter_without_bcc(make_host: Callable[..., Host], tmp_path: Path) -> None:
    python = interpreter(
        tmp_path / "python", "echo \"ModuleNotFoundError: No module named 'bcc'\" >&2; exit 1"
    )
    outcome = capture.bcc(make_host(OTEL_QTAP_CAPTURE_PYTHON=python))
    assert outcome.status is Status.FAIL
    assert python in outcome.summary
    assert "No module named 'bcc'" in outcome.detail
    assert "python3-bpfcc" in outcome.remedy


def test_an_interpreter_that_is_not_there(make_host: Callable[..., Host], tmp_path: Path) -> None:
    outcome = capture.bcc(make_host(OTEL_QTAP_CAPTURE_PYTHON=str(tmp_path / "absent")))
    assert outcome.status is Status.FAIL
    assert "cannot start" in outcome.summary


def test_bcc_of_an_interpreter_that_has_it(make_host: Callable[..., Host], tmp_path: Path) -> None:
    python = interpreter(tmp_path / "python", "echo 0.26.0")
    outcome = capture.bcc(make_host(OTEL_QTAP_CAPTURE_PYTHON=python))
    assert (outcome.status, outcome.summary) == (Status.OK, f"bcc 0.26.0 in {python}")


def open_descriptors() -> set[str]:
    return {entry.name for entry in Path("/proc/self/fd").iterdir()}


@pytest.mark.bpf
def test_the_programs_load_here_and_nothing_is_left_open() -> None:
    before = open_descriptors()
    outcome = capture.programs(Host(configuration=load_settings({})))
    assert outcome.status is Status.OK, outcome
    assert open_descriptors() == before


@pytest.mark.bpf
def test_programs_that_do_not_load(tmp_path: Path) -> None:
    # This interpreter is in a virtual environment, where there is no bcc.
    python = interpreter(tmp_path / "python", f'exec {sys.executable} "$@"')
    outcome = capture.programs(Host(configuration=load_settings({"OTEL_QTAP_CAPTURE_PYTHON": python})))
    assert outcome.status is Status.FAIL
    assert "bcc" in outcome.summary
