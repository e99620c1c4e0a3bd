# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from otel_qtap.classification import CLASSIFIERS, ClassificationEngine
from otel_qtap.model.classified import ClassifiedExchange, ClearedPayload, Finding
from otel_qtap.model.exchange import Exchange, Incomplete, Part, Payload, SpanKind
from otel_qtap.model.identity import ConnectionContext, ConnectionId
from otel_qtap.model.trace import SpanIdentity

IDENTITY = SpanIdentity(trace_id=b"t" * 16, span_id=b"s" * 8)


def payload(part: Part) -> Payload:
    return Payload(
        part=part,
        record_type=f"application/http; msgtype={part}",
        head=b"head\r\n\r\n",
        body=b"the word secret twice: secret",
        tail=b"tail: 1\r\n\r\n",
        size=100,
        media_type="text/plain",
        encoding="gzip",
        chunked=True,
        truncated="length",
    )


def exchange(request: Payload | None, response: Payload | None) -> Exchange:
    return Exchange(
        connection=ConnectionContext(id=ConnectionId(1, 2, 3, 4)),
        protocol="http",
        protocol_version="1.1",
        kind=SpanKind.SERVER,
        name="GET",
        start_ns=5,
        end_ns=9,
        attributes={"http.request.method": "GET"},
        request=request,
        response=response,
        error_type="500",
        is_error=True,
        incomplete=(Incomplete.TRUNCATED,),
        propagation={"traceparent": "x"},
        request_offset=7,
    )


class Secrets:
    name = "secret_word"
    category = "secret"

    def count(self, payload: Payload) -> int:
        return payload.body.count(b"secret")


class FailsOnResponses:
    name = "fragile"
    category = "nothing"

    def count(self, payload: Payload) -> int:
        if payload.part is Part.RESPONSE:
            raise RuntimeError(payload.body)
        return 0


def test_every_field_arrives() -> None:
    source = exchange(payload(Part.REQUEST), payload(Part.RESPONSE))
    classified = ClassificationEngine(CLASSIFIERS).classify(source, IDENTITY)
    assert classified.identity is IDENTITY
    assert classified.connection is source.connection
    assert classified.findings == ()
    passed = {field.name for field in dataclasses.fields(ClassifiedExchange)}
    for name in passed - {"identity", "findings", "request", "response"}:
        assert getattr(classified, name) == getattr(source, name), name
    for part in ("request", "response"):
        cleared = getattr(classified, part)
        assert isinstance(cleared, ClearedPayload)
        assert not cleared.redacted
        for field in dataclasses.fields(Payload):
            assert getattr(cleared, field.name) == getattr(getattr(source, part), field.name), field.name


@pytest.mark.parametrize("part", ["request", "response"])
def test_an_absent_payload_stays_absent(part: str) -> None:
    source = exchange(payload(Part.REQUEST), payload(Part.RESPONSE))
    setattr(source, part, None)
    engine = ClassificationEngine(CLASSIFIERS)
    assert getattr(engine.classify(source, IDENTITY), part) is None
    assert (engine.statistics().cleared, engine.statistics().withheld) == (1, 0)


def test_findings_say_what_and_how_often_but_not_the_value() -> None:
    engine = ClassificationEngine((Secrets(),))
    classified = engine.classify(exchange(payload(Part.REQUEST), None), IDENTITY)
    assert classified.findings == (
        Finding(classifier="secret_word", category="secret", part=Part.REQUEST, count=2),
    )
    assert engine.statistics().findings == 1


def test_a_payload_that_a_classifier_fails_on_is_withheld_and_counted() -> None:
    engine = ClassificationEngine((FailsOnResponses(), Secrets()))
    classified = engine.classify(exchange(payload(Part.REQUEST), payload(Part.RESPONSE)), IDENTITY)
    assert classified.request is not None
    assert classified.response is None
    # The classifiers after the failed one have run.
    assert [finding.part for finding in classified.findings] == [Part.REQUEST, Part.RESPONSE]
    statistics = engine.statistics()
    assert (statistics.exchanges, statistics.cleared, statistics.withheld) == (1, 1, 1)
    assert statistics.failures == {"fragile": 1}


def test_a_snapshot_of_the_statistics_does_not_move() -> None:
    engine = ClassificationEngine((FailsOnResponses(),))
    before = engine.statistics()
    engine.classify(exchange(None, payload(Part.RESPONSE)), IDENTITY)
    assert before.failures == {}
    assert engine.statistics().failures == {"fragile": 1}
