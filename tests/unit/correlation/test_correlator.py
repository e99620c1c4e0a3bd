# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.correlation import CaptureSpans, Correlator, Join, TraceMode, new_sampler
from otel_qtap.correlation.derivation import derive
from otel_qtap.model.exchange import Exchange, Part, Payload, SpanKind
from otel_qtap.model.identity import (
    BY_OPERATOR,
    NOT_INSTRUMENTED,
    ConnectionContext,
    ConnectionId,
    Endpoint,
    ProcessFacts,
    ProcessId,
    Role,
)
from otel_qtap.model.trace import SpanIdentity, SpanTarget

TRACE = bytes.fromhex("0af7651916cd43dd8448eb211c80319c")
SPAN = bytes.fromhex("b7ad6b7169203331")
OBSERVED = SpanTarget(trace_id=TRACE, span_id=SPAN)
SAMPLED = {"traceparent": f"00-{TRACE.hex()}-{SPAN.hex()}-01"}
UNSAMPLED = {"traceparent": f"00-{TRACE.hex()}-{SPAN.hex()}-00"}


CLIENT, SERVER = SpanKind.CLIENT, SpanKind.SERVER


def exchange(
    propagation: Mapping[str, str],
    start_ns: int = 0,
    *,
    kind: SpanKind = CLIENT,
    instrumentation: str = "",
    client_random: bytes = b"",
    peer: str = "10.0.0.1",
) -> Exchange:
    facts = ProcessFacts(process=ProcessId(1, 2), instrumentation=instrumentation)
    connection = ConnectionContext(
        id=ConnectionId(1, 2, 3, 4),
        role=Role.CLIENT if kind is CLIENT else Role.SERVER,
        local=Endpoint("10.0.0.9", 1),
        remote=Endpoint(peer, 2),
        client_random=client_random,
        from_handshake=client_random != b"",
        facts=facts,
    )
    return Exchange(
        connection=connection,
        protocol="http",
        protocol_version="1.1",
        kind=kind,
        name="GET",
        start_ns=start_ns,
        end_ns=start_ns + 1,
        attributes={},
        request=None,
        response=None,
        propagation=propagation,
        request_offset=700,
    )


def correlator(
    mode: TraceMode = TraceMode.AUTO,
    *,
    propagators: tuple[str, ...] = ("tracecontext", "baggage"),
    sampler: str = "parentbased_always_on",
    ignore_parent_sampling: bool = False,
    adoption_limit: int = 100,
    adoption_ns: int = 60_000_000_000,
    capture_spans: CaptureSpans = CaptureSpans.BOTH,
    join: Join = Join.AUTO,
) -> Correlator:
    return Correlator(
        propagators=propagators,
        mode=mode,
        sampler=new_sampler(sampler),
        ignore_parent_sampling=ignore_parent_sampling,
        adoption_limit=adoption_limit,
        adoption_ns=adoption_ns,
        random_bytes=os.urandom,
        capture_spans=capture_spans,
        join=join,
    )


@pytest.mark.parametrize("mode", TraceMode)
def test_without_a_context_the_span_is_a_root(mode: TraceMode) -> None:
    identity = correlator(mode).identify(exchange({}))
    assert (len(identity.trace_id), len(identity.span_id)) == (16, 8)
    assert identity.parent_span_id == b""
    assert not identity.parent_is_remote
    assert identity.link is None
    assert identity.sampled
    # Sampled, and W3C level 2 "random": the trace id was drawn here.
    assert identity.trace_flags == 0b11


@pytest.mark.parametrize("mode", [TraceMode.AUTO, TraceMode.CHILD])
def test_child_of_the_observed_context(mode: TraceMode) -> None:
    identity = correlator(mode).identify(exchange(SAMPLED | {"tracestate": "ot=th:c,congo=1"}))
    assert identity.trace_id == TRACE
    assert identity.parent_span_id == SPAN
    assert identity.parent_is_remote
    assert identity.span_id != SPAN
    assert identity.trace_state == "ot=th:c,congo=1"
    assert identity.trace_flags == 0b01
    assert identity.sampled
    assert identity.link is None


@pytest.mark.parametrize("kind", [CLIENT, SERVER])
def test_auto_enriches_the_span_on_the_wire_where_the_process_makes_spans(kind: SpanKind) -> None:
    fields = SAMPLED | {"tracestate": "ot=th:c"}
    identity = correlator().identify(exchange(fields, kind=kind, instrumentation="java_agent"))
    assert (identity.trace_id, identity.span_id, identity.parent_span_id) == (TRACE, SPAN, b"")
    assert identity.instrumentation == "java_agent"
    assert len(identity.capture_span_id) == 8
    assert identity.capture_span_id != SPAN
    assert identity.parent_is_remote == (kind is SERVER)
    assert (identity.trace_state, identity.trace_flags, identity.link) == ("ot=th:c", 0b01, None)


@pytest.mark.parametrize(
    ("spans", "shown"),
    [(CaptureSpans.BOTH, [CLIENT, SERVER]), (CaptureSpans.CLIENT, [CLIENT]), (CaptureSpans.NONE, [])],
)
def test_which_ends_get_a_capture_span(spans: CaptureSpans, shown: list[SpanKind]) -> None:
    subject = correlator(TraceMode.ENRICH, capture_spans=spans)
    got = [
        kind for kind in (CLIENT, SERVER) if subject.identify(exchange(SAMPLED, kind=kind)).capture_span_id
    ]
    assert got == shown


@pytest.mark.parametrize(
    ("mode", "said", "evidence"),
    [
        (TraceMode.AUTO, "", ""),
        (TraceMode.AUTO, NOT_INSTRUMENTED, ""),
        (TraceMode.AUTO, "python_path", "python_path"),
        (TraceMode.ENRICH, "", BY_OPERATOR),
        (TraceMode.ENRICH, NOT_INSTRUMENTED, BY_OPERATOR),
        (TraceMode.CHILD, "python_path", ""),
        (TraceMode.LINK, "python_path", ""),
        (TraceMode.ROOT, "python_path", ""),
    ],
)
@pytest.mark.parametrize("fields", [{}, SAMPLED])
def test_the_mode_decides_and_auto_by_process(
    mode: TraceMode, said: str, evidence: str, fields: dict[str, str]
) -> None:
    subject = correlator(mode)
    assert subject.identify(exchange(fields, kind=SERVER, instrumentation=said)).instrumentation == evidence


def test_a_client_that_sent_no_context_is_not_instrumented_there() -> None:
    identity = correlator().identify(exchange({}, instrumentation="java_agent"))
    assert identity.instrumentation == ""
    assert identity.capture_span_id == b""


@pytest.mark.parametrize("spans", CaptureSpans)
def test_a_server_that_got_no_context_makes_a_span_that_we_cannot_name(spans: CaptureSpans) -> None:
    subject = correlator(capture_spans=spans)
    identity = subject.identify(exchange({}, kind=SERVER, instrumentation="java_agent"))
    assert identity.instrumentation == "java_agent"
    assert identity.capture_span_id == identity.span_id
    assert identity.parent_span_id == b""
    assert identity.trace_flags == 0b11


def test_the_decision_not_to_sample_is_followed_for_the_spans_of_others_too() -> None:
    identity = correlator(TraceMode.ENRICH).identify(exchange(UNSAMPLED))
    assert not identity.sampled
    assert identity.trace_flags == 0


def test_a_span_that_its_process_did_not_sample_is_no_second_one() -> None:
    subject = correlator(TraceMode.ENRICH, ignore_parent_sampling=True)
    identity = subject.identify(exchange(UNSAMPLED))
    assert identity.instrumentation == ""
    assert identity.link == OBSERVED


def test_a_context_that_a_client_repeats_is_not_that_of_a_span_of_each_call() -> None:
    subject = correlator(TraceMode.ENRICH, adoption_limit=1)
    first, second = (subject.identify(exchange(SAMPLED)) for _ in range(2))
    assert (first.instrumentation, second.instrumentation) == (BY_OPERATOR, "")
    assert second.link == OBSERVED


def test_a_server_makes_a_span_of_each_call_whatever_it_was_sent() -> None:
    subject = correlator(TraceMode.ENRICH, adoption_limit=1)
    first, second = (subject.identify(exchange(SAMPLED, kind=SERVER)) for _ in range(2))
    assert (first.instrumentation, second.instrumentation) == (BY_OPERATOR, BY_OPERATOR)
    assert (first.trace_id, first.link) == (TRACE, None)
    assert second.trace_id != TRACE
    assert second.link == OBSERVED
    assert second.capture_span_id == second.span_id


def test_a_process_that_was_seen_to_export_spans_makes_them() -> None:
    subject = correlator()
    assert subject.identify(exchange(SAMPLED)).instrumentation == ""
    subject.exporters.observe(an_export())
    assert subject.identify(exchange(SAMPLED)).instrumentation == "otlp_export"
    denied = exchange(SAMPLED, instrumentation=NOT_INSTRUMENTED)
    assert subject.identify(denied).instrumentation == ""


def an_export() -> Exchange:
    export = exchange({})
    export.attributes |= {"http.request.method": "POST", "url.full": "https://c:4318/v1/traces"}
    export.request = Payload(
        part=Part.REQUEST, record_type="", head=b"", body=b"", size=0, media_type="application/x-protobuf"
    )
    return export


def test_the_random_flag_is_inherited() -> None:
    fields = {"traceparent": SAMPLED["traceparent"][:-2] + "03"}
    assert correlator().identify(exchange(fields)).trace_flags == 0b11


def test_link_mode_starts_a_trace_and_links() -> None:
    identity = correlator(TraceMode.LINK).identify(exchange(SAMPLED | {"tracestate": "a=1"}))
    assert identity.link == OBSERVED
    assert identity.trace_id != TRACE
    assert identity.parent_span_id == b""
    assert identity.trace_state == ""


def test_link_mode_decides_for_itself() -> None:
    assert correlator(TraceMode.LINK).identify(exchange(UNSAMPLED)).sampled


def test_root_mode_reads_nothing() -> None:
    subject = correlator(TraceMode.ROOT)
    identity = subject.identify(exchange(SAMPLED))
    assert identity.link is None
    assert identity.trace_id != TRACE
    assert subject.propagation_fields == frozenset()


def test_an_unsampled_context_is_followed() -> None:
    identity = correlator().identify(exchange(UNSAMPLED))
    assert not identity.sampled
    assert identity.trace_flags == 0
    assert identity.trace_id == TRACE
    assert identity.parent_span_id == SPAN


def test_ignoring_the_callers_decision_starts_a_trace_and_links() -> None:
    subject = correlator(ignore_parent_sampling=True)
    identity = subject.identify(exchange(UNSAMPLED))
    assert identity.sampled
    assert identity.trace_id != TRACE
    assert identity.parent_span_id == b""
    assert identity.link == OBSERVED
    assert subject.identify(exchange(SAMPLED)).trace_id == TRACE
    assert subject.statistics().sampling_ignored == 1


def test_a_deferred_decision_is_ours() -> None:
    fields = {"b3": f"{TRACE.hex()}-{SPAN.hex()}"}
    assert correlator(propagators=("b3",)).identify(exchange(fields)).sampled
    off = correlator(propagators=("b3",), sampler="parentbased_always_off").identify(exchange(fields))
    assert not off.sampled
    assert off.trace_id == TRACE


def test_the_ratio_is_taken_of_the_trace_id_that_the_span_gets() -> None:
    subject = correlator(sampler="traceidratio")
    low = {"traceparent": f"00-{'1' * 16}{'0' * 16}-{SPAN.hex()}-00"}
    assert subject.identify(exchange(low)).sampled


def test_adoption_is_bounded_by_number() -> None:
    subject = correlator(adoption_limit=2)
    identities = [subject.identify(exchange(SAMPLED)) for _ in range(4)]
    assert [identity.trace_id == TRACE for identity in identities] == [True, True, False, False]
    assert [identity.link for identity in identities] == [None, None, OBSERVED, OBSERVED]
    assert identities[2].trace_id != identities[3].trace_id
    assert all(identity.parent_span_id == b"" for identity in identities[2:])
    assert subject.statistics().adoption_bounded == 2


def test_adoption_is_bounded_by_the_time_of_the_exchanges() -> None:
    subject = correlator(adoption_ns=1000)
    assert subject.identify(exchange(SAMPLED, 1)).link is None
    assert subject.identify(exchange(SAMPLED, 1001)).link is None
    assert subject.identify(exchange(SAMPLED, 1002)).link == OBSERVED


def test_other_spans_of_the_same_trace_have_their_own_bound() -> None:
    subject = correlator(adoption_limit=1)
    other = {"traceparent": f"00-{TRACE.hex()}-{'1' * 16}-01"}
    assert subject.identify(exchange(SAMPLED)).link is None
    assert subject.identify(exchange(other)).link is None


def test_an_unsampled_context_does_not_begin_to_show_beyond_the_bound() -> None:
    subject = correlator(adoption_limit=1)
    assert [subject.identify(exchange(UNSAMPLED)).sampled for _ in range(3)] == [False, False, False]


def test_statistics_add_up() -> None:
    subject = correlator(adoption_limit=1)
    for fields in ({}, {"traceparent": "broken"}, SAMPLED, SAMPLED, UNSAMPLED):
        subject.identify(exchange(fields))
    subject.identify(exchange({}, kind=SERVER, instrumentation="java_agent"))
    statistics = subject.statistics()
    assert (statistics.roots, statistics.children, statistics.links) == (2, 1, 2)
    assert statistics.enriched == 1
    assert statistics.malformed == 1
    assert statistics.unsampled == 1


RANDOM = bytes(range(16))
TRACE_BOTH, CLIENT_SPAN, SERVER_SPAN = derive(RANDOM, Role.CLIENT, 700)


def both_ends(
    mode: TraceMode = TraceMode.AUTO, fields: Mapping[str, str] = MappingProxyType({}), **options: object
) -> tuple[SpanIdentity, SpanIdentity]:
    """What two agents that never meet make of the client's and the server's side of one exchange."""
    client = correlator(mode, **options).identify(exchange(fields, client_random=RANDOM))  # type: ignore[arg-type]
    server = correlator(mode, **options).identify(  # type: ignore[arg-type]
        exchange(fields, kind=SERVER, client_random=RANDOM)
    )
    return client, server


@pytest.mark.parametrize("mode", [TraceMode.AUTO, TraceMode.CHILD, TraceMode.LINK])
def test_without_a_context_both_ends_are_in_one_trace(mode: TraceMode) -> None:
    client, server = both_ends(mode)
    assert (client.trace_id, client.span_id, client.parent_span_id) == (TRACE_BOTH, CLIENT_SPAN, b"")
    assert (server.trace_id, server.span_id, server.parent_span_id) == (TRACE_BOTH, SERVER_SPAN, CLIENT_SPAN)
    assert (client.parent_is_remote, server.parent_is_remote) == (False, True)
    assert client.trace_flags == server.trace_flags == 0b11
    assert client.join == server.join == "derived"


def test_a_context_gives_the_trace_and_the_client_stays_above_the_server() -> None:
    client, server = both_ends(fields=SAMPLED | {"tracestate": "a=1"})
    assert (client.trace_id, client.span_id, client.parent_span_id) == (TRACE, CLIENT_SPAN, SPAN)
    assert (server.trace_id, server.span_id, server.parent_span_id) == (TRACE, SERVER_SPAN, CLIENT_SPAN)
    assert client.trace_state == server.trace_state == "a=1"
    assert client.join == server.join == "both"
    assert server.parent_is_remote


def test_headerless_leaves_the_context_the_parent() -> None:
    client, server = both_ends(fields=SAMPLED, join=Join.HEADERLESS)
    assert client.parent_span_id == server.parent_span_id == SPAN
    assert both_ends(join=Join.HEADERLESS)[1].parent_span_id == CLIENT_SPAN


@pytest.mark.parametrize(
    ("mode", "join"), [(TraceMode.ROOT, Join.AUTO), (TraceMode.AUTO, Join.OFF), (TraceMode.ROOT, Join.ALWAYS)]
)
def test_ids_are_random_where_that_is_wanted(mode: TraceMode, join: Join) -> None:
    client, server = both_ends(mode, join=join)
    assert TRACE_BOTH not in (client.trace_id, server.trace_id)
    assert client.trace_id != server.trace_id
    assert client.join == server.join == "none"
    assert server.parent_span_id == b""


def test_child_mode_leaves_the_context_the_parent_as_it_says() -> None:
    client, server = both_ends(fields=SAMPLED, mode=TraceMode.CHILD)

    assert client.parent_span_id == server.parent_span_id == SPAN
    assert both_ends(mode=TraceMode.CHILD)[1].parent_span_id == CLIENT_SPAN


def test_link_mode_links_both_ends_of_the_derived_trace() -> None:
    client, server = both_ends(TraceMode.LINK, SAMPLED)
    assert client.trace_id == server.trace_id == TRACE_BOTH
    assert client.link == server.link == OBSERVED
    assert server.parent_span_id == CLIENT_SPAN


def test_ignoring_the_callers_decision_keeps_both_ends_together() -> None:
    client, server = both_ends(fields=UNSAMPLED, ignore_parent_sampling=True)
    assert client.trace_id == server.trace_id == TRACE_BOTH
    assert client.sampled
    assert server.sampled


@pytest.mark.parametrize("fields", [{}, {"b3": f"{TRACE.hex()}-{SPAN.hex()}"}])
def test_both_ends_decide_alike_on_sampling(fields: dict[str, str]) -> None:
    decisions = set()
    for number in range(64):
        client_random = number.to_bytes(16, "big")
        ends = [
            Correlator(
                propagators=("b3",),
                mode=TraceMode.AUTO,
                sampler=new_sampler("parentbased_traceidratio", 0.5),
                ignore_parent_sampling=False,
                adoption_limit=100,
                adoption_ns=10**9,
                random_bytes=os.urandom,
            ).identify(exchange(fields, kind=kind, client_random=client_random))
            for kind in (CLIENT, SERVER)
        ]
        assert ends[0].sampled == ends[1].sampled
        decisions.add(ends[0].sampled)
    assert decisions == ({True, False} if not fields else {ends[0].sampled})


def test_no_parent_that_nobody_exports() -> None:
    subject = correlator()
    public = subject.identify(exchange({}, kind=SERVER, client_random=RANDOM, peer="8.8.8.8"))
    assert (public.trace_id, public.span_id, public.parent_span_id) == (TRACE_BOTH, SERVER_SPAN, b"")
    assert not public.parent_is_remote
    observed = subject.identify(exchange(SAMPLED, kind=SERVER, client_random=RANDOM, peer="8.8.8.8"))
    assert (observed.trace_id, observed.parent_span_id) == (TRACE, SPAN)


def test_the_span_of_an_instrumented_client_is_the_one_on_the_wire() -> None:
    subject = correlator()
    client = exchange(SAMPLED, client_random=RANDOM, instrumentation="java_agent")
    subject.observe(client.connection)
    beside = subject.identify(client)
    server = subject.identify(exchange(SAMPLED, kind=SERVER, client_random=RANDOM))
    assert (beside.span_id, beside.capture_span_id, beside.join) == (SPAN, CLIENT_SPAN, "both")
    assert server.parent_span_id == SPAN


def test_an_instrumented_server_keeps_its_root_to_itself() -> None:
    identity = correlator().identify(
        exchange({}, kind=SERVER, client_random=RANDOM, instrumentation="java_agent")
    )
    assert identity.trace_id != TRACE_BOTH
    assert (identity.parent_span_id, identity.join) == (b"", "none")


def test_derived_spans_are_counted() -> None:
    subject = correlator()
    for fields in ({}, SAMPLED):
        subject.identify(exchange(fields, client_random=RANDOM))
    subject.identify(exchange({}))
    other = exchange({}, client_random=RANDOM)
    other.connection = replace(other.connection, id=ConnectionId(9, 9, 9, 9))
    subject.identify(other)
    statistics = subject.statistics()
    assert (statistics.derived, statistics.reused_randoms) == (2, 1)


@given(
    fields=st.dictionaries(
        st.sampled_from(
            ["traceparent", "tracestate", "b3", "x-b3-traceid", "x-b3-spanid", "x-amzn-trace-id"]
        ),
        st.text(alphabet=st.characters()) | st.text(alphabet="0123456789abcdef-=;,"),
    )
)
def test_any_field_value_gives_a_valid_identity(fields: dict[str, str]) -> None:
    identity = correlator(propagators=("tracecontext", "b3", "xray")).identify(exchange(fields))
    assert len(identity.trace_id) == 16
    assert any(identity.trace_id)
    assert len(identity.span_id) == 8
    assert any(identity.span_id)
    assert len(identity.parent_span_id) in (0, 8)
