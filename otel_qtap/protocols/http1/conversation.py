# SPDX-License-Identifier: Apache-2.0
"""Requests and responses of one connection, paired in order (RFC 9112 section 9.3).

Whoever sends requests is the client. Responses answer requests first come, first served. After a loss
the order alone would pair wrongly for ever, so a client that was not seen to pipeline is assumed to
wait: a response then answers the newest request that was sent before it.
"""

from collections import deque

from otel_qtap.model.exchange import Exchange, Incomplete, SpanKind
from otel_qtap.model.identity import ConnectionContext, Direction
from otel_qtap.model.stream import BytesReceived, ConnectionEnded, DirectionEnded, GapDetected, StreamEvent
from otel_qtap.protocols.base import Handover, Opening
from otel_qtap.protocols.http1.exchanges import ExchangeBuilder
from otel_qtap.protocols.http1.framing import Framing, request_framing, response_framing
from otel_qtap.protocols.http1.message import Message
from otel_qtap.protocols.http1.reader import MessageReader

MAX_PENDING = 256
"""Requests that wait for their response. Clients that pipeline send tens; beyond, the oldest is given up."""

REAL_ENDS = frozenset({"ssl_free", "socket_closed", "replaced", "process_exit"})
"""Reasons of ConnectionEnded that are facts of the connection, not of its observation."""


class Http1Conversation:
    """One connection that speaks HTTP/1."""

    __slots__ = (
        "_budget",
        "_builder",
        "_closed",
        "_counted",
        "_counters",
        "_kind",
        "_out",
        "_pending",
        "_pipelined",
        "_request_direction",
        "_requests",
        "_responses",
        "_switching",
        "_unanswerable",
        "_uncertain",
        "_unexplained",
        "context",
        "switched",
    )

    def __init__(self, opening: Opening, builder: ExchangeBuilder) -> None:
        self.context: ConnectionContext = opening.context
        self.switched = False
        self._builder = builder
        self._budget = opening.budget
        self._counters = opening.counters
        self._request_direction = opening.request_direction
        self._kind = SpanKind.CLIENT if opening.request_direction is Direction.EGRESS else SpanKind.SERVER
        self._requests = self._new_reader(opening, requests=True)
        self._responses = self._new_reader(opening, requests=False)
        self._pending: deque[Message] = deque()
        # Given up because too many waited: their responses will come first.
        self._unanswerable = 0
        # A response head may have been lost, so that counting no longer tells who is answered.
        self._uncertain = False
        self._pipelined = False
        # A response came that answers nothing. If no loss is told of before the next request, then one was
        # neither seen nor counted, and offsets cannot be relied on.
        self._unexplained = False
        self._counted = True
        # The request behind which another protocol may follow.
        self._switching: Message | None = None
        # The peers closed the connection, or a direction of it.
        self._closed = False
        self._out: list[Exchange] = []

    def receive(self, event: StreamEvent) -> list[Exchange]:
        """Take the next event; return the exchanges that it completed."""
        out: list[Exchange] = []
        self._out = out
        if type(event) is BytesReceived:
            reader = self._requests if event.direction == self._request_direction else self._responses
            reader.receive(event)
        elif isinstance(event, GapDetected):
            reader = self._responses
            if event.direction == self._request_direction:
                reader = self._requests
                self._unexplained = False
            reader.gap(event)
        elif isinstance(event, DirectionEnded):
            self._closed = True
            if event.direction == self._request_direction:
                self._end_requests(closed=True)
            else:
                self._responses.end(closed=True)
        elif isinstance(event, ConnectionEnded):
            self._end(event)
        if self.switched:
            # Requests that nothing more will be heard of.
            while self._pending:
                request = self._pending.popleft()
                if not request.complete:
                    request.cut("disconnect", Incomplete.CONNECTION_ENDED)
                self._emit(request, request.answer)
        return out

    def hand_over(self) -> Handover:
        """Return what was not read: the peers go on in another protocol."""
        requests, request_start = self._requests.take_parked()
        responses, response_start = self._responses.take_parked()
        self._close()
        events = requests + responses
        events.sort(key=_time_of)
        return Handover(
            [*events],
            (request_start, response_start)
            if self._request_direction is Direction.EGRESS
            else (response_start, request_start),
        )

    # What the readers say.

    def head_read(self, message: Message) -> Framing:
        """A head was read; say what follows it."""
        return self._response_head(message) if message.status else self._request_head(message)

    def message_read(self, message: Message) -> None:
        """A message has ended, well or not."""
        if message.status:
            self._response_end(message)
        else:
            self._request_end(message)

    def _request_head(self, request: Message) -> Framing:
        if self._unexplained:
            self._counted = False
        if len(self._pending) >= MAX_PENDING:
            self._unanswerable += 1
            self._emit(self._pending.popleft(), None)
        self._pending.append(request)
        return request_framing(request)

    def _request_end(self, request: Message) -> None:
        answer = request.answer
        if answer is not None and answer.complete:
            self._pending.remove(request)
            self._emit(request, answer)
        elif _may_switch(request):
            self._switching = request
            self._requests.park()

    def _response_head(self, response: Message) -> Framing:
        if self._responses.lost:
            self._uncertain = True
        request = self._awaited(response)
        if request is None:
            return response_framing(response, b"")
        if response.status >= 200 or response.status == 101:
            request.answer = response
            response.request = request
        return response_framing(response, request.method)

    def _awaited(self, response: Message) -> Message | None:
        """The request that ``response`` answers."""
        pending = self._pending
        if self._unanswerable:
            if response.status >= 200:
                self._unanswerable -= 1
            return None
        if not pending:
            requests = self._requests
            # An answer to nothing, unless the server says without being asked that it waited for long enough.
            if not requests.lost and not requests.midstream and response.status != 408:
                self._unexplained = True
            return None
        if len(pending) > 1:
            if not self._uncertain:
                self._pipelined = True
            elif not self._pipelined:
                while len(pending) > 1 and pending[1].start_ns <= response.end_ns:
                    lost = pending.popleft()
                    lost.flaw(Incomplete.GAP)
                    self._emit(lost, None)
        return pending[0] if pending[0].answer is None else None

    def _response_end(self, response: Message) -> None:
        if response.status < 200 and response.status != 101:
            # Interim: the final response is still to come.
            return
        request = response.request
        connected = request is not None and request.method == b"CONNECT" and response.status < 300
        if response.status == 101 or connected:
            self.switched = True
            self._requests.impatient = False
            self._requests.park()
            self._responses.park()
        if request is None:
            self._emit(None, response)
        elif request.complete:
            self._pending.popleft()
            self._emit(request, response)
        if not self._pending:
            self._uncertain = False

    # Ends.

    def _end(self, event: ConnectionEnded) -> None:
        self._closed = closed = event.reason in REAL_ENDS
        self._end_requests(closed=closed)
        self._responses.end(closed=closed)
        while self._pending:
            request = self._pending.popleft()
            if self._responses.lost:
                request.flaw(Incomplete.GAP)
            elif closed:
                request.flaw(Incomplete.CONNECTION_ENDED)
                request.end_ns = event.timestamp_ns
            self._emit(request, None)
        self._close()

    def _end_requests(self, *, closed: bool) -> None:
        self._requests.impatient = True
        self._requests.resume()
        self._requests.end(closed=closed)

    def _close(self) -> None:
        """Break the references between the conversation and its readers, so that both go at once."""
        self._requests.close()
        self._responses.close()

    def _emit(self, request: Message | None, response: Message | None) -> None:
        if response is None:
            assert request is not None
            request.flaw(Incomplete.RESPONSE_NOT_SEEN)
        elif request is None:
            self._counters.unpaired_responses += 1
            response.flaw(Incomplete.REQUEST_NOT_SEEN)
            if self._requests.midstream:
                response.flaw(Incomplete.ATTACHED_MIDSTREAM)
        self._counters.exchanges += 1
        counted = self._counted and not self._requests.broken
        self._out.append(
            self._builder.build(
                self.context, self._kind, request, response, closed=self._closed, counted=counted
            )
        )
        for message in (request, response):
            if message is not None:
                message.release(self._budget)
                message.request = message.answer = None
        if request is not None and request is self._switching:
            self._switching = None
            if not self.switched:
                self._requests.resume()

    def _new_reader(self, opening: Opening, *, requests: bool) -> MessageReader:
        direction = opening.request_direction if requests else Direction(1 - opening.request_direction)
        return MessageReader(
            self,
            requests=requests,
            start=opening.starts[direction],
            max_body_bytes=opening.max_body_bytes,
            budget=opening.budget,
            counters=opening.counters,
        )


def _may_switch(request: Message) -> bool:
    """Whether something else than requests may follow: CONNECT (RFC 9110 9.3.6), Upgrade (7.8)."""
    if request.method == b"CONNECT":
        return True
    fields = request.fields
    return b"upgrade" in fields and b"upgrade" in fields.get(b"connection", b"").lower()


def _time_of(event: BytesReceived | GapDetected) -> int:
    return event.timestamp_ns
