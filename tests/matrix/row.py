# SPDX-License-Identifier: Apache-2.0
"""What a row of the matrix is: data."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from tests.matrix.protocols import Protocol
from tests.support.pki import Pki

CONNECTIONS = 50
ROUNDS = 4
"""Messages each way on every connection."""


class Place(NamedTuple):
    """What a program is told when it is started."""

    pki: Pki
    scratch: Path
    port: int
    """Of the server; for the server itself, one that is free."""
    connections: int
    rounds: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """One end of a row. A server is called with the paths of a certificate and its key, prints its port and
    serves until it is ended; a client is called with port, path of the CA, connections and rounds, prints
    ``ready`` once its libraries are loaded, waits for a line, talks, checks the answers and exits with 0.
    Even connections speak TLS 1.2, odd ones TLS 1.3. ``command`` makes everything before these arguments."""

    command: Callable[[], Sequence[str]]
    arguments: tuple[str, ...] = ()
    """After the usual ones."""
    environment: Callable[[], Mapping[str, str]] = dict
    announces: bool = True
    """Whether it prints its port or ``ready``. One that does not serves on the port that it is given."""
    one_process_each: Callable[[Place, int], Sequence[str]] | None = None
    """A client that makes one connection a process: arguments for that with this token."""
    options: Callable[[Place], Sequence[str]] | None = None
    """All arguments, where they are others than the usual ones."""
    processes: int = 1
    """How many processes of a server there are at least: it is not ready before."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A runtime and its TLS library, in one role or both, with one protocol."""

    runtime: str
    library: str
    protocol: Protocol = Protocol.RAW
    client: Program | None = None
    """None: the runtime is not tested as a client; a client of CPython stands in."""
    server: Program | None = None
    caller: Program | None = None
    """The client that stands in, where CPython's usual one does not do."""
    refused: str = ""
    """Why it cannot be captured; the test then proves that nothing is captured."""
    unbound: str = ""
    """Why its connections stay without addresses, where they do; none may be bound wrongly all the same."""

    @property
    def name(self) -> str:
        """What results and tests are called by."""
        return f"{self.runtime}, {self.library}, {self.protocol}"
