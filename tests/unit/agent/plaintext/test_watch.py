# SPDX-License-Identifier: Apache-2.0
"""How many conversations of which kind clear a file or give it up."""

import random

import pytest

from otel_qtap.agent.plaintext import watch as module
from otel_qtap.agent.plaintext.page import Mark, PlaintextPage
from otel_qtap.agent.plaintext.watch import RANDOM_CONVERSATIONS, RANDOM_ONE_WAY, PlaintextWatch
from otel_qtap.model.events import ConnectionObserved, DataCaptured, KernelEvent
from otel_qtap.model.identity import ConnectionId, Direction, PeerSource, Role
from tests.support.memory_handshake import client_hello

FILE = 3
PLAIN = b"GET /hello HTTP/1.1\r\nHost: example.com\r\n\r\n"
SOME = random.Random(2)
SECOND = 10**9


class Watched:
    """A page with a question, and conversations that come by."""

    def __init__(self) -> None:
        self.page = PlaintextPage()
        self.page.ask(FILE)
        self._watch = PlaintextWatch(self.page)
        self._next = 1

    def converse(
        self,
        egress: bytes | None = None,
        ingress: bytes | None = None,
        *,
        begun: bool = True,
        at: int = 100 * SECOND,
        position: int = 0,
        file: int = FILE,
        client_random: bytes = b"",
    ) -> None:
        connection = ConnectionId(1, 1, self._next, at + self._next)
        self._next += 1
        events: list[KernelEvent] = [
            ConnectionObserved(
                connection=connection,
                timestamp_ns=at,
                role=Role.CLIENT,
                local=None,
                remote=None,
                peer_source=PeerSource.NONE,
                handshake_seen=begun,
                command="app",
                user_id=0,
                file=file,
                client_random=client_random,
            )
        ]
        for direction, data in ((Direction.EGRESS, egress), (Direction.INGRESS, ingress)):
            if data is not None:
                events.append(DataCaptured(connection, direction, position, len(data), data, at, at))
        self._watch.look(events)

    @property
    def mark(self) -> int:
        return self.page.mark(FILE)


@pytest.fixture
def watched() -> Watched:
    return Watched()


def noise() -> bytes:
    return b"\x17\x03\x03\x01\x00" + SOME.randbytes(256)


def test_one_plain_conversation_clears_a_file(watched: Watched) -> None:
    watched.converse(noise(), noise())
    watched.converse(PLAIN)
    assert watched.mark == Mark.ASKED, "one way only"
    watched.converse(None, b"HTTP/1.1 200 OK\r\n\r\n")
    assert watched.mark == Mark.PLAIN
    for _ in range(2 * RANDOM_ONE_WAY):
        watched.converse(noise(), noise())
    assert watched.mark == Mark.PLAIN


def test_many_random_ones_and_none_plain_give_it_up(watched: Watched) -> None:
    for _ in range(RANDOM_CONVERSATIONS - 1):
        watched.converse(noise(), noise())
    assert watched.mark == Mark.ASKED
    watched.converse(noise(), noise())
    assert watched.mark == Mark.CIPHERTEXT


def test_where_the_other_way_is_plain_it_takes_more(watched: Watched) -> None:
    watched.converse(PLAIN)
    for _ in range(RANDOM_ONE_WAY - 1):
        watched.converse(PLAIN, noise())
    assert watched.mark == Mark.ASKED
    watched.converse(PLAIN, noise())
    assert watched.mark == Mark.CIPHERTEXT


def test_what_begins_nowhere_counts_for_nothing(watched: Watched) -> None:
    for _ in range(3 * RANDOM_CONVERSATIONS):
        watched.converse(noise(), noise(), begun=False)
        watched.converse(noise(), noise(), position=5)
        watched.converse(noise(), noise(), file=FILE + 1)
    assert watched.mark == Mark.ASKED


def test_what_is_seen_long_after_the_probes_has_begun_there(watched: Watched) -> None:
    watched.converse(noise(), begun=False)
    for _ in range(RANDOM_CONVERSATIONS):
        watched.converse(noise(), begun=False, at=200 * SECOND)
    assert watched.mark == Mark.CIPHERTEXT


def test_the_connections_own_hello_is_its_beginning(watched: Watched) -> None:
    hello = client_hello()
    for _ in range(RANDOM_CONVERSATIONS):
        watched.converse(hello, begun=False, client_random=hello[19:35])
    assert watched.mark == Mark.CIPHERTEXT


def test_another_file_with_the_same_number_begins_anew(watched: Watched) -> None:
    for _ in range(RANDOM_CONVERSATIONS - 1):
        watched.converse(noise())
    watched.page.give_up(FILE)
    watched.converse(noise())
    watched.page.ask(FILE)
    watched.converse(noise())
    assert watched.mark == Mark.ASKED


def test_connections_that_say_nothing_are_remembered_up_to_a_bound(
    watched: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CONNECTIONS", 4)
    for _ in range(20):
        watched.converse()
    assert len(watched._watch._open) == 4
