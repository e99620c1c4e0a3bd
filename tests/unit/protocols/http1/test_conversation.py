# SPDX-License-Identifier: Apache-2.0
"""Wire cases, each played whole, byte by byte, and with another exchange behind it."""

from dataclasses import dataclass

import pytest

from otel_qtap.model.exchange import Exchange, Incomplete, SpanKind
from otel_qtap.model.identity import ConnectionContext, Direction
from tests.support.http1_wire import (
    CONNECTION,
    CONTEXT,
    End,
    Lost,
    Player,
    Shut,
    Step,
    bytewise,
    client,
    play,
    server,
    whole,
    without_times,
)

GET = b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
MALFORMED, GAP, ENDED = Incomplete.MALFORMED, Incomplete.GAP, Incomplete.CONNECTION_ENDED
TRUNCATED, UNANSWERED, UNASKED = (
    Incomplete.TRUNCATED,
    Incomplete.RESPONSE_NOT_SEEN,
    Incomplete.REQUEST_NOT_SEEN,
)


@dataclass
class X:
    """What is expected of an exchange; None means no such message."""

    target: bytes | None
    status: int | None
    sent: bytes = b""
    got: bytes = b""
    incomplete: tuple[Incomplete, ...] = ()
    sent_tail: bytes = b""
    got_tail: bytes = b""
    truncated: str = ""


def seen(exchange: Exchange) -> X:
    request, response = exchange.request, exchange.response
    return X(
        target=request.head.split(b" ")[1] if request else None,
        status=int(response.head[9:12]) if response else None,
        sent=request.body if request else b"",
        got=response.body if response else b"",
        incomplete=exchange.incomplete,
        sent_tail=request.tail if request else b"",
        got_tail=response.tail if response else b"",
        truncated=(request.truncated if request else "") or (response.truncated if response else ""),
    )


CASES: dict[str, tuple[list[Step], list[X]]] = {
    "plain": ([client(GET), server(OK)], [X(b"/a", 200, got=b"ok")]),
    "http/1.0 keep-alive": (
        [
            client(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
            server(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ],
        [X(b"/a", 200, got=b"ok")],
    ),
    "request body": (
        [client(b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"), server(OK)],
        [X(b"/p", 200, sent=b"hello", got=b"ok")],
    ),
    "pipelined": (
        [client(GET + b"POST /b HTTP/1.1\r\nContent-Length: 1\r\n\r\nx" + GET), server(OK * 3)],
        [X(b"/a", 200, got=b"ok"), X(b"/b", 200, sent=b"x", got=b"ok"), X(b"/a", 200, got=b"ok")],
    ),
    "chunked with extensions and trailers": (
        [
            client(
                b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
                b'4;name="v;\x09"\r\nwiki\r\n00A \t;x\r\n0123456789\r\n0;last\r\nX-Sum: 1\r\nY: 2\r\n\r\n'
            ),
            server(b"HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n"),
        ],
        [X(b"/c", 200, sent=b"wiki0123456789", got=b"z", sent_tail=b"X-Sum: 1\r\nY: 2\r\n")],
    ),
    "response to HEAD has no body": (
        [
            client(b"HEAD /h HTTP/1.1\r\nHost: h\r\n\r\n"),
            server(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"),
        ],
        [X(b"/h", 200)],
    ),
    "interim responses come before the final one": (
        [
            client(b"PUT /p HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"),
            server(b"HTTP/1.1 100 Continue\r\n\r\n"),
            client(b"hi"),
            server(b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" + OK),
        ],
        [X(b"/p", 200, sent=b"hi", got=b"ok")],
    ),
    "204": ([client(GET), server(b"HTTP/1.1 204 No Content\r\n\r\n")], [X(b"/a", 204)]),
    "304 with a length": (
        [client(GET), server(b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99\r\n\r\n")],
        [X(b"/a", 304)],
    ),
    "no reason phrase": (
        [client(GET), server(b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n")],
        [X(b"/a", 200)],
    ),
    "obs-fold": (
        [
            client(b"POST /f HTTP/1.1\r\nX: a\r\n b\r\n\tc\r\nContent-Length:\r\n 3\r\n\r\nabc"),
            server(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX: a\r\n  b\r\n\r\nok"),
        ],
        [X(b"/f", 200, sent=b"abc", got=b"ok")],
    ),
    "LF only": (
        [
            client(b"POST /l HTTP/1.1\nContent-Length: 3\n\nabc"),
            server(b"HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\nok\n0\nT: 1\n\n"),
        ],
        [X(b"/l", 200, sent=b"abc", got=b"ok", got_tail=b"T: 1\n")],
    ),
    "empty lines before a start line": (
        [client(b"\r\n\r\n" + GET + b"\n"), server(OK)],
        [X(b"/a", 200, got=b"ok")],
    ),
    "absolute form": (
        [client(b"GET http://o.example/x?y=1 HTTP/1.1\r\nHost: h\r\n\r\n"), server(OK)],
        [X(b"http://o.example/x?y=1", 200, got=b"ok")],
    ),
    "asterisk form": (
        [client(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), server(OK)],
        [X(b"*", 200, got=b"ok")],
    ),
    "unknown method": (
        [client(b"BREW /pot HTTP/1.1\r\nContent-Length: 2\r\n\r\nhi"), server(OK)],
        [X(b"/pot", 200, sent=b"hi", got=b"ok")],
    ),
    "raw bytes in the target": (
        [client(b"GET /caf\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n"), server(OK)],
        [X(b"/caf\xc3\xa9", 200, got=b"ok")],
    ),
    "control characters in a value are retained": (
        [client(b"POST / HTTP/1.1\r\nX: a\x01b\r\nContent-Length: 1\r\n\r\n!"), server(OK)],
        [X(b"/", 200, sent=b"!", got=b"ok")],
    ),
    "equal lengths several times are one": (
        [
            client(b"POST / HTTP/1.1\r\nContent-Length: 3\r\nX: y\r\nContent-Length: 3\r\n\r\nabc"),
            server(b"HTTP/1.1 200 OK\r\nContent-Length: 2, 2\r\n\r\nok"),
        ],
        [X(b"/", 200, sent=b"abc", got=b"ok")],
    ),
    "upgrade refused": (
        [
            client(b"GET /u HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n" + GET),
            server(OK + OK),
        ],
        [X(b"/u", 200, got=b"ok"), X(b"/a", 200, got=b"ok")],
    ),
    "CONNECT refused": (
        [
            client(b"CONNECT h:443 HTTP/1.1\r\n\r\n"),
            server(b"HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"),
        ],
        [X(b"h:443", 403)],
    ),
    "response before the request is complete": (
        [
            client(b"POST /e HTTP/1.1\r\nContent-Length: 4\r\n\r\nab"),
            server(b"HTTP/1.1 413 Big\r\nContent-Length: 0\r\n\r\n"),
            client(b"cd"),
        ],
        [X(b"/e", 413, sent=b"abcd")],
    ),
    "length and chunked: chunked decides, and it is marked": (
        [
            client(
                b"POST /s HTTP/1.1\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + GET
            ),
            server(OK + OK),
        ],
        [X(b"/s", 200, got=b"ok", incomplete=(MALFORMED,)), X(b"/a", 200, got=b"ok")],
    ),
    "gzip, chunked": (
        [
            client(GET),
            server(
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
                b"1\r\nz\r\n0\r\n\r\n"
            ),
        ],
        [X(b"/a", 200, got=b"z")],
    ),
    "different lengths: nobody knows where the next message is": (
        [client(b"POST /d HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd"), server(OK)],
        [X(b"/d", 200, got=b"ok", incomplete=(MALFORMED,))],
    ),
    "a length that is no number": (
        [client(b"POST /n HTTP/1.1\r\nContent-Length: 0x3\r\n\r\nabc"), server(OK)],
        [X(b"/n", 200, got=b"ok", incomplete=(MALFORMED,))],
    ),
    "request whose last coding is not chunked": (
        [client(b"POST /t HTTP/1.1\r\nTransfer-Encoding: chunked, gzip\r\n\r\nabc"), server(OK)],
        [X(b"/t", 200, got=b"ok", incomplete=(MALFORMED,))],
    ),
    "chunked twice": (
        [client(b"POST /t HTTP/1.1\r\nTransfer-Encoding: chunked, chunked\r\n\r\nabc"), server(OK)],
        [X(b"/t", 200, got=b"ok", incomplete=(MALFORMED,))],
    ),
    "chunked in HTTP/1.0": (
        [client(b"POST /t HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), server(OK)],
        [X(b"/t", 200, got=b"ok", incomplete=(MALFORMED,))],
    ),
    "space before the colon": (
        [client(b"POST /w HTTP/1.1\r\nContent-Length : 3\r\n\r\nabc"), server(OK)],
        [X(b"/w", 200, got=b"ok", incomplete=(MALFORMED,))],
    ),
    "white space in the target": (
        [client(b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n"), server(OK)],
        [X(b"/a", 200, got=b"ok", incomplete=(MALFORMED,))],
    ),
    "broken chunk size": (
        [client(b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\nzz\r\n"), server(OK)],
        [X(b"/b", 200, sent=b"abc", got=b"ok", incomplete=(MALFORMED,))],
    ),
    "chunk line that ends in LF alone": (
        [client(b"POST /b HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\nabc\r\n0\r\n\r\n"), server(OK)],
        [X(b"/b", 200, got=b"ok", incomplete=(MALFORMED,))],
    ),
    "garbage between messages": (
        [client(GET), server(OK), client(b"\x00\x01garbage\r\n\r\n"), server(b"")],
        [X(b"/a", 200, got=b"ok")],
    ),
}


@pytest.mark.parametrize("chunks", [whole, bytewise])
@pytest.mark.parametrize("trailing", [False, True])
@pytest.mark.parametrize("name", CASES)
def test_wire_case(name: str, trailing: bool, chunks):
    steps, expected = CASES[name]
    if trailing:
        steps = [*steps, client(b"GET /next HTTP/1.1\r\nHost: h\r\n\r\n"), server(OK)]
        expected = [*expected, X(b"/next", 200, got=b"ok")]
    assert [seen(exchange) for exchange in play(steps, chunks)] == expected


UNTIL_CLOSE = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nall of it"

ENDINGS: dict[str, tuple[list[Step], list[X]]] = {
    "body until close": ([client(GET), server(UNTIL_CLOSE), End()], [X(b"/a", 200, got=b"all of it")]),
    "body until the server's shutdown": (
        [client(GET), server(UNTIL_CLOSE), Shut(by_client=False)],
        [X(b"/a", 200, got=b"all of it")],
    ),
    "body until the observation ends": (
        [client(GET), server(UNTIL_CLOSE), End("agent_stopped")],
        [X(b"/a", 200, got=b"all of it", incomplete=(ENDED,), truncated="disconnect")],
    ),
    "response coded but not chunked lasts until close": (
        [client(GET), server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nzz"), End()],
        [X(b"/a", 200, got=b"zz")],
    ),
    "unanswered": ([client(GET), End()], [X(b"/a", None, incomplete=(ENDED, UNANSWERED))]),
    "unanswered when the agent stops": (
        [client(GET), End("agent_stopped")],
        [X(b"/a", None, incomplete=(UNANSWERED,))],
    ),
    "two unanswered": (
        [client(GET + GET), server(OK[:20]), End()],
        [
            X(b"/a", 200, incomplete=(ENDED,), truncated="disconnect"),
            X(b"/a", None, incomplete=(ENDED, UNANSWERED)),
        ],
    ),
    "response cut": (
        [client(GET), server(OK[:-1]), End()],
        [X(b"/a", 200, got=b"o", incomplete=(ENDED,), truncated="disconnect")],
    ),
    "request cut": (
        [client(b"POST /p HTTP/1.1\r\nContent-Length: 5\r\n\r\nhel"), End()],
        [X(b"/p", None, sent=b"hel", incomplete=(ENDED, UNANSWERED), truncated="disconnect")],
    ),
    "request head cut": (
        [client(b"POST /p HTTP/1.1\r\nHost: h\r\nX-"), End()],
        [X(b"/p", None, incomplete=(ENDED, UNANSWERED), truncated="disconnect")],
    ),
    "request withheld after Expect": (
        [
            client(b"PUT /x HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 9\r\n\r\n"),
            server(b"HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n"),
            End(),
        ],
        [X(b"/x", 417)],
    ),
    "timeout without a request": (
        [client(GET), server(OK), server(b"HTTP/1.1 408 Timeout\r\nContent-Length: 0\r\n\r\n"), End()],
        [X(b"/a", 200, got=b"ok"), X(None, 408, incomplete=(UNASKED,))],
    ),
    "several heads that claim to switch, parked and then ended": (
        [client(b"GET /u HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n" * 3), End("idle")],
        [X(b"/u", None, incomplete=(UNANSWERED,))] * 3,
    ),
}


@pytest.mark.parametrize("chunks", [whole, bytewise])
@pytest.mark.parametrize("name", ENDINGS)
def test_ending(name: str, chunks):
    steps, expected = ENDINGS[name]
    player = Player()
    assert [seen(exchange) for exchange in player.play(steps, chunks)] == expected
    statistics = player.dispatcher.statistics()
    assert statistics.buffered_body_bytes == 0
    assert statistics.conversations == (1 if isinstance(steps[-1], Shut) else 0)


LOSSES: dict[str, tuple[list[Step], list[X]]] = {
    "inside a body of known length one goes on counting": (
        [
            client(GET),
            server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
            Lost(by_client=False, length=3),
            server(b"ghi"),
            client(GET),
            server(OK),
        ],
        [X(b"/a", 200, got=b"abc", incomplete=(GAP,), truncated="gap"), X(b"/a", 200, got=b"ok")],
    ),
    "inside a chunked body: next message": (
        [
            client(b"POST /c HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nab"),
            Lost(by_client=True, length=3),
            client(b"fgh\r\n0\r\n\r\n"),
            server(OK),
            client(GET),
            server(OK),
        ],
        [X(b"/c", 200, sent=b"ab", got=b"ok", incomplete=(GAP,), truncated="gap"), X(b"/a", 200, got=b"ok")],
    ),
    "a whole request lost": (
        [client(GET), server(OK), Lost(by_client=True, length=50), server(OK), client(GET), server(OK)],
        [X(b"/a", 200, got=b"ok"), X(None, 200, got=b"ok", incomplete=(UNASKED,)), X(b"/a", 200, got=b"ok")],
    ),
    "a whole response lost, noticed late: the next response answers the next request": (
        [
            client(GET),
            client(b"GET /b HTTP/1.1\r\n\r\n"),
            Lost(by_client=False, length=len(OK)),
            server(OK),
            client(GET),
            server(OK),
        ],
        [
            X(b"/a", None, incomplete=(GAP, UNANSWERED)),
            X(b"/b", 200, got=b"ok"),
            X(b"/a", 200, got=b"ok"),
        ],
    ),
    "a response head cut by the gap shows what was seen": (
        [
            client(GET),
            server(b"HTTP/1.1 503 Busy\r\nRetry-"),
            Lost(by_client=False, length=40),
            server(b"tail of it" + OK),
            client(GET),
        ],
        [
            X(b"/a", 503, incomplete=(GAP,), truncated="gap"),
            X(None, 200, got=b"ok", incomplete=(UNASKED,)),
            X(b"/a", None, incomplete=(UNANSWERED,)),
        ],
    ),
    "the response was lost and the connection closed: no answer known, no failure claimed": (
        [client(GET), Lost(by_client=False, length=40), End()],
        [X(b"/a", None, incomplete=(GAP, UNANSWERED))],
    ),
    "until close": (
        [client(GET), server(UNTIL_CLOSE), Lost(by_client=False, length=5), server(b"zz"), End()],
        [X(b"/a", 200, got=b"all of it", incomplete=(GAP,), truncated="gap")],
    ),
}


@pytest.mark.parametrize("chunks", [whole, bytewise])
@pytest.mark.parametrize("name", LOSSES)
def test_loss(name: str, chunks):
    steps, expected = LOSSES[name]
    steps = steps if isinstance(steps[-1], End) else [*steps, End("idle")]
    assert [seen(exchange) for exchange in play(steps, chunks)] == expected


def test_sizes_go_on_counting_over_gaps_and_limits():
    (exchange,) = play(
        [
            client(b"POST / HTTP/1.1\r\nContent-Length: 6\r\n\r\nabcdef"),
            server(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
            Lost(by_client=False, length=6),
        ],
        max_body_bytes=4,
    )
    assert exchange.request is not None
    assert exchange.response is not None
    assert (exchange.request.body, exchange.request.size, exchange.request.truncated) == (
        b"abcd",
        6,
        "length",
    )
    assert (exchange.response.body, exchange.response.size, exchange.response.truncated) == (b"abc", 9, "gap")
    assert exchange.incomplete == (TRUNCATED, GAP)
    assert exchange.attributes["http.request.body.size"] == 6
    assert exchange.attributes["http.response.body.size"] == 9


@pytest.mark.parametrize("at", range(1, 140))
def test_a_gap_at_any_offset_is_followed_by_whole_exchanges(at: int):
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nabcd\r\n0\r\nT: 1\r\n\r\n"
    sent = (b"POST /p HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello", answer)
    stream = sent[0] + sent[1]
    steps: list[Step] = []
    if at < len(sent[0]):
        steps = [
            client(sent[0][:at]),
            Lost(by_client=True, length=3),
            client(sent[0][at + 3 :]),
            server(answer),
        ]
    else:
        at = min(at - len(sent[0]), len(answer) - 4)
        steps = [
            client(sent[0]),
            server(answer[:at]),
            Lost(by_client=False, length=3),
            server(answer[at + 3 :]),
        ]
    assert len(stream) > 100
    steps += [client(GET), server(OK), client(b"GET /last HTTP/1.1\r\n\r\n"), server(OK)]
    exchanges = play([*steps, End()])
    assert [seen(exchange) for exchange in exchanges[-2:]] == [
        X(b"/a", 200, got=b"ok"),
        X(b"/last", 200, got=b"ok"),
    ]
    assert all(exchange.incomplete for exchange in exchanges[:-2])


FULL = [
    client(b"POST /p HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nT: 1\r\n\r\n"),
    server(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"),
    client(b"GET /q HTTP/1.1\r\nHost: h\r\n\r\n"),
    server(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nrest\r\n0\r\n\r\n"),
]


@pytest.mark.parametrize("reason", ["socket_closed", "agent_stopped"])
def test_an_end_at_any_offset_shows_what_was_seen(reason: str):
    total = sum(len(step.data) for step in FULL)
    complete = [without_times(exchange) for exchange in play([*FULL, End("socket_closed")])]
    for length in range(total + 1):
        steps, left = [], length
        for step in FULL:
            steps.append(type(step)(step.by_client, step.data[:left]))
            left = max(0, left - len(step.data))
        player = Player()
        exchanges = player.play([*[step for step in steps if step.data], End(reason)])
        assert player.dispatcher.statistics().conversations == 0
        for exchange in exchanges:
            # Only what is whole may look whole.
            assert exchange.incomplete or without_times(exchange) in complete


class TestMidstream:
    """The agent attached while the connection was in use."""

    CONTEXT = ConnectionContext(id=CONNECTION)

    def play(self, steps: list[Step], chunks=whole, positions=(1000, 5000)) -> list[Exchange]:
        return play([*steps, End("idle")], chunks, context=self.CONTEXT, positions=positions)

    @pytest.mark.parametrize("chunks", [whole, bytewise])
    def test_what_begins_cleanly_is_not_marked(self, chunks):
        (exchange,) = self.play([client(GET), server(OK)], chunks)
        assert seen(exchange) == X(b"/a", 200, got=b"ok")
        assert exchange.request_offset == 1000

    @pytest.mark.parametrize("chunks", [whole, bytewise])
    def test_the_rest_of_a_body_is_skipped(self, chunks):
        exchanges = self.play(
            [server(b'tail": 1}\nHTTP/1.'), server(b"}"), client(b"st of a form=1" + GET), server(OK)], chunks
        )
        assert [seen(exchange) for exchange in exchanges] == [X(b"/a", 200, got=b"ok")]
        assert exchanges[0].request_offset == 1014

    def test_a_response_to_an_unseen_request_is_marked(self):
        first, second = self.play([server(OK), client(GET), server(OK)])
        assert seen(first) == X(None, 200, got=b"ok", incomplete=(UNASKED, Incomplete.ATTACHED_MIDSTREAM))
        assert first.name == "HTTP"
        assert first.attributes["http.request.method"] == "_OTHER"
        assert seen(second) == X(b"/a", 200, got=b"ok")

    def test_bytes_from_position_0_without_a_handshake_may_be_anything(self):
        exchanges = self.play([client(b'...":1}' + GET), server(OK)], positions=(0, 0))
        assert [seen(exchange) for exchange in exchanges] == [X(b"/a", 200, got=b"ok")]


class TestSwitch:
    CONNECT = b"CONNECT inner:80 HTTP/1.1\r\nHost: inner:80\r\n\r\n"
    ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"
    UPGRADE = b"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
    SWITCHING = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"

    @pytest.mark.parametrize("chunks", [whole, bytewise])
    def test_what_follows_connect_is_a_new_conversation(self, chunks):
        player = Player()
        exchanges = player.play(
            [client(self.CONNECT), server(self.ESTABLISHED), client(GET), server(OK), End()], chunks
        )
        assert [seen(exchange) for exchange in exchanges] == [X(b"inner:80", 200), X(b"/a", 200, got=b"ok")]
        assert exchanges[1].request_offset == len(self.CONNECT)
        assert player.dispatcher.statistics().protocol_switches == 1

    def test_what_comes_in_the_same_events_is_not_lost(self):
        player = Player()
        exchanges = player.play([client(self.CONNECT + GET), server(self.ESTABLISHED + OK), End()])
        assert [seen(exchange) for exchange in exchanges] == [X(b"inner:80", 200), X(b"/a", 200, got=b"ok")]

    def test_many_tunnels_in_one_event(self):
        exchanges = play([client(self.CONNECT * 500 + GET), server(self.ESTABLISHED * 500 + OK)])
        assert len(exchanges) == 501

    @pytest.mark.parametrize("chunks", [whole, bytewise])
    def test_what_follows_an_upgrade_is_opaque_and_counted(self, chunks):
        player = Player()
        frames = b"\x81\x85\x01\x02\x03\x04GET / HTTP/1.1"
        exchanges = player.play(
            [client(self.UPGRADE), server(self.SWITCHING), client(frames), server(b"\x81\x02hi"), End()],
            chunks,
        )
        assert [seen(exchange) for exchange in exchanges] == [X(b"/chat", 101)]
        assert not exchanges[0].is_error
        assert player.dispatcher.statistics().opaque_bytes == len(frames) + 4

    def test_a_client_that_does_not_wait_is_read_on(self):
        requests = self.UPGRADE * 3000
        player = Player()
        exchanges = player.play([client(requests), End("idle")])
        assert len(exchanges) == 3000

    def test_an_upgrade_behind_other_requests_waits_for_its_own_response(self):
        exchanges = play(
            [client(GET + self.UPGRADE + b"\x81\x00"), server(OK), server(self.SWITCHING), End()]
        )
        assert [seen(exchange) for exchange in exchanges] == [X(b"/a", 200, got=b"ok"), X(b"/chat", 101)]


def test_the_sender_of_requests_is_the_client_whatever_the_role():
    for direction, kind in ((Direction.EGRESS, SpanKind.CLIENT), (Direction.INGRESS, SpanKind.SERVER)):
        (exchange,) = play([client(GET), server(OK)], client_direction=direction)
        assert exchange.kind is kind


def test_times_are_those_of_the_first_and_the_last_byte():
    player = Player()
    (exchange,) = player.play([client(GET[:7]), client(GET[7:]), server(OK[:9]), server(OK[9:])])
    assert (exchange.start_ns, exchange.end_ns) == (1090, 1400)


def test_an_unanswered_request_ends_with_its_connection():
    player = Player()
    (exchange,) = player.play([client(GET), End("socket_closed")])
    assert (exchange.start_ns, exchange.end_ns) == (1090, 1200)
    assert (exchange.error_type, exchange.is_error) == ("connection_closed", True)
    (exchange,) = play([client(GET), End("idle")])
    assert (exchange.error_type, exchange.is_error) == ("", False)


def test_offsets_count_from_the_start_of_the_stream():
    exchanges = play([client(GET + GET), server(OK + OK)])
    assert [exchange.request_offset for exchange in exchanges] == [0, len(GET)]


def test_later_exchanges_carry_the_newest_context():
    player = Player()
    (first,) = player.play([client(GET), server(OK)])
    newer = ConnectionContext(id=CONNECTION, handshake_seen=True)
    player.dispatcher.observe(newer)
    (second,) = player.play([client(GET), server(OK)])
    assert first.connection is CONTEXT
    assert second.connection is newer
    assert "network.peer.address" not in second.attributes


def test_heads_are_bounded():
    field = b"X-Long: " + b"v" * 70_000 + b"\r\n"
    for chunks in (whole, lambda data: [data[i : i + 999] for i in range(0, len(data), 999)]):
        player = Player()
        exchanges = player.play(
            [
                client(b"GET /big HTTP/1.1\r\nHost: h\r\n" + field + b"\r\n"),
                server(OK),
                client(GET),
                server(OK),
            ],
            chunks,
        )
        assert [seen(exchange) for exchange in exchanges] == [
            X(b"/big", 200, got=b"ok", incomplete=(TRUNCATED,), truncated="length"),
            X(b"/a", 200, got=b"ok"),
        ]
        assert exchanges[0].attributes["server.address"] == "h"
        assert exchanges[0].request is not None
        assert len(exchanges[0].request.head) == 65_536
        assert player.dispatcher.statistics().truncated_heads == {"http": 1}


def test_the_number_of_fields_is_bounded():
    fields = b"".join(b"f%d: 1\r\n" % number for number in range(2000))
    exchanges = play(
        [client(b"GET /many HTTP/1.1\r\n" + fields + b"\r\n"), server(OK), client(GET), server(OK)]
    )
    assert [exchange.incomplete for exchange in exchanges] == [(TRUNCATED,), ()]


def test_pipelined_requests_are_bounded_and_none_is_silent():
    player = Player()
    exchanges = player.play([client(GET * 1000)])
    assert len(exchanges) == 1000 - 256
    exchanges += player.play([server(OK * 1000), End()])
    assert sum(exchange.response is None for exchange in exchanges) == 744
    assert sum(exchange.request is None for exchange in exchanges) == 744
    assert sum(not exchange.incomplete for exchange in exchanges) == 256


def test_bodies_of_all_conversations_together_are_bounded():
    player = Player()
    player.dispatcher._budget.limit = 10
    (exchange,) = player.play(
        [client(b"POST / HTTP/1.1\r\nContent-Length: 20\r\n\r\n" + b"x" * 20), server(OK)]
    )
    assert exchange.request is not None
    assert (exchange.request.body, exchange.request.size, exchange.request.truncated) == (
        b"x" * 10,
        20,
        "length",
    )
    assert player.dispatcher.statistics().refused_body_bytes == 12


@pytest.mark.parametrize("coding", ["length", "chunked"])
def test_a_large_body_is_kept_exactly(coding: str):
    body = bytes(range(256)) * 4096 * 20
    if coding == "length":
        message = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    else:
        pieces = [body[i : i + 16000] for i in range(0, len(body), 16000)]
        message = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"".join(
            b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (*pieces, b"")
        )
    (exchange,) = play(
        [client(GET), server(message)],
        lambda data: [data[i : i + 16384] for i in range(0, len(data), 16384)],
        max_body_bytes=len(body),
    )
    assert exchange.response is not None
    assert exchange.response.body == body
    assert (exchange.incomplete, exchange.response.size) == ((), len(body))


def test_an_answer_to_nothing_shows_that_offsets_cannot_be_relied_on():
    exchanges = play([client(GET), server(OK), server(OK), client(GET), server(OK), End()])
    assert [exchange.request_offset for exchange in exchanges] == [0, -1, -1]


def test_an_answer_to_what_was_lost_shows_nothing():
    exchanges = play(
        [client(GET), server(OK), Lost(by_client=True, length=10), server(OK), client(GET), server(OK), End()]
    )
    assert [exchange.request_offset for exchange in exchanges] == [0, -1, len(GET) + 10]


def test_a_server_that_waited_for_long_enough_shows_nothing():
    timeout = b"HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n"
    exchanges = play([client(GET), server(OK), server(timeout), client(GET), server(OK), End()])
    assert [exchange.request_offset for exchange in exchanges] == [0, -1, len(GET)]


def test_what_makes_no_sense_shows_that_bytes_went_by_uncounted():
    put = b"PUT /a HTTP/1.1\r\nHost: h\r\nContent-Length: 20\r\n\r\n"  # and its content is not seen
    steps = [client(put), server(OK), client(GET), server(OK), client(GET), server(OK), End()]
    exchanges = play(steps)
    assert [exchange.request_offset for exchange in exchanges if exchange.request] == [0, -1]


def test_a_loss_may_be_told_of_after_the_answer_to_what_was_lost():
    exchanges = play(
        [
            client(GET),
            server(OK),
            server(OK),
            Lost(by_client=True, length=len(GET)),
            client(GET),
            server(OK),
            End(),
        ]
    )
    assert [exchange.request_offset for exchange in exchanges] == [0, -1, 2 * len(GET)]
