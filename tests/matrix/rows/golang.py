# SPDX-License-Identifier: Apache-2.0
"""Go's crypto/tls, stripped and otherwise, by compilers old and new."""

from collections.abc import Sequence
from functools import partial

from tests.matrix.protocols import Protocol
from tests.matrix.row import Program, Row
from tests.matrix.runtimes import PROGRAMS
from tests.support.go_programs import go_program

_BUILDS = (
    ("1.17", "stripped"),
    ("1.20", "stripped"),
    ("1.23", "plain"),
    ("1.26", "pie"),
    ("1.26", "external-pie"),
    ("1.26", "no-section-headers"),
    ("1.26", "debug"),
)
_LIBRARY = "crypto/tls"
_NAMES = {
    "plain": "",
    "stripped": ", stripped",
    "pie": ", stripped PIE",
    "external-pie": ", stripped PIE, linked by ld",
    "no-section-headers": ", without section headers",
    "debug": ", not optimised",
}


def _command(release: str, build: str, mode: str) -> Sequence[str]:
    return [str(go_program(release, build, PROGRAMS / "go_messages")), mode]


def _row(
    release: str, build: str, protocol: Protocol, client: tuple[str, ...], server: tuple[str, ...]
) -> Row:
    return Row(
        runtime=f"Go {release}{_NAMES[build]}",
        library=_LIBRARY,
        protocol=protocol,
        client=Program(command=partial(_command, release, build, "client"), arguments=client),
        server=Program(command=partial(_command, release, build, "server"), arguments=server),
    )


ROWS = (
    *(_row(release, build, Protocol.RAW, (), ()) for release, build in _BUILDS),
    _row("1.26", "stripped", Protocol.HTTP1, ("1",), ("http",)),
    _row("1.26", "stripped", Protocol.HTTP2, ("2",), ("http",)),
)
