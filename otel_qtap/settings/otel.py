# SPDX-License-Identifier: Apache-2.0
"""The standard ``OTEL_*`` variables that this agent honours, with the specification's meaning and default.

Sources: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
https://opentelemetry.io/docs/specs/otel/protocol/exporter/. One deviation, on purpose: a value that the
specification would warn about and ignore is refused at start.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from otel_qtap.errors import SettingsError
from otel_qtap.settings.fields import Kind, setting
from otel_qtap.settings.values import (
    COMMA_LIST,
    COUNT,
    EXISTING_FILE,
    FLAG,
    HEADER_FIELDS,
    HEADER_NAMES,
    KEY_VALUES,
    MILLISECONDS,
    TEXT,
    number,
    one_of,
    some_of,
)

SIGNALS: tuple[Literal["traces", "metrics", "logs"], ...] = ("traces", "metrics", "logs")

Exporter = Literal["otlp", "console", "none"]
Protocol = Literal["grpc", "http/protobuf", "http/json"]
Compression = Literal["gzip", "none"]
LogLevel = Literal["debug", "info", "warn", "error"]
Temporality = Literal["cumulative", "delta", "lowmemory"]
HistogramAggregation = Literal["explicit_bucket_histogram", "base2_exponential_bucket_histogram"]
Propagator = Literal["tracecontext", "baggage", "b3", "b3multi", "xray", "none"]
Sampler = Literal[
    "always_on", "always_off", "traceidratio",
    "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
]  # fmt: skip

# RFC 9110 section 9.3, RFC 5789 (PATCH) and QUERY: the known methods of the HTTP conventions.
KNOWN_METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY")


@dataclass(frozen=True, slots=True, kw_only=True)
class StandardVariables:
    """Every honoured ``OTEL_*`` variable that is not one of the OTLP exporter's."""

    sdk_disabled: bool = setting(FLAG, "Send no telemetry at all; payloads are still stored.", default=False)
    service_name: str = setting(TEXT, "`service.name` of the agent's own telemetry.", default="otel-qtap")
    resource_attributes: dict[str, str] = setting(
        KEY_VALUES, "Resource attributes of the agent's own telemetry.", default_factory=dict
    )
    log_level: LogLevel = setting(one_of(LogLevel), "Least severe level that the agent logs.", default="info")
    propagators: tuple[Propagator, ...] = setting(
        some_of(
            Propagator, "a comma-separated list of tracecontext, baggage, b3, b3multi, xray, or none alone"
        ),
        "Trace propagation formats recognised on the wire.",
        default=("tracecontext", "baggage"),
    )
    traces_sampler: Sampler = setting(
        one_of(Sampler), "Which exchanges become exported spans.", default="parentbased_always_on"
    )
    traces_sampler_arg: float = setting(
        Kind(number, "a ratio from 0 to 1, where the sampler is a traceidratio"),
        "Ratio of the `traceidratio` samplers.",
        default=1.0,
        at_least=0,
        at_most=1,
    )

    traces_exporter: Exporter = setting(one_of(Exporter), "Where spans go.", default="otlp")
    metrics_exporter: Exporter = setting(one_of(Exporter), "Where metrics go.", default="otlp")
    logs_exporter: Exporter = setting(one_of(Exporter), "Where log events go.", default="otlp")

    exporter_otlp_metrics_temporality_preference: Temporality = setting(
        one_of(Temporality), "Aggregation temporality of exported metrics.", default="cumulative"
    )
    exporter_otlp_metrics_default_histogram_aggregation: HistogramAggregation = setting(
        one_of(HistogramAggregation), "Aggregation of histograms.", default="explicit_bucket_histogram"
    )

    bsp_schedule_delay: int = setting(
        MILLISECONDS, "Longest wait of a span for its batch.", default=5000, at_least=0
    )
    bsp_export_timeout: int = setting(
        MILLISECONDS, "Longest time to export a batch of spans.", default=30000, at_least=0
    )
    bsp_max_queue_size: int = setting(
        COUNT, "Spans held for export; more are dropped and counted.", default=2048, at_least=1
    )
    bsp_max_export_batch_size: int = setting(COUNT, "Spans per batch.", default=512, at_least=1)
    blrp_schedule_delay: int = setting(
        MILLISECONDS, "Longest wait of a log event for its batch.", default=1000, at_least=0
    )
    blrp_export_timeout: int = setting(
        MILLISECONDS, "Longest time to export a batch of log events.", default=30000, at_least=0
    )
    blrp_max_queue_size: int = setting(
        COUNT, "Log events held for export; more are dropped and counted.", default=2048, at_least=1
    )
    blrp_max_export_batch_size: int = setting(COUNT, "Log events per batch.", default=512, at_least=1)
    metric_export_interval: int = setting(
        MILLISECONDS, "Time between two exports of metrics.", default=60000, at_least=1
    )
    metric_export_timeout: int = setting(
        MILLISECONDS, "Longest time to export metrics.", default=30000, at_least=0
    )

    attribute_value_length_limit: int | None = setting(
        COUNT,
        "Longest string value of an attribute, in characters; unset means no limit.",
        default=None,
        at_least=0,
    )
    attribute_count_limit: int = setting(
        COUNT, "Most attributes of a span or log event.", default=128, at_least=0
    )
    span_attribute_value_length_limit: int | None = setting(
        COUNT, "The same for span attributes; unset means the general limit.", default=None, at_least=0
    )
    span_attribute_count_limit: int | None = setting(
        COUNT, "Most attributes of a span; unset means the general limit.", default=None, at_least=0
    )
    span_event_count_limit: int = setting(COUNT, "Most events of a span.", default=128, at_least=0)
    span_link_count_limit: int = setting(COUNT, "Most links of a span.", default=128, at_least=0)
    event_attribute_count_limit: int = setting(
        COUNT, "Most attributes of a span event.", default=128, at_least=0
    )
    link_attribute_count_limit: int = setting(
        COUNT, "Most attributes of a span link.", default=128, at_least=0
    )
    logrecord_attribute_value_length_limit: int | None = setting(
        COUNT,
        "Longest string value of a log event's attribute; unset means the general limit.",
        default=None,
        at_least=0,
    )
    logrecord_attribute_count_limit: int | None = setting(
        COUNT, "Most attributes of a log event; unset means the general limit.", default=None, at_least=0
    )

    instrumentation_http_known_methods: tuple[str, ...] = setting(
        COMMA_LIST,
        "HTTP methods reported as they are; all others are reported as `_OTHER`.",
        default=KNOWN_METHODS,
    )
    instrumentation_http_capture_headers_client_request: tuple[str, ...] = setting(
        HEADER_NAMES,
        "Header fields of requests sent by observed clients that become span attributes.",
        default=(),
    )
    instrumentation_http_capture_headers_client_response: tuple[str, ...] = setting(
        HEADER_NAMES,
        "Header fields of responses received by observed clients that become span attributes.",
        default=(),
    )
    instrumentation_http_capture_headers_server_request: tuple[str, ...] = setting(
        HEADER_NAMES,
        "Header fields of requests received by observed servers that become span attributes.",
        default=(),
    )
    instrumentation_http_capture_headers_server_response: tuple[str, ...] = setting(
        HEADER_NAMES,
        "Header fields of responses sent by observed servers that become span attributes.",
        default=(),
    )

    def exporter(self, signal: Literal["traces", "metrics", "logs"]) -> Literal["otlp", "console", "none"]:
        """Where a signal goes: nowhere when the SDK is disabled."""
        if self.sdk_disabled:
            return "none"
        return {"traces": self.traces_exporter, "metrics": self.metrics_exporter, "logs": self.logs_exporter}[
            signal
        ]

    def span_attribute_limits(self) -> tuple[int, int | None]:
        """Most attributes of a span, and most characters of a value (None: no limit)."""
        return self._attribute_limits(self.span_attribute_count_limit, self.span_attribute_value_length_limit)

    def logrecord_attribute_limits(self) -> tuple[int, int | None]:
        """The same for a log event."""
        return self._attribute_limits(
            self.logrecord_attribute_count_limit, self.logrecord_attribute_value_length_limit
        )

    def _attribute_limits(self, count: int | None, length: int | None) -> tuple[int, int | None]:
        return (
            self.attribute_count_limit if count is None else count,
            self.attribute_value_length_limit if length is None else length,
        )

    def __post_init__(self) -> None:
        if contradictions := list(self._contradictions()):
            raise SettingsError("\n".join(contradictions))

    def _contradictions(self) -> Iterator[str]:
        if len(self.propagators) > 1 and "none" in self.propagators:
            yield "OTEL_PROPAGATORS names none together with others: keep none alone, or drop it"
        for processor in ("bsp", "blrp"):
            batch = getattr(self, f"{processor}_max_export_batch_size")
            queue = getattr(self, f"{processor}_max_queue_size")
            if batch > queue:
                prefix = f"OTEL_{processor.upper()}_"
                yield (
                    f"{prefix}MAX_EXPORT_BATCH_SIZE must not be above {prefix}MAX_QUEUE_SIZE: "
                    "raise the one or lower the other"
                )


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpVariables:
    """The OTLP exporter's variables, read once in general form and once per signal."""

    endpoint: str = setting(
        Kind(str, "an http:// or https:// URL, or for grpc also HOST:PORT"),
        "Collector to send to. Unset means `http://localhost:4318`, for `grpc` "
        "`http://localhost:4317`. To the general endpoint `v1/traces`, `v1/metrics` or `v1/logs` is added "
        "for the `http` protocols; an endpoint of one signal is used as it is.",
        default="",
    )
    protocol: Protocol = setting(one_of(Protocol), "Transport and encoding.", default="http/protobuf")
    headers: dict[str, str] = setting(
        HEADER_FIELDS, "Header fields, or gRPC metadata, sent with each request.", default_factory=dict
    )
    timeout: int = setting(
        MILLISECONDS, "Longest time of one attempt at a request; 0 means no limit.", default=10000, at_least=0
    )
    compression: Compression = setting(one_of(Compression), "Compression of requests.", default="none")
    certificate: Path | None = setting(
        EXISTING_FILE,
        "PEM file of the authorities trusted to sign the collector's certificate.",
        default=None,
    )
    client_certificate: Path | None = setting(
        EXISTING_FILE, "PEM file of the agent's certificate and its chain, for mTLS.", default=None
    )
    client_key: Path | None = setting(
        EXISTING_FILE, "PEM file of the agent's private key, for mTLS.", default=None
    )
    insecure: bool = setting(
        FLAG, "For `grpc` endpoints without a scheme: whether to go without TLS.", default=False
    )
