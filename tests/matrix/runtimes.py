# SPDX-License-Identifier: Apache-2.0
"""Real runtimes and clients to run programs with: from the distribution, or fetched once and cached."""

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.cache import cached_build, fingerprint, run_build_step

PROGRAMS = Path(__file__).parent / "programs"


def installed(name: str) -> str:
    """Path of a program of the distribution."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        pytest.fail(f"{name} is not installed: `make testtools` brings it")
    return path


def wheels(*requirements: str) -> Mapping[str, str]:
    """Environment in which the tests' Python has these pinned packages."""

    def build(directory: Path) -> None:
        command = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--quiet",
            "--no-compile",
            "--only-binary",
            ":all:",
        ]
        run_build_step(*command, "--target", str(directory), *requirements, cwd=directory)

    name = requirements[0].partition("==")[0].partition("[")[0]
    return {"PYTHONPATH": str(cached_build(f"wheels-{name}", fingerprint(*requirements), build))}


def python(program: str, *arguments: str) -> Sequence[str]:
    """Command line of one of the programs, by the tests' own Python."""
    return [sys.executable, str(PROGRAMS / program), *arguments]
