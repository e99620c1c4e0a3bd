# SPDX-License-Identifier: Apache-2.0
"""The data path: kernel events in, telemetry out, one direction, one thread, no I/O of its own.

    KernelEvent -> reassembly -> protocols -> correlation -> classification -> objectstore -> telemetry

An exchange whose process is not known yet waits a moment for the supervisor's facts, so that even
a command that lived 20 ms is named right, and so that an excluded process is never let through.

The others go on a batch at a time, room by room: so the store writes once for many, and the
interpreter's and the compressor's data do not push each other out of the processor's caches.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Protocol

from otel_qtap.agent.untold import UntoldFacts
from otel_qtap.agent.workloads import ProcessKey, Workloads, process_key
from otel_qtap.classification.engine import ClassificationEngine
from otel_qtap.correlation.correlator import Correlator
from otel_qtap.handshake.facts import summary_of
from otel_qtap.handshake.table import HandshakeTable
from otel_qtap.model.classified import ClassifiedExchange
from otel_qtap.model.events import (
    ConnectionObserved,
    DataCaptured,
    HandshakeCaptured,
    HandshakeCompleted,
    KernelEvent,
    ProcessExited,
)
from otel_qtap.model.exchange import Exchange
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import ConnectionContext, ConnectionId, PeerSource, ProcessFacts, ProcessId
from otel_qtap.model.record import Record, UploadOutcome
from otel_qtap.model.stream import ConnectionEnded, StreamEvent
from otel_qtap.objectstore.own_requests import OwnRequests
from otel_qtap.protocols.dispatch import Dispatcher
from otel_qtap.reassembly.tracker import ConnectionTracker

MAX_CONTEXTS = 65_536
_FORGOTTEN = frozenset({"idle", "evicted"})
"""Why reassembly forgets a connection that is still there."""
FACTS_WAIT_NS = 250_000_000
"""How long an exchange waits for the facts of its process."""
BATCH_EXCHANGES = 64
BATCH_BYTES = 1 << 20
"""Of bodies. A batch is never kept beyond the call in which it began."""


class PayloadSink(Protocol):
    """objectstore.archive.Archive, as the chain sees it."""

    def submit(self, exchanges: Iterable[ClassifiedExchange]) -> list[Record]:
        """Store the payloads; the records refer to them."""

    def tick(self, now_ns: int) -> None:
        """Roll what has become old."""

    def outcomes(self) -> list[UploadOutcome]:
        """What became of segments since the last call."""


class TelemetrySink(Protocol):
    """telemetry.exporting.Telemetry, as the chain sees it."""

    def write(self, record: Record) -> None:
        """One exchange to its span and log events."""

    def write_outcome(self, outcome: UploadOutcome) -> None:
        """One upload to its span and log events."""

    def handshake(
        self,
        context: ConnectionContext,
        started_ns: int | None,
        ended_ns: int,
        facts: HandshakeFacts | None,
    ) -> None:
        """A TLS handshake was completed; ``started_ns`` None: within other calls."""

    def connection_closed(
        self, context: ConnectionContext, timestamp_ns: int, reason: str, egress: int, ingress: int
    ) -> None:
        """A connection ended after so many bytes in each direction."""


@dataclass(frozen=True, slots=True)
class _Closed:
    connection: ConnectionContext
    timestamp_ns: int
    reason: str
    egress: int
    ingress: int


@dataclass(frozen=True, slots=True)
class _Handshake:
    connection: ConnectionContext
    started_ns: int | None
    ended_ns: int
    facts: HandshakeFacts | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ChainStatistics:
    """Exchanges since start: handed on, of excluded processes, OTLP exports, our own, waiting for facts."""

    exchanges: int
    excluded: int
    otlp: int
    own: int
    """Requests of an otel-qtap to the payload store."""
    waiting: int
    unbound: int
    """Connections that ended, with plaintext, and of which no socket was known."""
    handshakes_dropped: int
    """Handshakes whose event lacks what spans do not tell: too many waited to be told."""


class Chain:
    """Joins the rooms of the pipeline."""

    def __init__(
        self,
        *,
        now_ns: int,
        workloads: Workloads,
        handshakes: HandshakeTable,
        tracker: ConnectionTracker,
        dispatcher: Dispatcher,
        correlator: Correlator,
        classifier: ClassificationEngine,
        payloads: PayloadSink,
        telemetry: TelemetrySink,
        keep_otlp: bool = False,
        own: OwnRequests | None = None,
    ) -> None:
        self._workloads = workloads
        self._handshakes = handshakes
        self._tracker = tracker
        self._dispatcher = dispatcher
        self._identify = correlator.identify
        self._observe_client = correlator.observe
        self._is_otlp = correlator.exporters.observe
        self._keep_otlp = keep_otlp
        self._otlp = 0
        self._is_own = own.include if own else None
        self._own = 0
        self._classify = classifier.classify
        self._payloads = payloads
        self._telemetry = telemetry
        self._contexts: dict[ConnectionId, ConnectionContext] = {}
        self._by_process: dict[ProcessId, set[ConnectionId]] = {}
        # Connections whose handshake is known, but was not told: no call of the library was about it alone.
        self._untold: dict[ConnectionId, None] = {}
        self._untold_facts = UntoldFacts()
        self._told: set[ConnectionId] = set()
        # Whether a connection's process is allowed, where its facts have come.
        self._verdicts: dict[ConnectionId, bool] = {}
        self._waiting: dict[ProcessKey, tuple[int, list[Exchange | _Closed | _Handshake]]] = {}
        self._batch: list[Exchange] = []
        self._batch_bytes = 0
        self._now_ns = now_ns
        self._exchanges = 0
        self._excluded = 0
        self._unbound = 0

    def receive(self, events: Iterable[KernelEvent]) -> None:
        """Take kernel events, in the order in which they happened on each connection."""
        track, follow = self._tracker.receive, self._follow
        for event in events:
            if type(event) is DataCaptured:
                for stream_event in track(event):
                    follow(stream_event)
            else:
                self._receive_control(event)
        self._hand_on()

    def _receive_control(self, event: KernelEvent) -> None:
        if isinstance(event, HandshakeCaptured):
            self._learn_handshake(event)
            return
        if isinstance(event, ConnectionObserved):
            context = self._context(event)
            if len(self._contexts) >= MAX_CONTEXTS:  # only connections whose end was lost stay so long
                self._forget(next(iter(self._contexts)))
            self._contexts[event.connection] = context
            self._by_process.setdefault(event.connection.process, set()).add(event.connection)
            self._dispatcher.observe(context)
            if self._workloads.verdict(context):
                self._observe_client(context)
        elif isinstance(event, HandshakeCompleted) and (known := self._contexts.get(event.connection)):
            facts = self._count_as_told(event.connection)
            self._deliver(_Handshake(known, event.started_ns, event.timestamp_ns, facts))
        for stream_event in self._tracker.receive(event):
            self._follow(stream_event)
        if isinstance(event, ProcessExited):
            # Connections that carried nothing never reached the tracker.
            for connection in tuple(self._by_process.get(event.process, ())):
                self._end(ConnectionEnded(connection, event.timestamp_ns, "process_exit"))
            self._workloads.end(event.process)

    def _context(self, event: ConnectionObserved) -> ConnectionContext:
        context = self._workloads.context(event)
        facts = self._handshakes.claim(event)
        before = self._contexts.get(event.connection)
        if facts is None:
            return replace(context, handshake=before.handshake) if before is not None else context
        if event.connection not in self._told:
            self._untold[event.connection] = None
            self._untold_facts.keep(event.connection, facts)
        return replace(context, handshake=summary_of(facts))

    def _learn_handshake(self, event: HandshakeCaptured) -> None:
        renewal = self._handshakes.receive(event)
        if renewal is None:
            return
        summary = summary_of(renewal.facts)
        for connection in renewal.connections:
            if context := self._contexts.get(connection):
                if connection in self._untold:
                    self._untold_facts.keep(connection, renewal.facts)
                self._contexts[connection] = renewed = replace(context, handshake=summary)
                self._dispatcher.observe(renewed)

    def _tell_handshake(self, connection: ConnectionId) -> None:
        """Tell of a handshake that no call of the library was about: a read or write did it on the way."""
        facts = self._count_as_told(connection)
        context = self._contexts.get(connection)
        if context is not None and context.handshake is not None:
            self._deliver(_Handshake(context, None, context.handshake.timestamp_ns, facts))

    def _count_as_told(self, connection: ConnectionId) -> HandshakeFacts | None:
        """Returns what there is to tell of its handshake: it is kept no longer."""
        self._told.add(connection)
        self._untold.pop(connection, None)
        return self._untold_facts.take(connection)

    def _follow(self, event: StreamEvent) -> None:
        exchanges = self._dispatcher.receive(event)
        if exchanges:
            for exchange in exchanges:
                if self._verdicts.get(exchange.connection.id):
                    self._add(exchange)
                else:
                    self._deliver(exchange)
        if type(event) is ConnectionEnded:
            self._end(event)

    def _end(self, event: ConnectionEnded) -> None:
        connection = event.connection
        if event.reason in _FORGOTTEN:
            # It lives on in its process: what it carries next begins a conversation anew.
            if context := self._contexts.get(connection):
                self._dispatcher.observe(context)
            return
        if connection in self._untold and (event.egress_position or event.ingress_position):
            self._tell_handshake(connection)
        context_or_none = self._forget(connection)
        if context_or_none is not None:
            carried = event.egress_position or event.ingress_position
            self._unbound += bool(carried) and context_or_none.peer_source is PeerSource.NONE
            self._deliver(
                _Closed(
                    context_or_none,
                    event.timestamp_ns,
                    event.reason,
                    event.egress_position,
                    event.ingress_position,
                )
            )
            self._verdicts.pop(connection, None)

    def _forget(self, connection: ConnectionId) -> ConnectionContext | None:
        self._told.discard(connection)
        self._untold.pop(connection, None)
        self._untold_facts.take(connection)
        siblings = self._by_process.get(connection.process)
        if siblings is not None:
            siblings.discard(connection)
            if not siblings:
                del self._by_process[connection.process]
        return self._contexts.pop(connection, None)

    def _deliver(self, item: Exchange | _Closed | _Handshake) -> None:
        connection = item.connection
        key = process_key(*connection.id.process)
        if not self._workloads.is_known(key):
            self._waiting.setdefault(key, (self._now_ns, []))[1].append(item)
            return
        if connection.id in self._contexts:
            self._verdicts[connection.id] = self._workloads.verdict(connection)
        self._emit(item)

    def _emit(self, item: Exchange | _Closed | _Handshake) -> None:
        if not self._workloads.verdict(item.connection):
            self._excluded += 1
        elif isinstance(item, Exchange):
            self._add(item)
        elif isinstance(item, _Closed):
            self._telemetry.connection_closed(
                item.connection, item.timestamp_ns, item.reason, item.egress, item.ingress
            )
        else:
            self._telemetry.handshake(item.connection, item.started_ns, item.ended_ns, item.facts)

    def _add(self, exchange: Exchange) -> None:
        if self._is_own is not None and self._is_own(exchange.kind, exchange.attributes):
            # An upload as its receiver sees it: storing it would make another one, for ever.
            self._own += 1
            return
        if self._is_otlp(exchange) and not self._keep_otlp:
            # Telemetry on its way is no traffic: its sender makes no span of it either, and a span of the
            # arrival of our own would be exported in turn, for ever.
            self._otlp += 1
            return
        batch = self._batch
        batch.append(exchange)
        for payload in (exchange.request, exchange.response):
            if payload is not None:
                self._batch_bytes += len(payload.body)
        if len(batch) >= BATCH_EXCHANGES or self._batch_bytes >= BATCH_BYTES:
            self._hand_on()

    def _hand_on(self) -> None:
        """Take the batch through the rest of the rooms."""
        batch = self._batch
        if not batch:
            return
        self._batch = []
        self._batch_bytes = 0
        self._exchanges += len(batch)
        identify, classify, write = self._identify, self._classify, self._telemetry.write
        for record in self._payloads.submit([classify(each, identify(each)) for each in batch]):
            write(record)

    def learn(self, facts: ProcessFacts, *, allowed: bool) -> None:
        """Facts of a process have come: its connections and what waited for them get them."""
        key = self._workloads.learn(facts, allowed=allowed)
        for connection, context in self._contexts.items():
            if process_key(*connection.process) == key:
                self._verdicts[connection] = allowed
                self._contexts[connection] = renewed = replace(context, facts=facts)
                self._dispatcher.observe(renewed)
                if allowed:
                    self._observe_client(renewed)
        self._release(key, facts)
        self._hand_on()

    def _release(self, key: ProcessKey, facts: ProcessFacts | None) -> None:
        _, items = self._waiting.pop(key, (0, []))
        for item in items:
            if facts is None:
                self._emit(item)
            elif isinstance(item, Exchange):
                item.connection = replace(item.connection, facts=facts)
                self._emit(item)
            else:
                self._emit(replace(item, connection=replace(item.connection, facts=facts)))

    def tick(self, now_ns: int) -> None:
        """Time goes by: gaps are declared, idle connections end, waits end, segments roll."""
        for stream_event in self._tracker.tick(now_ns):
            self._follow(stream_event)
        self._now_ns = now_ns
        for connection in [each for each in self._untold if self._tracker.has_carried(each)]:
            self._tell_handshake(connection)
        self._handshakes.tick(now_ns)
        for key in [k for k, (since, _) in self._waiting.items() if since + FACTS_WAIT_NS < now_ns]:
            self._release(key, None)
        self._hand_on()
        self._payloads.tick(now_ns)
        self.write_outcomes()

    def write_outcomes(self) -> None:
        """Report what became of uploads."""
        for outcome in self._payloads.outcomes():
            self._telemetry.write_outcome(outcome)

    def finish(self, now_ns: int) -> None:
        """The agent stops: every open conversation ends now."""
        for stream_event in self._tracker.end_all(now_ns, "agent_stopped"):
            self._follow(stream_event)
        for key in list(self._waiting):
            self._release(key, None)
        self._hand_on()

    @property
    def exchanges(self) -> int:
        """Exchanges handed to telemetry since start."""
        return self._exchanges

    @property
    def open_connections(self) -> int:
        """Connections that are being read."""
        return len(self._contexts)

    def statistics(self) -> ChainStatistics:
        """Counts since start."""
        waiting = sum(len(items) for _, items in self._waiting.values())
        return ChainStatistics(
            exchanges=self._exchanges,
            excluded=self._excluded,
            otlp=self._otlp,
            own=self._own,
            waiting=waiting,
            unbound=self._unbound,
            handshakes_dropped=self._untold_facts.dropped,
        )
