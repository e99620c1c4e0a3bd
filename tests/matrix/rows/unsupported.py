# SPDX-License-Identifier: Apache-2.0
"""Libraries that are recognised and not captured: rows that prove that, and the reason users are told."""

from collections.abc import Mapping, Sequence
from functools import partial

from otel_qtap.probes.unsupported import REASONS
from tests.matrix.protocols import Protocol
from tests.matrix.row import Program, Row
from tests.matrix.runtimes import PROGRAMS, python, wheels
from tests.support.packages import npm_binary


def _deno() -> Sequence[str]:
    binary = npm_binary("@deno/linux-x64-glibc", "2.9.6", "deno")
    return [binary, "run", "--quiet", "--allow-net", "--allow-read", str(PROGRAMS / "deno_client.js")]


def _primp() -> Mapping[str, str]:
    return wheels("primp==2.0.1")


ROWS = (
    Row(
        runtime="Deno 2.9",
        library="rustls",
        protocol=Protocol.HTTP1,
        client=Program(command=_deno),
        refused=REASONS["deno"],
    ),
    Row(
        runtime="primp 2.0",
        library="rustls over AWS-LC",
        protocol=Protocol.HTTP1,
        client=Program(command=partial(python, "primp_client.py"), environment=_primp),
        refused=REASONS["rustls"],
    ),
)
