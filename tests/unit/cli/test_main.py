# SPDX-License-Identifier: Apache-2.0
"""The command as a shell sees it: exit codes, and what goes where."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import otel_qtap
from otel_qtap.cli import config
from otel_qtap.cli.main import COMMANDS, main
from otel_qtap.errors import CaptureError, PrivilegeError, QtapError, SettingsError

COMMAND = Path(sys.executable).parent / "otel-qtap"


def otel_qtap_command(*arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OTEL_")}
    return subprocess.run(
        [COMMAND, *arguments],
        env={**clean, **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_version() -> None:
    done = otel_qtap_command("--version")

    assert (done.returncode, done.stdout) == (0, f"otel-qtap {otel_qtap.__version__}\n")


def test_help_teaches_commands_examples_and_exit_codes() -> None:
    done = otel_qtap_command("--help")

    assert done.returncode == 0
    for command in COMMANDS:
        assert f"    {command} " in done.stdout
    for line in (
        "0  done",
        "1  failed at run time",
        "2  bad usage or configuration",
        "3  missing privilege or kernel feature",
    ):
        assert line in done.stdout
    assert "examples:" in done.stdout


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str) -> None:
    done = otel_qtap_command(command, "--help")

    assert done.returncode == 0
    assert done.stdout.startswith(f"usage: otel-qtap {command}")


@pytest.mark.parametrize("arguments", [(), ("fly",), ("config", "--nonsense"), ("record",)])
def test_bad_usage_exits_with_2(arguments: tuple[str, ...]) -> None:
    done = otel_qtap_command(*arguments)

    assert (done.returncode, done.stdout) == (2, "")
    assert "usage: otel-qtap" in done.stderr


def test_bad_configuration_exits_with_2_and_no_traceback() -> None:
    done = otel_qtap_command("run", OTEL_QTAP_OBJECTS_URL="ftp://hunter2")

    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("otel-qtap: OTEL_QTAP_OBJECTS_URL wants ")
    assert "hunter2" not in done.stderr
    assert "\033" not in done.stderr


def test_module_is_the_command() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "otel_qtap", "--version"],
        cwd=Path(otel_qtap.__file__).parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.stdout == f"otel-qtap {otel_qtap.__version__}\n"


@pytest.mark.parametrize(
    ("error", "code"),
    [(SettingsError("x"), 2), (PrivilegeError("x"), 3), (CaptureError("x"), 1), (QtapError("x"), 1)],
)
def test_expected_errors_end_with_their_message_and_code(
    error: QtapError, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "run", raising(error))

    assert main(["config"]) == code
    assert capsys.readouterr().err == "otel-qtap: x\n"


def test_a_message_may_have_lines_but_nothing_that_a_terminal_obeys(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "run", raising(QtapError("/tmp/\x1b[2J\x85 is in the way\nremove it")))

    assert main(["config"]) == 1
    assert capsys.readouterr().err == ("otel-qtap: /tmp/\\x1b[2J\\x85 is in the way\notel-qtap: remove it\n")


def test_an_unexpected_error_shows_its_type_and_place_but_not_its_text(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "run", raising(ValueError("hunter2")))

    assert main(["config"]) == 1
    complaint = capsys.readouterr().err
    assert "unexpected ValueError at test_main.py:" in complaint
    assert "hunter2" not in complaint


def test_a_reader_that_leaves_is_no_traceback() -> None:
    done = subprocess.run(
        f"{COMMAND} config | true", shell=True, capture_output=True, text=True, check=False, timeout=60
    )

    assert done.stderr == ""


def raising(error: Exception) -> object:
    def run(arguments: object) -> int:
        raise error

    return run
