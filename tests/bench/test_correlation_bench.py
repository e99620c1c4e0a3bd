# SPDX-License-Identifier: Apache-2.0
"""Cost of placing an exchange in its trace, and of clearing its payloads."""

import os

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from otel_qtap.classification import CLASSIFIERS, ClassificationEngine
from otel_qtap.correlation import Correlator, TraceMode, new_sampler
from otel_qtap.model.exchange import Exchange, Part, Payload, SpanKind
from otel_qtap.model.identity import ConnectionContext, ConnectionId, Endpoint, Role

pytestmark = pytest.mark.bench

EXCHANGES = 1000


UNKNOWN = ConnectionContext(id=ConnectionId(1, 2, 3, 4))
KNOWN = ConnectionContext(
    id=ConnectionId(1, 2, 3, 4),
    role=Role.SERVER,
    local=Endpoint("10.0.0.1", 443),
    remote=Endpoint("10.0.0.2", 40_000),
    client_random=os.urandom(16),
    from_handshake=True,
)
"""The end whose parent is looked for, too."""


def exchange(
    propagation: dict[str, str], connection: ConnectionContext = UNKNOWN, offset: int = -1
) -> Exchange:
    return Exchange(
        connection=connection,
        protocol="http",
        protocol_version="1.1",
        kind=SpanKind.SERVER,
        name="GET",
        start_ns=1,
        end_ns=2,
        attributes={},
        request=Payload(part=Part.REQUEST, record_type="application/http", head=b"h", body=b"", size=0),
        response=Payload(part=Part.RESPONSE, record_type="application/http", head=b"h", body=b"b", size=1),
        propagation=propagation,
        request_offset=offset,
    )


def correlator() -> Correlator:
    return Correlator(
        propagators=("tracecontext", "baggage"),
        mode=TraceMode.AUTO,
        sampler=new_sampler("parentbased_always_on"),
        ignore_parent_sampling=False,
        adoption_limit=100,
        adoption_ns=60_000_000_000,
        random_bytes=os.urandom,
    )


@pytest.mark.parametrize("ids", ["random", "derived"])
@pytest.mark.parametrize("fields", ["none", "traceparent", "tracestate"])
def test_identify_a_thousand_exchanges(benchmark: BenchmarkFixture, fields: str, ids: str) -> None:
    exchanges = []
    connection = KNOWN if ids == "derived" else UNKNOWN
    for number in range(EXCHANGES):
        propagation = {}
        if fields != "none":
            propagation["traceparent"] = f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-01"
        if fields == "tracestate":
            propagation["tracestate"] = "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"
        exchanges.append(exchange(propagation, connection, 300 * number))

    def setup() -> tuple[tuple[Correlator], dict[str, object]]:
        return (correlator(),), {}

    def identify_all(subject: Correlator) -> None:
        identify = subject.identify
        for one in exchanges:
            identify(one)

    benchmark.pedantic(identify_all, setup=setup, rounds=30)  # type: ignore[no-untyped-call]


def test_classify_a_thousand_exchanges(benchmark: BenchmarkFixture) -> None:
    subject = ClassificationEngine(CLASSIFIERS)
    one = exchange({})
    identity = correlator().identify(one)

    def classify_all() -> None:
        classify = subject.classify
        for _ in range(EXCHANGES):
            classify(one, identity)

    benchmark.pedantic(classify_all, rounds=30)  # type: ignore[no-untyped-call]
