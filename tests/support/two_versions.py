# SPDX-License-Identifier: Apache-2.0
"""``programs/two_versions.c``: a program with functions to probe, and the one that is copied over it."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_SOURCE = Path(__file__).parent / "programs" / "two_versions.c"


class TwoVersions:
    """A program that can be overwritten in place."""

    def __init__(self, directory: Path) -> None:
        self.path = directory / "service"
        self._versions = [directory / f"service-{release}" for release in (1, 2)]
        for release, version in enumerate(self._versions, start=1):
            subprocess.run(["gcc", "-O1", f"-DRELEASE={release}", "-o", version, _SOURCE], check=True)
        shutil.copy(self._versions[0], self.path)

    def overwrite(self, release: int) -> None:
        """As cp does: the file is emptied and written to, and stays the inode that it is."""
        inode = self.path.stat().st_ino
        shutil.copyfile(self._versions[release - 1], self.path)
        assert self.path.stat().st_ino == inode

    def run(self) -> int:
        """Its exit code; 0: it worked."""
        return subprocess.run([self.path], stdin=subprocess.DEVNULL, check=False).returncode

    @contextmanager
    def running(self) -> Iterator[None]:
        """It runs until the end of the block, and works."""
        with subprocess.Popen([self.path], stdin=subprocess.PIPE) as process:
            yield
            process.communicate()
        assert process.returncode == 0
