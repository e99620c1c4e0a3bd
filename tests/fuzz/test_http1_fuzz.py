# SPDX-License-Identifier: Apache-2.0
"""Invariant: whatever is on the wire, in whatever chunks and with whatever losses, nothing raises;
chunking changes nothing but times; every message a peer completes after the noise is found again; and
what is kept stays within its bounds.

``make fuzz`` runs this with HYPOTHESIS_PROFILE=deep.
"""

import random

from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.model.exchange import Exchange
from otel_qtap.model.identity import ConnectionContext, Direction
from otel_qtap.protocols.http1.reader import MAX_HEAD_BYTES, MAX_PARKED_BYTES
from tests.support.http1_wire import (
    CONNECTION,
    CONTEXT,
    End,
    Lost,
    Player,
    Said,
    Shut,
    Step,
    client,
    server,
    without_times,
)

MAX_BODY = 64

REQUESTS = (
    b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
    b"HEAD /h HTTP/1.1\r\n\r\n",
    b"POST /p?q=1 HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n",
    b"PUT / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
    b"GET / HTTP/1.0\nX: a\n b\n\n",
    b"CONNECT h:1 HTTP/1.1\r\n\r\n",
    b"GET /w HTTP/1.1\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
)
RESPONSES = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nT: 1\r\n\r\n",
    b"HTTP/1.1 100 Continue\r\n\r\n",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n",
    b"HTTP/1.0 200 OK\r\n\r\nuntil close",
    b"HTTP/1.1 500\n\n",
)
NOISE = (b"\r\n", b"\n", b"\0", b"HTTP/1.1 ", b" HTTP/1.1\r\n", b"GET ", b"\xff" * 9, b"0\r\n\r\n", b"x" * 70)


@st.composite
def said(draw: st.DrawFn) -> Said:
    by_client = draw(st.booleans())
    valid = REQUESTS if by_client else RESPONSES
    piece = draw(
        st.one_of(
            st.sampled_from(valid), st.sampled_from(valid), st.sampled_from(NOISE), st.binary(max_size=30)
        )
    )
    if draw(st.integers(0, 3)) == 0 and piece:
        at = draw(st.integers(0, len(piece) - 1))
        piece = draw(
            st.sampled_from(
                (
                    piece[:at],
                    piece[at:],
                    piece[:at] + b"\x00" + piece[at + 1 :],
                    piece[:at] + piece[at : at + 1] + piece[at:],
                )
            )
        )
    return Said(by_client, piece)


def lost() -> st.SearchStrategy[Lost]:
    return st.builds(Lost, by_client=st.booleans(), length=st.integers(1, 80))


CONVERSATION = st.lists(said(), max_size=12).map(lambda steps: [step for step in steps if step.data])
LOSSY = st.lists(st.one_of(said(), said(), said(), lost()), max_size=12).map(
    lambda steps: [step for step in steps if not isinstance(step, Said) or step.data]
)
ENDING = st.sampled_from([End("ssl_free"), End("idle"), Shut(by_client=True), Shut(by_client=False)])
CONTEXTS = st.sampled_from([CONTEXT, ConnectionContext(id=CONNECTION)])


def new_player(context: ConnectionContext) -> Player:
    return Player(context=context, max_body_bytes=MAX_BODY)


def check_bounds(player: Player) -> None:
    known = player.dispatcher._connections.get(CONNECTION)
    if known is None or known.conversation is None:
        return
    conversation = known.conversation
    for reader in (conversation._requests, conversation._responses):  # type: ignore[attr-defined]
        assert len(reader._held) <= MAX_HEAD_BYTES
        assert reader._parked_bytes <= MAX_PARKED_BYTES
    for request in conversation._pending:  # type: ignore[attr-defined]
        assert len(request.body) <= MAX_BODY


@given(LOSSY, ENDING, CONTEXTS, st.integers(0, 2**16))
def test_nothing_raises_and_bounds_hold(
    steps: list[Step], ending: Step, context: ConnectionContext, seed: int
):
    random_chunks = random.Random(seed)

    def chunks(data: bytes) -> list[bytes]:
        cut = random_chunks.randint(1, len(data))
        return [piece for piece in (data[:cut], data[cut:]) if piece]

    player = new_player(context)
    exchanges: list[Exchange] = []
    for step in (*steps, ending):
        exchanges += player.play([step], chunks)
        check_bounds(player)
    exchanges += player.play([End("idle")])
    assert player.dispatcher.statistics().buffered_body_bytes == 0
    for exchange in exchanges:
        assert exchange.start_ns <= exchange.end_ns
        for payload in (exchange.request, exchange.response):
            if payload is not None:
                assert len(payload.body) <= min(MAX_BODY, payload.size)
                assert (len(payload.body) == payload.size) or exchange.incomplete


@given(LOSSY, ENDING, CONTEXTS, st.integers(1, 7))
def test_chunking_changes_nothing_but_times(
    steps: list[Step], ending: Step, context: ConnectionContext, length: int
):
    whole = new_player(context)
    expected = [without_times(exchange) for exchange in whole.play([*steps, ending, End("idle")])]
    pieces = new_player(context)
    found = pieces.play(
        [*steps, ending, End("idle")],
        lambda data: [data[i : i + length] for i in range(0, len(data), length)],
    )
    assert [without_times(exchange) for exchange in found] == expected
    assert whole.dispatcher.statistics() == pieces.dispatcher.statistics()


NOISE_WITHOUT_START_LINE = st.binary(max_size=40).filter(lambda noise: b"HTTP" not in noise)


@given(
    st.lists(st.sampled_from(REQUESTS[:4]), min_size=1, max_size=6),
    NOISE_WITHOUT_START_LINE,
    NOISE_WITHOUT_START_LINE,
)
def test_whole_exchanges_are_found_behind_any_noise_when_attached_midstream(
    requests: list[bytes], noise_up: bytes, noise_down: bytes
):
    player = new_player(ConnectionContext(id=CONNECTION))
    steps: list[Step] = [step for step in (client(noise_up), server(noise_down)) if step.data]
    for number, request in enumerate(requests):
        marked = request.replace(b" /", b" /%d" % number, 1)
        answer = b"HTTP/1.1 200 OK\r\nX-Number: %d\r\n%b\r\n" % (
            number,
            b"" if request.startswith(b"HEAD") else b"Content-Length: 0\r\n",
        )
        steps += [client(marked), server(answer)]
    exchanges = player.play([*steps, End("idle")])
    # The first message behind the noise may be taken for its end; none of those behind it.
    for number in range(1, len(requests)):
        (match,) = [
            e for e in exchanges if e.request and e.request.head.split()[1].startswith(b"/%d" % number)
        ]
        assert match.response is not None
        assert b"X-Number: %d\r\n" % number in match.response.head


@given(st.binary(max_size=200), st.binary(max_size=200), st.booleans())
def test_random_bytes_are_never_an_exchange_of_their_own(up: bytes, down: bytes, egress: bool):
    player = Player(client_direction=Direction(egress))
    exchanges = player.play([step for step in (client(up), server(down)) if step.data] + [End()])
    assert exchanges == [] or b"HTTP/1." in up + down
