# SPDX-License-Identifier: Apache-2.0
"""Go's own TLS."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from tests.matrix.row import Program, Row
from tests.matrix.runtimes import PROGRAMS, installed
from tests.support.cache import cached_build, fingerprint, run_build_step

_SOURCE = PROGRAMS / "go_messages"


def _go(flags: str, role: str) -> Sequence[str]:
    def build(directory: Path) -> None:
        command = [installed("go"), "build", "-trimpath", f"-ldflags={flags}", "-o", str(directory), "."]
        run_build_step(*command, cwd=_SOURCE)

    texts = [(_SOURCE / name).read_text() for name in ("main.go", "go.mod")]
    return [str(cached_build("go-messages", fingerprint(flags, *texts), build) / "go_messages"), role]


def _row(runtime: str, flags: str) -> Row:
    return Row(
        runtime=runtime,
        library="crypto/tls",
        client=Program(command=partial(_go, flags, "client")),
        server=Program(command=partial(_go, flags, "server")),
    )


ROWS = (_row("Go", ""), _row("Go, stripped", "-s -w"))
