# SPDX-License-Identifier: Apache-2.0
"""What a TLS round trip costs a process, measured in the process by ``programs/pingpong.c``."""

import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.cache import cached_build, fingerprint, run_build_step
from tests.support.go_programs import go_program
from tests.support.pki import Pki

_SOURCE = Path(__file__).parent / "programs" / "pingpong.c"

REST_SECONDS = 0.3


@dataclass(frozen=True, slots=True)
class RoundTrip:
    """Cost of one round trip (two writes and two reads) in microseconds."""

    wall_us: float
    cpu_us: float


@dataclass(frozen=True, slots=True)
class PingPong:
    """A process with one TLS connection to itself."""

    process: "subprocess.Popen[str]"

    def measure(self, rounds: int) -> RoundTrip:
        """Make so many round trips."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{rounds}\n")
        self.process.stdin.flush()
        wall, cpu = self.process.stdout.readline().split()
        return RoundTrip(float(wall), float(cpu))

    def measure_and_rest(self, rounds: int) -> RoundTrip:
        """As ``measure``, and leave an observer time to read what that was."""
        cost = self.measure(rounds)
        time.sleep(REST_SECONDS)
        return cost


@contextmanager
def running_pingpong(pki: Pki, *, size: int = 1024, form: str = "plain") -> Iterator[PingPong]:
    """``form``: ``plain`` for SSL_read and SSL_write, ``ex`` for the forms that CPython calls."""
    command = [str(pingpong_binary()), str(pki.server.certificate), str(pki.server.key), str(size), form]
    with _running(command) as pingpong:
        yield pingpong


@contextmanager
def running_go_pingpong(pki: Pki, *, size: int = 1024) -> Iterator[PingPong]:
    """The same by crypto/tls of Go, on one thread."""
    places = [pki.server.certificate, pki.server.key, pki.ca]
    command = [str(go_program("1.26", "stripped")), "pingpong", *map(str, places), str(size)]
    with _running(command) as pingpong:
        yield pingpong


@contextmanager
def running_js_pingpong(runtime: str, pki: Pki, *, size: int = 1024) -> Iterator[PingPong]:
    """The same by a program in JavaScript; ``runtime`` is the path of Node.js or Bun."""
    script = _SOURCE.with_suffix(".js")
    command = [runtime, str(script), str(pki.server.certificate), str(pki.server.key), str(size)]
    with _running(command) as pingpong:
        yield pingpong


@contextmanager
def _running(command: Sequence[str]) -> Iterator[PingPong]:
    process = subprocess.Popen(
        ["taskset", "-c", "0", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield PingPong(process)
    finally:
        process.terminate()
        process.communicate()


def pingpong_binary() -> Path:
    """Path of the program, compiled when its source changed."""

    def build(directory: Path) -> None:
        command = ["gcc", "-O2", "-Wall", "-Werror", "-o", "pingpong", str(_SOURCE)]
        run_build_step(*command, "-lssl", "-lcrypto", "-lpthread", cwd=directory)

    return cached_build("pingpong", fingerprint(_SOURCE.read_text()), build) / "pingpong"
