# SPDX-License-Identifier: Apache-2.0
"""The agent's own metrics. Sizes are ``*.io`` in bytes, as in the semantic conventions."""

from otel_qtap.telemetry.catalogue.types import DescribedAttribute as Attribute
from otel_qtap.telemetry.catalogue.types import DescribedMetric as Metric

_LOST = ("qtap.capture.lost.reason",)
_PROTOCOL = ("qtap.protocol",)
_GAP = ("qtap.stream.gap.cause",)
_DROP = ("qtap.payload.drop_reason",)
_COMPONENT = ("otel.component.type", "otel.component.name")
_OUTCOME = (*_COMPONENT, "error.type")

METRICS = (
    # capture
    Metric("qtap.capture.lost", "counter", "{event}", _LOST, "Kernel events that were lost."),
    Metric("qtap.capture.lost.io", "counter", "By", _LOST, "Plaintext bytes that were lost with them."),
    Metric(
        "qtap.capture.malformed", "counter", "{record}", (), "Kernel records that made no sense: a defect."
    ),
    # coverage
    Metric(
        "qtap.coverage.processes",
        "updowncounter",
        "{process}",
        ("qtap.coverage.state", "qtap.coverage.reason"),
        "Processes that speak TLS: a hello of theirs was seen.",
    ),
    Metric(
        "qtap.coverage.connections",
        "counter",
        "{connection}",
        ("qtap.coverage.ending",),
        "TCP connections that ended and on which a hello was seen, of captured processes or not.",
    ),
    Metric(
        "qtap.connection.unbound",
        "counter",
        "{connection}",
        (),
        "Connections that ended, with plaintext, and of which no socket was known.",
    ),
    Metric(
        "qtap.handshake.dropped",
        "counter",
        "{handshake}",
        (),
        "Handshakes whose event tells no more than spans: too many connections had carried nothing yet.",
    ),
    # reassembly
    Metric("qtap.connection.active", "updowncounter", "{connection}", (), "Connections tracked now."),
    Metric("qtap.connection.opened", "counter", "{connection}", (), "Connections seen."),
    Metric(
        "qtap.connection.closed",
        "counter",
        "{connection}",
        ("qtap.connection.close_reason",),
        "Connections ended.",
    ),
    Metric("qtap.stream.io", "counter", "By", (), "Plaintext bytes put in order."),
    Metric("qtap.stream.held.io", "updowncounter", "By", (), "Bytes that wait for missing ones before them."),
    Metric("qtap.stream.gaps", "counter", "{gap}", _GAP, "Runs of bytes that were not captured."),
    Metric("qtap.stream.gap.io", "counter", "By", _GAP, "Bytes in those gaps."),
    Metric("qtap.stream.late", "counter", "{event}", (), "Events of connections that had ended."),
    # protocols
    Metric("qtap.exchange.parsed", "counter", "{exchange}", _PROTOCOL, "Exchanges recognised."),
    Metric("qtap.exchange.unpaired", "counter", "{exchange}", _PROTOCOL, "Of those, without their request."),
    Metric(
        "qtap.exchange.otlp", "counter", "{exchange}", (), "OTLP exports of observed processes, left out."
    ),
    Metric(
        "qtap.exchange.own",
        "counter",
        "{exchange}",
        (),
        "Requests of an agent, the viewer or a command to the payload store, seen here and left out.",
    ),
    Metric(
        "qtap.protocol.malformed", "counter", "{message}", _PROTOCOL, "Messages that break their protocol."
    ),
    Metric("qtap.protocol.skipped.io", "counter", "By", _PROTOCOL, "Bytes that belong to no message."),
    Metric("qtap.protocol.cut.io", "counter", "By", _PROTOCOL, "Body bytes beyond the limit, not kept."),
    Metric("qtap.protocol.opaque.io", "counter", "By", (), "Bytes that no protocol claims; not stored."),
    Metric("qtap.protocol.opaque", "counter", "{connection}", (), "Connections that no protocol claims."),
    # correlation
    Metric("qtap.trace.placed", "counter", "{span}", ("qtap.trace.position",), "Exchanges placed in traces."),
    Metric("qtap.trace.derived", "counter", "{span}", (), "Spans with ids that both ends derive alike."),
    Metric(
        "qtap.trace.reused_random",
        "counter",
        "{exchange}",
        (),
        "Exchanges whose ids were not derived, for another connection had the same ClientHello random.",
    ),
    Metric("qtap.trace.unsampled", "counter", "{span}", (), "Spans not exported by sampling."),
    Metric("qtap.trace.malformed", "counter", "{field}", (), "Propagation fields that break their format."),
    # classification
    Metric("qtap.payload.classified", "counter", "{payload}", (), "Payloads cleared for the store."),
    Metric(
        "qtap.payload.withheld", "counter", "{payload}", (), "Payloads kept back because a classifier failed."
    ),
    Metric("qtap.payload.findings", "counter", "{finding}", (), "Pieces of sensitive data found."),
    # objectstore
    Metric("qtap.payload.records", "counter", "{record}", (), "Payload records written to segments."),
    Metric("qtap.payload.captured.io", "counter", "By", (), "Bytes of bodies in those records."),
    Metric("qtap.payload.written.io", "counter", "By", (), "Bytes of those records, compressed."),
    Metric(
        "qtap.payload.refused", "counter", "{exchange}", _DROP, "Exchanges whose payloads were not stored."
    ),
    Metric("qtap.segment.stored", "counter", "{segment}", (), "Segments that reached the store."),
    Metric("qtap.segment.stored.io", "counter", "By", (), "Bytes of those segments."),
    Metric("qtap.segment.failures", "counter", "{attempt}", (), "Uploads that failed; each is tried again."),
    Metric("qtap.segment.dropped", "counter", "{segment}", (), "Segments given up."),
    Metric("qtap.segment.dropped.io", "counter", "By", (), "Bytes of those segments."),
    Metric("qtap.segment.dangling", "counter", "{span}", (), "Spans whose references lead nowhere now."),
    Metric("qtap.segment.waiting", "updowncounter", "{segment}", (), "Segments that wait for upload."),
    Metric("qtap.segment.waiting.io", "updowncounter", "By", (), "Bytes of those segments."),
    # telemetry
    Metric(
        "otel.sdk.processor.span.queue.size",
        "updowncounter",
        "{span}",
        _COMPONENT,
        "Spans that wait for a batch.",
    ),
    Metric("otel.sdk.processor.span.queue.capacity", "updowncounter", "{span}", _COMPONENT, "Most of them."),
    Metric(
        "otel.sdk.processor.span.processed",
        "counter",
        "{span}",
        _OUTCOME,
        "Spans queued, or dropped instead.",
    ),
    Metric(
        "otel.sdk.exporter.span.inflight",
        "updowncounter",
        "{span}",
        _COMPONENT,
        "Spans handed to the exporter.",
    ),
    Metric("otel.sdk.exporter.span.exported", "counter", "{span}", _OUTCOME, "Spans exported, or given up."),
    Metric(
        "otel.sdk.processor.log.queue.size",
        "updowncounter",
        "{log_record}",
        _COMPONENT,
        "Logs that wait for a batch.",
    ),
    Metric(
        "otel.sdk.processor.log.queue.capacity", "updowncounter", "{log_record}", _COMPONENT, "Most of them."
    ),
    Metric(
        "otel.sdk.processor.log.processed",
        "counter",
        "{log_record}",
        _OUTCOME,
        "Logs queued, or dropped instead.",
    ),
    Metric(
        "otel.sdk.exporter.log.inflight",
        "updowncounter",
        "{log_record}",
        _COMPONENT,
        "Logs handed to the exporter.",
    ),
    Metric(
        "otel.sdk.exporter.log.exported", "counter", "{log_record}", _OUTCOME, "Logs exported, or given up."
    ),
    Metric(
        "otel.sdk.exporter.metric_data_point.inflight",
        "updowncounter",
        "{data_point}",
        _COMPONENT,
        "Metric data points handed to the exporter.",
    ),
    Metric(
        "otel.sdk.exporter.metric_data_point.exported",
        "counter",
        "{data_point}",
        _OUTCOME,
        "Metric data points exported, or given up.",
    ),
    Metric(
        "otel.sdk.exporter.operation.duration",
        "histogram",
        "s",
        _OUTCOME,
        "Time of each attempt to send a request. Over OTLP only.",
    ),
    Metric(
        "qtap.export.retries", "counter", "{attempt}", _COMPONENT, "Attempts to send that will be repeated."
    ),
    Metric(
        "qtap.export.links_refused", "counter", "{link}", (), "Links into the span's own trace or to nowhere."
    ),
    # agent
    Metric("process.cpu.time", "counter", "s", ("cpu.mode", "qtap.process.role"), "CPU time of the process."),
    Metric(
        "process.memory.usage",
        "updowncounter",
        "By",
        ("qtap.process.role",),
        "Resident memory of the process.",
    ),
    Metric(
        "qtap.pipeline.restarts", "counter", "{restart}", (), "Pipeline processes that died and came again."
    ),
    Metric(
        "qtap.config.reloads",
        "counter",
        "{reload}",
        ("qtap.config.reload.outcome",),
        "Times that settings were read again.",
    ),
)

METRIC_ATTRIBUTES = (
    Attribute(
        "qtap.coverage.state",
        "string",
        "qtap.coverage.processes",
        "`captured`, `partial` (another library of theirs is not), `uncaptured` or `relay` (they pass the "
        "TLS of others on).",
    ),
    Attribute("qtap.coverage.reason", "string", "qtap.coverage.processes", "As on the log event."),
    Attribute(
        "qtap.coverage.ending",
        "string",
        "qtap.coverage.connections",
        "`captured`: plaintext was, and is bound to the connection. `missed`: none was; handshakes that "
        "failed are among these.",
    ),
    Attribute(
        "qtap.capture.lost.reason",
        "string",
        "qtap.capture.lost*",
        "Why, e.g. `ring_full`. `no_socket`: a program wrote it to a connection that was closed. `no_state`: "
        "its process has as many connections as are kept of one.",
    ),
    Attribute(
        "qtap.config.reload.outcome",
        "string",
        "qtap.config.reloads",
        "`applied`, `unchanged`, `needs_restart`, `refused` or `rolled_back`.",
    ),
    Attribute("qtap.connection.close_reason", "string", "qtap.connection.closed", "As on the log event."),
    Attribute("qtap.stream.gap.cause", "string", "qtap.stream.gap*", "`not_copied`, `lost` or `tail`."),
    Attribute("qtap.protocol", "string", "qtap.exchange.*, qtap.protocol.*", "Protocol, e.g. `http`."),
    Attribute("qtap.trace.position", "string", "qtap.trace.placed", "`root`, `child`, `link` or `enriched`."),
    Attribute("qtap.payload.drop_reason", "string", "qtap.payload.refused", "As on spans."),
    Attribute(
        "otel.component.type",
        "string",
        "otel.sdk.*, qtap.export.retries",
        "`qtap_batching_processor` or `qtap_otlp_exporter`.",
    ),
    Attribute("otel.component.name", "string", "otel.sdk.*, qtap.export.retries", "The type and the signal."),
    Attribute(
        "error.type",
        "string",
        "otel.sdk.*; if it failed",
        "`queue_full`, `spool_full`, `rejected`, `shutdown`, an HTTP status or a gRPC code.",
    ),
    Attribute("cpu.mode", "string", "process.cpu.time", "`user` or `system`."),
    Attribute("qtap.process.role", "string", "process.*", "Which process of the agent: `pipeline`."),
)
