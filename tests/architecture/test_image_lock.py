# SPDX-License-Identifier: Apache-2.0
"""The image gets the Python packages that pyproject.toml asks for, each at one version."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = ("s3", "grpc", "codings")
WANTED = {
    "requirements.txt": [
        *PROJECT["project"]["dependencies"],
        *(wanted for extra in EXTRAS for wanted in PROJECT["project"]["optional-dependencies"][extra]),
    ],
    "build-requirements.txt": PROJECT["build-system"]["requires"],
}


@pytest.mark.parametrize("name", WANTED)
def test_lock_satisfies_the_project(name: str) -> None:
    lines = (ROOT / "docker" / name).read_text().splitlines()
    locked = [Requirement(line.rstrip("\\ ")) for line in lines if line and line[0] not in "# "]
    versions = {entry.name: next(iter(entry.specifier)).version for entry in locked}
    for wanted in map(Requirement, WANTED[name]):
        assert wanted.name in versions, f"{wanted.name} is not in docker/{name}: run `make lock`"
        assert wanted.specifier.contains(versions[wanted.name]), f"run `make lock`: {wanted}"


@pytest.mark.parametrize("name", WANTED)
def test_every_hash_is_one(name: str) -> None:
    lines = [line for line in (ROOT / "docker" / name).read_text().splitlines() if "--hash" in line]
    assert lines
    assert [line for line in lines if not re.fullmatch(r" +--hash=sha256:[0-9a-f]{64}( \\)?", line)] == []
