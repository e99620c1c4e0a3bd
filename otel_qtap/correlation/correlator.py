# SPDX-License-Identifier: Apache-2.0
"""Exchange -> SpanIdentity: own ids, and the observed context as parent, as link, or not at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from otel_qtap.correlation.adoption import AdoptionBound
from otel_qtap.correlation.clients import Join, ObservedClients
from otel_qtap.correlation.context import ObservedContext
from otel_qtap.correlation.derivation import Derivation, DerivedIds
from otel_qtap.correlation.exports import EVIDENCE, OtlpExporters
from otel_qtap.correlation.ids import IdSource
from otel_qtap.correlation.propagation import Propagation
from otel_qtap.correlation.sampling import Sampler
from otel_qtap.model.exchange import Exchange, SpanKind
from otel_qtap.model.identity import BY_OPERATOR, NOT_INSTRUMENTED, ConnectionContext
from otel_qtap.model.trace import SpanIdentity, SpanTarget

_SERVER: Final = SpanKind.SERVER
_SAMPLED = 0x01
_RANDOM = 0x02
# Values of SpanIdentity.join.
_NONE, _PROPAGATED, _DERIVED, _BOTH = "none", "propagated", "derived", "both"


class TraceMode(StrEnum):
    """What becomes of a context that was seen on the wire."""

    AUTO = "auto"
    """As ``enrich`` where the process makes spans of its own, as ``child`` where it does not."""
    CHILD = "child"
    """It is the parent."""
    LINK = "link"
    """The span starts a trace of its own and links to it."""
    ROOT = "root"
    """The span starts a trace of its own; what is on the wire is not read."""
    ENRICH = "enrich"
    """It is the span of the exchange, made by the process itself: ours would be a second one."""


class CaptureSpans(StrEnum):
    """Of which ends an INTERNAL span is made beside the process's own."""

    BOTH = "both"
    CLIENT = "client"
    NONE = "none"


_SIDES: Final = {
    CaptureSpans.BOTH: frozenset({SpanKind.CLIENT, SpanKind.SERVER}),
    CaptureSpans.CLIENT: frozenset({SpanKind.CLIENT}),
    CaptureSpans.NONE: frozenset[SpanKind](),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class CorrelationStatistics:
    """What became of the exchanges so far. ``roots + children + links + enriched`` is their number."""

    roots: int
    """Spans without any observed context."""
    children: int
    """Spans below an observed context."""
    links: int
    """Spans in a trace of their own that link to an observed context, whatever the reason."""
    enriched: int
    """Exchanges whose span is the process's own."""
    derived: int
    """Spans, of any of these, whose ids the other end's agent derives alike."""
    reused_randoms: int
    """Exchanges whose ids were not derived because another connection had the same random."""
    unsampled: int
    """Exchanges of which no span is exported."""
    adoption_bounded: int
    """Links because the context had been a parent too often or for too long."""
    sampling_ignored: int
    """Links because the context was not sampled and the user wants the span all the same."""
    malformed: int
    """Propagation fields that break their format; they are treated as absent."""


class Correlator:
    """Places each exchange in a trace.

    ``propagators`` are the names of OTEL_PROPAGATORS, ``sampler`` comes from ``new_sampler``. With
    ``ignore_parent_sampling`` a span whose observed context is not sampled starts a trace of its own,
    linked to that context: a sampled span below an unsampled one would dangle. One observed context is
    adopted at most ``adoption_limit`` times and for ``adoption_ns``; then spans link to it.
    ``capture_spans`` says which enriched exchanges get an INTERNAL span, ``join`` where ids are derived
    (never in mode ``root``).
    Raises SettingsError for an unknown propagator.
    """

    __slots__ = (
        "_adoption",
        "_adoption_bounded",
        "_capture_sides",
        "_children",
        "_clients",
        "_derivation",
        "_derived",
        "_enriched",
        "_expects_client",
        "_ignore_parent_sampling",
        "_links",
        "_mode",
        "_propagation",
        "_roots",
        "_sampler",
        "_sampling_ignored",
        "_unsampled",
        "exporters",
        "id_source",
        "observe",
    )

    def __init__(
        self,
        *,
        propagators: Sequence[str],
        mode: TraceMode,
        sampler: Sampler,
        ignore_parent_sampling: bool,
        adoption_limit: int,
        adoption_ns: int,
        random_bytes: Callable[[int], bytes],
        capture_spans: CaptureSpans = CaptureSpans.BOTH,
        join: Join = Join.AUTO,
    ) -> None:
        self.exporters = OtlpExporters()
        """Who exports spans; it must be shown each exchange before that is identified."""
        self.id_source = IdSource(random_bytes)
        """Makes the ids of all spans; upload spans draw theirs here too."""
        self._propagation = Propagation(() if mode is TraceMode.ROOT else propagators)
        self._mode = mode
        self._sampler = sampler
        self._ignore_parent_sampling = ignore_parent_sampling
        self._adoption = AdoptionBound(limit=adoption_limit, duration_ns=adoption_ns)
        self._capture_sides = _SIDES[capture_spans]
        # Roots are meant to be by themselves.
        self._derivation = None if join is Join.OFF or mode is TraceMode.ROOT else Derivation()
        # Spans are asked to be children of what is on the wire, in this mode.
        is_child = mode is TraceMode.CHILD and join is Join.AUTO
        self._clients = ObservedClients(Join.HEADERLESS if is_child else join)
        self._expects_client = self._clients.expects_span
        self.observe = self._clients.observe
        """To be told of each connection, and of what is learnt of it, if its exchanges will become spans."""
        self._derived = 0
        self._enriched = 0
        self._roots = 0
        self._children = 0
        self._links = 0
        self._unsampled = 0
        self._adoption_bounded = 0
        self._sampling_ignored = 0

    @property
    def propagation_fields(self) -> frozenset[str]:
        """Lower-case names of the fields that ``Exchange.propagation`` should carry."""
        return self._propagation.fields

    def identify(self, exchange: Exchange) -> SpanIdentity:
        """Give the exchange its place; any field value is accepted, bad ones count as absent."""
        derived = self._derivation.ids(exchange) if self._derivation is not None else None
        fields = exchange.propagation
        observed = self._propagation.read(fields) if fields else None
        kind = exchange.kind
        if observed is None:
            # A client that was instrumented would have sent a context. A server that is makes a root span
            # of its own when none came, under ids that nobody else can know.
            if kind is _SERVER and (evidence := self._evidence(exchange.connection)):
                return self._beside(evidence, None)
            self._roots += 1
            return self._own(exchange, derived, None, None)
        if self._mode is TraceMode.LINK:
            return self._own(exchange, derived, observed, None)
        if observed.sampled is False and self._ignore_parent_sampling:
            self._sampling_ignored += 1
            return self._own(exchange, derived, observed, None)
        if not self._adoption.adopt(observed.trace_id + observed.span_id, exchange.start_ns):
            # The decision still is the observed one: a context that was not sampled must not
            # begin to show once it is over the bound.
            self._adoption_bounded += 1
            if kind is _SERVER and (evidence := self._evidence(exchange.connection)):
                return self._beside(evidence, observed)
            return self._own(exchange, derived, observed, observed.sampled)
        sampled = self._sampler(observed.trace_id, observed.sampled)
        if not sampled:
            self._unsampled += 1
        parent_span_id = observed.span_id
        if derived is None:
            join = _PROPAGATED
            _, span_id = self.id_source.ids()
        else:
            self._derived += 1
            join = _BOTH
            span_id = derived.client_span_id
            if kind is _SERVER:
                span_id = derived.server_span_id
                if self._expects_client(exchange.connection, self._evidence, has_context=True):
                    parent_span_id = derived.client_span_id
        if evidence := self._evidence(exchange.connection):
            self._enriched += 1
            return SpanIdentity(
                trace_id=observed.trace_id,
                span_id=observed.span_id,
                parent_is_remote=kind is _SERVER,
                trace_flags=(_SAMPLED if sampled else 0) | (_RANDOM if observed.random_flag else 0),
                trace_state=observed.trace_state,
                sampled=sampled,
                instrumentation=evidence,
                capture_span_id=span_id if kind in self._capture_sides else b"",
                join=join,
            )
        self._children += 1
        return SpanIdentity(
            trace_id=observed.trace_id,
            span_id=span_id,
            parent_span_id=parent_span_id,
            parent_is_remote=True,
            trace_flags=(_SAMPLED if sampled else 0) | (_RANDOM if observed.random_flag else 0),
            trace_state=observed.trace_state,
            sampled=sampled,
            join=join,
        )

    def _evidence(self, connection: ConnectionContext) -> str:
        """What shows that the process makes the span itself; empty: ours is the only one."""
        mode = self._mode
        if mode is TraceMode.ENRICH:
            return BY_OPERATOR
        if mode is not TraceMode.AUTO:
            return ""
        said = connection.facts.instrumentation
        if said:
            return "" if said == NOT_INSTRUMENTED else said
        return EVIDENCE if self.exporters.include(connection) else ""

    def _beside(self, evidence: str, observed: ObservedContext | None) -> SpanIdentity:
        """The identity of an exchange whose span cannot be named: an INTERNAL root span stands for it.

        Its ids are random: in the client's trace it would pass for the span that it is beside.
        """
        self._enriched += 1
        trace_id, span_id = self.id_source.ids()
        sampled = self._sampler(trace_id, None if observed is None else observed.sampled)
        if not sampled:
            self._unsampled += 1
        return SpanIdentity(
            trace_id=trace_id,
            span_id=span_id,
            trace_flags=_RANDOM | _SAMPLED if sampled else _RANDOM,
            sampled=sampled,
            link=None if observed is None else _target(observed),
            instrumentation=evidence,
            capture_span_id=span_id,
        )

    def _own(
        self,
        exchange: Exchange,
        derived: DerivedIds | None,
        observed: ObservedContext | None,
        decision: bool | None,
    ) -> SpanIdentity:
        """The identity of a span in a trace that no wire names, linked to ``observed`` where there is one.

        Where ids are derived that is the trace of the exchange, which both its ends are in.
        """
        parent_span_id = b""
        if derived is None:
            join = _NONE
            trace_id, span_id = self.id_source.ids()
        else:
            self._derived += 1
            join = _DERIVED
            trace_id, span_id, server_span_id = derived
            if exchange.kind is _SERVER:
                if self._expects_client(
                    exchange.connection, self._evidence, has_context=observed is not None
                ):
                    parent_span_id = span_id
                span_id = server_span_id
        link = None
        if observed is not None:
            self._links += 1
            link = _target(observed)
        sampled = self._sampler(trace_id, decision)
        if not sampled:
            self._unsampled += 1
        return SpanIdentity(
            trace_id=trace_id,
            span_id=span_id,
            parent_span_id=parent_span_id,
            parent_is_remote=parent_span_id != b"",
            trace_flags=_RANDOM | _SAMPLED if sampled else _RANDOM,
            sampled=sampled,
            link=link,
            join=join,
        )

    def statistics(self) -> CorrelationStatistics:
        """The counts so far."""
        return CorrelationStatistics(
            roots=self._roots,
            children=self._children,
            links=self._links,
            enriched=self._enriched,
            unsampled=self._unsampled,
            derived=self._derived,
            reused_randoms=self._derivation.reused if self._derivation is not None else 0,
            adoption_bounded=self._adoption_bounded,
            sampling_ignored=self._sampling_ignored,
            malformed=self._propagation.malformed,
        )


def _target(observed: ObservedContext) -> SpanTarget:
    return SpanTarget(trace_id=observed.trace_id, span_id=observed.span_id)
