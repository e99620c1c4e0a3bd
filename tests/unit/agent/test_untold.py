# SPDX-License-Identifier: Apache-2.0
from otel_qtap.agent.untold import UntoldFacts
from otel_qtap.handshake.sizes import size_of
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import ConnectionId

FACTS = HandshakeFacts(offered_protocols=("p" * 64,) * 16)


def connection(number: int) -> ConnectionId:
    return ConnectionId(1, 1, number, 1)


def test_facts_are_kept_until_they_are_taken() -> None:
    untold = UntoldFacts()
    untold.keep(connection(1), HandshakeFacts())
    untold.keep(connection(1), FACTS)
    assert (untold.take(connection(1)), untold.take(connection(1)), len(untold)) == (FACTS, None, 0)


def test_the_oldest_go_where_they_are_too_many_and_are_counted() -> None:
    untold = UntoldFacts(max_bytes=3 * size_of(FACTS))
    for number in range(5):
        untold.keep(connection(number), FACTS)
    assert [untold.take(connection(number)) for number in range(5)] == [None, None, FACTS, FACTS, FACTS]
    assert untold.dropped == 2


def test_what_was_taken_makes_room() -> None:
    untold = UntoldFacts(max_bytes=3 * size_of(FACTS))
    for number in range(100):
        untold.keep(connection(number), FACTS)
        untold.keep(connection(number), FACTS)
        untold.take(connection(number))
    assert (len(untold), untold.dropped) == (0, 0)
