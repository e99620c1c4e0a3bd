# SPDX-License-Identifier: Apache-2.0
from otel_qtap.telemetry.exporting import Telemetry
from otel_qtap.telemetry.limits import BatchLimits
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.resource import AgentIdentity, HostIdentity
from otel_qtap.telemetry.signal_pipeline import MetricsOutput, SignalOutput


def telemetry_to(collector, **changes):
    def output(path):
        target = OtlpTarget(protocol="http/protobuf", endpoint=collector.url(path))
        return SignalOutput(target=target, batch=BatchLimits(schedule_delay_ms=60_000))

    values = {
        "traces": output("/v1/traces"),
        "logs": output("/v1/logs"),
        "metrics": MetricsOutput(exporter="none"),
        "agent": AgentIdentity(),
        "host": HostIdentity(name="node-1", id="0123"),
    }
    return Telemetry(**(values | changes))


def test_records_reach_the_collector_as_spans_of_their_workload(collector, record):
    telemetry = telemetry_to(collector)
    telemetry.start()
    for _ in range(3):
        telemetry.write(record())

    assert telemetry.shutdown(10)

    [request] = collector.requests("/v1/traces")
    [entry] = request.resource_spans
    resource = {attribute.key: attribute.value.string_value for attribute in entry.resource.attributes}
    assert resource["service.name"] == "orders"
    assert resource["host.name"] == "node-1"
    [scope] = entry.scope_spans
    assert scope.scope.name == "otel_qtap.http"
    assert [span.name for span in scope.spans] == ["GET"] * 3
    assert telemetry.statistics().signals[Signal.TRACES].exported == 3
