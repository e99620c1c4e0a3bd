# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.correlation.exports import OtlpExporters, exported_signal
from otel_qtap.model.exchange import Exchange, Part, Payload, SpanKind
from otel_qtap.model.identity import ConnectionContext, ConnectionId

PROTOBUF, JSON, GRPC = "application/x-protobuf", "application/json", "application/grpc"
SDK = "OTel-OTLP-Exporter-Python/1.45.1"
GRPC_PREFIX = "/opentelemetry.proto.collector"


def export(
    url: str = "https://collector:4318/v1/traces",
    *,
    media_type: str = PROTOBUF,
    method: str = "POST",
    kind: SpanKind = SpanKind.CLIENT,
    agent: str = "",
    process: int = 1,
) -> Exchange:
    location = {"url.full": url} if kind is SpanKind.CLIENT else {"url.path": url}
    return Exchange(
        connection=ConnectionContext(id=ConnectionId(process, 2, 3, 4)),
        protocol="http",
        protocol_version="1.1",
        kind=kind,
        name=method,
        start_ns=0,
        end_ns=1,
        attributes={"http.request.method": method, **location, "user_agent.original": agent},
        request=Payload(part=Part.REQUEST, record_type="", head=b"", body=b"", size=0, media_type=media_type),
        response=None,
    )


@pytest.mark.parametrize(
    ("call", "signal"),
    [
        (export(), "traces"),
        (export("https://gateway/otlp/v1/metrics"), "metrics"),
        (export("https://gateway/v1/logs?tenant=REDACTED"), "logs"),
        (export("/v1/traces", kind=SpanKind.SERVER), "traces"),
        (export(media_type=JSON, agent=SDK), "traces"),
        (export(media_type=JSON, agent="OpenTelemetry Collector Contrib/0.165.0 (linux/amd64)"), "traces"),
        (export(f"https://c{GRPC_PREFIX}.trace.v1.TraceService/Export", media_type=GRPC), "traces"),
        (export(f"https://c{GRPC_PREFIX}.logs.v1.LogsService/Export", media_type=f"{GRPC}+proto"), "logs"),
    ],
)
def test_otlp_is_recognised(call: Exchange, signal: str) -> None:
    assert exported_signal(call) == signal
    assert OtlpExporters().observe(call)


@pytest.mark.parametrize(
    "call",
    [
        export("https://api.example.com/v1/logs", media_type=JSON, agent="curl/8.5"),
        export("https://api.example.com/v1/logs", media_type=JSON),
        export(media_type="text/plain"),
        export(method="PUT"),
        export("https://collector/v2/traces"),
        export("https://collector/v1/orders"),
        export("https://collector/av1/traces"),
        export(f"https://c{GRPC_PREFIX}.trace.v1.TraceService/Other", media_type=GRPC),
        export("https://c/v1/traces", media_type=GRPC),
        export("https://["),
    ],
)
def test_what_only_looks_like_it_is_traffic(call: Exchange) -> None:
    exporters = OtlpExporters()
    assert not exporters.observe(call)
    assert not exporters.include(call.connection)


def test_a_request_that_was_not_seen_is_traffic() -> None:
    call = export()
    call.request = None
    assert exported_signal(call) == ""
    assert not OtlpExporters().observe(call)


def test_who_sends_spans_is_remembered() -> None:
    exporters = OtlpExporters()
    sender, other = export(process=1), export(process=2)
    assert not exporters.include(sender.connection)
    exporters.observe(sender)
    assert exporters.include(sender.connection)
    assert not exporters.include(other.connection)


@pytest.mark.parametrize(
    "call", [export("https://collector/v1/metrics"), export("/v1/traces", kind=SpanKind.SERVER)]
)
def test_metrics_and_the_receiving_end_do_not_show_spans_of_its_own(call: Exchange) -> None:
    exporters = OtlpExporters()
    assert exporters.observe(call)
    assert not exporters.include(call.connection)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_qtap.correlation.exports._MAX_PROCESSES", 2)
    exporters = OtlpExporters()
    for process in (1, 2, 3):
        exporters.observe(export(process=process))
    assert [exporters.include(export(process=process).connection) for process in (1, 2, 3)] == [
        False,
        True,
        True,
    ]


@given(
    url=st.text() | st.text(alphabet="htps:/[]@?#.v1traces"),
    media_type=st.sampled_from([PROTOBUF, JSON, GRPC]),
)
def test_any_url_has_an_answer(url: str, media_type: str) -> None:
    assert exported_signal(export(url, media_type=media_type)) in {
        "",
        "traces",
        "metrics",
        "logs",
        "profiles",
    }
