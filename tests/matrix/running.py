# SPDX-License-Identifier: Apache-2.0
"""Runs a row's programs, and says which processes they were."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.matrix.row import Place, Program
from tests.support import procfs
from tests.support.ports import free_port, wait_listening
from tests.support.subprocesses import end

_SECONDS = 60
_SETTLE_SECONDS = 0.05


@dataclass(frozen=True, slots=True)
class Serving:
    """A server that listens."""

    port: int
    pids: frozenset[int]


def _start(program: Program, arguments: Sequence[str], errors: Path) -> "subprocess.Popen[str]":
    with errors.open("a") as stderr:
        return subprocess.Popen(
            [*program.command(), *arguments, *program.arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            env={**os.environ, **program.environment()},
            text=True,
        )


@contextmanager
def serving(program: Program, place: Place) -> Iterator[Serving]:
    """Run a server."""
    errors = place.scratch / "server.log"
    place = place._replace(port=0 if program.announces else free_port())
    usual = [str(place.pki.server.certificate), str(place.pki.server.key)]
    process = _start(program, program.options(place) if program.options else usual, errors)
    try:
        if program.announces:
            assert process.stdout
            line = process.stdout.readline()
            assert line.strip().isdecimal(), f"the server said {line!r}: {errors.read_text()}"
            place = place._replace(port=int(line))
        else:
            wait_listening(place.port, process)
        while len(pids := {process.pid, *procfs.descendants(process.pid)}) < program.processes:
            time.sleep(_SETTLE_SECONDS)
        yield Serving(place.port, frozenset(pids))
    finally:
        end(process)
        for pipe in process.stdin, process.stdout:
            if pipe:
                pipe.close()


@contextmanager
def client(program: Program, place: Place) -> Iterator["subprocess.Popen[str]"]:
    """Start a client, up to the point where it has all libraries loaded and waits."""
    usual = [str(place.port), str(place.pki.ca), str(place.connections), str(place.rounds)]
    errors = place.scratch / "client.log"
    process = _start(program, program.options(place) if program.options else usual, errors)
    try:
        assert process.stdout
        line = process.stdout.readline()
        assert line == "ready\n", f"the client said {line!r}: {errors.read_text()}"
        yield process
    finally:
        end(process)


def talk(process: "subprocess.Popen[str]", place: Place) -> None:
    """Have a waiting client talk, and wait for its end."""
    output, _ = process.communicate("go\n", timeout=_SECONDS)
    errors = (place.scratch / "client.log").read_text()
    assert process.returncode == 0, (
        f"the client exited {process.returncode}: {output[-500:]} {errors[-2000:]}"
    )


def talk_one_by_one(program: Program, place: Place) -> frozenset[int]:
    """Run a client once for each connection, all at the same time; returns their process ids."""
    assert program.one_process_each
    errors = place.scratch / "client.log"
    processes = [
        _start(program, program.one_process_each(place, token), errors) for token in range(place.connections)
    ]
    for process in processes:
        output, _ = process.communicate(timeout=_SECONDS)
        assert process.returncode == 0, (
            f"{process.args} exited {process.returncode}: {errors.read_text()} {output}"
        )
    return frozenset(process.pid for process in processes)


def new_place(place: Place, **changes: int) -> Place:
    """A place with a scratch directory of its own."""
    return place._replace(scratch=Path(tempfile.mkdtemp(dir=place.scratch)), **changes)
