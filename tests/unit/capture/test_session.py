# SPDX-License-Identifier: Apache-2.0
"""Loaders that fail in every way, started for real; whatever they do, the answer is a CaptureError."""

import os
import stat
from pathlib import Path

import pytest

from otel_qtap.capture.session import Loading, bpf_directory
from otel_qtap.errors import CaptureError

TALKATIVE = """#!/usr/bin/python3
import socket, sys
connection = socket.socket(fileno=int(sys.argv[3]))
connection.recv(65536)
sys.stderr.write("verifier: " * 100_000 + "R1 is no pointer")
sys.stderr.flush()
connection.send(b'{"error": "refused"}')
"""
SHELL = "#!/bin/sh\n"


def interpreter(directory: Path, script: str) -> str:
    """A program in the place of the loader's interpreter; its third argument is the socket."""
    path = directory / "interpreter"
    path.write_text(script)
    path.chmod(stat.S_IRWXU)
    return str(path)


def loading(program: str) -> Loading:
    return Loading(interpreter=program, offsets=lambda: {"OFF_X": 8}, attach="multi", data_ring_bytes=1 << 20)


def test_an_interpreter_that_is_not_there_is_named_with_its_variable() -> None:
    with pytest.raises(CaptureError, match=r"cannot start /no/python: .*OTEL_QTAP_CAPTURE_PYTHON"):
        loading("/no/python")


@pytest.mark.parametrize(
    "script",
    ["exit 4", "cat <&$3 >/dev/null & exit 4", "exec 3<&-; exit 4", "echo broken >&2; exit 4"],
)
def test_a_loader_that_ends_early_is_an_error_with_its_exit_code(tmp_path: Path, script: str) -> None:
    started = loading(interpreter(tmp_path, f"{SHELL}{script}"))

    with pytest.raises(CaptureError, match=r"could not be loaded by .*: exit code 4"):
        started.result()


def test_what_the_loader_said_is_told(tmp_path: Path) -> None:
    started = loading(interpreter(tmp_path, f"{SHELL}echo no module named bcc >&2; exit 1"))

    with pytest.raises(CaptureError, match="no module named bcc"):
        started.result()


def test_a_flood_of_diagnostics_blocks_nobody_and_its_end_is_told(tmp_path: Path) -> None:
    with pytest.raises(CaptureError, match="refused") as raised:
        loading(interpreter(tmp_path, TALKATIVE)).result()

    assert "R1 is no pointer" in str(raised.value)
    assert len(str(raised.value)) < 4000


def test_an_answer_without_programs_is_an_error(tmp_path: Path) -> None:
    script = TALKATIVE.replace('{"error": "refused"}', "{}")

    with pytest.raises(CaptureError, match="exit code 0"):
        loading(interpreter(tmp_path, script)).result()


def test_failures_leave_no_descriptor_and_no_zombie(tmp_path: Path) -> None:
    def held() -> int:
        return len(os.listdir("/proc/self/fd"))  # noqa: PTH208

    program = interpreter(tmp_path, f"{SHELL}exit 1")
    before = held()
    for _ in range(3):
        with pytest.raises(CaptureError):
            loading(program).result()
        with pytest.raises(CaptureError):
            loading("/no/python")

    assert held() == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_the_sources_are_where_the_loader_is_told() -> None:
    assert (bpf_directory() / "qtap.c").is_file()
    assert (bpf_directory() / "kernel").is_dir()


def test_what_a_loader_says_though_all_is_well_is_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    script = TALKATIVE.replace('"verifier: " * 100_000 + "R1 is no pointer"', '"an old kernel\\nbut fine"')
    script = script.replace('{"error": "refused"}', '{"programs": [], "maps": []}')
    session = loading(interpreter(tmp_path, script)).result()

    assert session.programs == {}
    assert caplog.messages == ["the loader said: an old kernel", "the loader said: but fine"]
