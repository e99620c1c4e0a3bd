# SPDX-License-Identifier: Apache-2.0
"""Builds that outlive a test run and a checkout, keyed by name and version.

They live under ``${XDG_CACHE_HOME:-~/.cache}/otel-qtap-tests``. A build is made once, under a file
lock, in a scratch directory which is renamed into place when it is whole: a run that is
interrupted leaves nothing that looks finished.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from otel_qtap.capture.bytecode_cache import BytecodeCache


class BuildError(Exception):
    """A command of a build failed; the message ends with what it printed."""


def cache_root() -> Path:
    """The directory of all cached builds, made if absent."""
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    root = Path(base) / "otel-qtap-tests"
    root.mkdir(parents=True, exist_ok=True)
    return root


def fingerprint(*texts: str) -> str:
    """Twelve hex digits that change when any of the texts does; for the version of a build."""
    digest = hashlib.sha256()
    for text in texts:
        digest.update(text.encode())
        digest.update(b"\0")
    return digest.hexdigest()[:12]


def cached_build(name: str, version: str, build: Callable[[Path], None]) -> Path:
    """The directory that holds the named build; ``build(directory)`` fills it when it is absent."""
    root = cache_root()
    final = root / f"{name}-{version}"
    with _exclusive(root / f".{name}-{version}.lock"):
        if not final.is_dir():
            scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root))
            try:
                build(scratch)
                scratch.rename(final)
            except BaseException:
                shutil.rmtree(scratch, ignore_errors=True)
                raise
    return final


def run_build_step(
    *command: str,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    may_fail: bool = False,
    seconds: float = 900,
) -> None:
    """Run one command of a build with ``env`` added to the environment."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
        check=False,
    )
    if done.returncode != 0 and not may_fail:
        raise BuildError(f"{' '.join(command)} exited {done.returncode}:\n{done.stdout[-4000:]}")


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def compiled_programs(kernel: str) -> BytecodeCache:
    """What was compiled for a kernel of ``old_kernel``, so that not every test compiles it."""
    directory = cache_root() / f"bytecode-{kernel}"
    directory.mkdir(mode=0o700, exist_ok=True)
    return BytecodeCache(directory)
