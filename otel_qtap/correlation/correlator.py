# SPDX-License-Identifier: Apache-2.0
"""Exchange -> SpanIdentity: own ids, and the observed context as parent, as link, or not at all."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from otel_qtap.correlation.adoption import AdoptionBound
from otel_qtap.correlation.context import ObservedContext
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
    ``capture_spans`` says which enriched exchanges get an INTERNAL span.
    Raises SettingsError for an unknown propagator.
    """

    __slots__ = (
        "_adoption",
        "_adoption_bounded",
        "_capture_sides",
        "_children",
        "_enriched",
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
        trace_id, span_id = self.id_source.ids(exchange.connection, exchange.request_offset, exchange.kind)
        fields = exchange.propagation
        observed = self._propagation.read(fields) if fields else None
        if observed is None:
            # A client that was instrumented would have sent a context. A server that is makes a root span
            # of its own when none came, under ids that nobody else can know.
            if exchange.kind is _SERVER and (evidence := self._evidence(exchange.connection)):
                return self._beside(trace_id, span_id, evidence, None)
            self._roots += 1
            return self._root(trace_id, span_id, self._sampler(trace_id, None), None)
        if self._mode is TraceMode.LINK:
            return self._root(trace_id, span_id, self._sampler(trace_id, None), observed)
        if observed.sampled is False and self._ignore_parent_sampling:
            self._sampling_ignored += 1
            return self._root(trace_id, span_id, self._sampler(trace_id, None), observed)
        if not self._adoption.adopt(observed.trace_id + observed.span_id, exchange.start_ns):
            # The decision still is the observed one: a context that was not sampled must not
            # begin to show once it is over the bound.
            self._adoption_bounded += 1
            if exchange.kind is _SERVER and (evidence := self._evidence(exchange.connection)):
                return self._beside(trace_id, span_id, evidence, observed)
            return self._root(trace_id, span_id, self._sampler(trace_id, observed.sampled), observed)
        sampled = self._sampler(observed.trace_id, observed.sampled)
        if not sampled:
            self._unsampled += 1
        if evidence := self._evidence(exchange.connection):
            self._enriched += 1
            return SpanIdentity(
                trace_id=observed.trace_id,
                span_id=observed.span_id,
                parent_is_remote=exchange.kind is _SERVER,
                trace_flags=(_SAMPLED if sampled else 0) | (_RANDOM if observed.random_flag else 0),
                trace_state=observed.trace_state,
                sampled=sampled,
                instrumentation=evidence,
                capture_span_id=span_id if exchange.kind in self._capture_sides else b"",
            )
        self._children += 1
        return SpanIdentity(
            trace_id=observed.trace_id,
            span_id=span_id,
            parent_span_id=observed.span_id,
            parent_is_remote=True,
            trace_flags=(_SAMPLED if sampled else 0) | (_RANDOM if observed.random_flag else 0),
            trace_state=observed.trace_state,
            sampled=sampled,
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

    def _beside(
        self, trace_id: bytes, span_id: bytes, evidence: str, observed: ObservedContext | None
    ) -> SpanIdentity:
        """The identity of an exchange whose span cannot be named: an INTERNAL root span stands for it."""
        self._enriched += 1
        sampled = self._sampler(trace_id, None if observed is None else observed.sampled)
        if not sampled:
            self._unsampled += 1
        return SpanIdentity(
            trace_id=trace_id,
            span_id=span_id,
            trace_flags=_RANDOM | _SAMPLED if sampled else _RANDOM,
            sampled=sampled,
            link=None
            if observed is None
            else SpanTarget(trace_id=observed.trace_id, span_id=observed.span_id),
            instrumentation=evidence,
            capture_span_id=span_id,
        )

    def _root(
        self, trace_id: bytes, span_id: bytes, sampled: bool, observed: ObservedContext | None
    ) -> SpanIdentity:
        """The identity of a span in its own trace, linked to ``observed`` where there is one."""
        link = None
        if observed is not None:
            self._links += 1
            link = SpanTarget(trace_id=observed.trace_id, span_id=observed.span_id)
        if not sampled:
            self._unsampled += 1
        return SpanIdentity(
            trace_id=trace_id,
            span_id=span_id,
            trace_flags=_RANDOM | _SAMPLED if sampled else _RANDOM,
            sampled=sampled,
            link=link,
        )

    def statistics(self) -> CorrelationStatistics:
        """The counts so far."""
        return CorrelationStatistics(
            roots=self._roots,
            children=self._children,
            links=self._links,
            enriched=self._enriched,
            unsampled=self._unsampled,
            adoption_bounded=self._adoption_bounded,
            sampling_ignored=self._sampling_ignored,
            malformed=self._propagation.malformed,
        )
