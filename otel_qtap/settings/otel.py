# SPDX-License-Identifier: Apache-2.0
"""The standard ``OTEL_*`` variables that this agent honours, with the specification's meaning and default.

Sources: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ and
https://opentelemetry.io/docs/specs/otel/protocol/exporter/. One deviation, on purpose: a value that the
specification would warn about and ignore is refused at start.
"""

from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator
from pydantic_settings import SettingsConfigDict

from otel_qtap.settings.values import (
    CommaList,
    Count,
    ExistingFile,
    Flag,
    HeaderFields,
    HeaderNames,
    KeyValues,
    Milliseconds,
    Wants,
    word,
    word_list,
)
from otel_qtap.settings.variables import Variables

SIGNALS: tuple[Literal["traces", "metrics", "logs"], ...] = ("traces", "metrics", "logs")

Exporter = Annotated[Literal["otlp", "console", "none"], BeforeValidator(word)]
Protocol = Annotated[Literal["grpc", "http/protobuf", "http/json"], BeforeValidator(word)]
Compression = Annotated[Literal["gzip", "none"], BeforeValidator(word)]
Propagator = Literal["tracecontext", "baggage", "b3", "b3multi", "xray", "none"]
Sampler = Literal[
    "always_on", "always_off", "traceidratio",
    "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio",
]  # fmt: skip

# RFC 9110 section 9.3, RFC 5789 (PATCH) and QUERY: the known methods of the HTTP conventions.
KNOWN_METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE", "QUERY")


class StandardVariables(Variables):
    """Every honoured ``OTEL_*`` variable that is not one of the OTLP exporter's."""

    model_config = SettingsConfigDict(env_prefix="OTEL_", enable_decoding=False, frozen=True, extra="ignore")

    sdk_disabled: Flag = Field(False, description="Send no telemetry at all; payloads are still stored.")
    service_name: str = Field("otel-qtap", description="`service.name` of the agent's own telemetry.")
    resource_attributes: KeyValues = Field(
        {}, description="Resource attributes of the agent's own telemetry."
    )
    log_level: Annotated[Literal["debug", "info", "warn", "error"], BeforeValidator(word)] = Field(
        "info", description="Least severe level that the agent logs."
    )
    propagators: Annotated[
        tuple[Propagator, ...],
        BeforeValidator(word_list),
        Wants("a comma-separated list of tracecontext, baggage, b3, b3multi, xray, or none alone"),
    ] = Field(("tracecontext", "baggage"), description="Trace propagation formats recognised on the wire.")
    traces_sampler: Annotated[Sampler, BeforeValidator(word)] = Field(
        "parentbased_always_on", description="Which exchanges become exported spans."
    )
    traces_sampler_arg: Annotated[
        float, Wants("a ratio from 0 to 1, where the sampler is a traceidratio")
    ] = Field(1.0, ge=0, le=1, description="Ratio of the `traceidratio` samplers.")

    traces_exporter: Exporter = Field("otlp", description="Where spans go.")
    metrics_exporter: Exporter = Field("otlp", description="Where metrics go.")
    logs_exporter: Exporter = Field("otlp", description="Where log events go.")

    exporter_otlp_metrics_temporality_preference: Annotated[
        Literal["cumulative", "delta", "lowmemory"], BeforeValidator(word)
    ] = Field("cumulative", description="Aggregation temporality of exported metrics.")
    exporter_otlp_metrics_default_histogram_aggregation: Annotated[
        Literal["explicit_bucket_histogram", "base2_exponential_bucket_histogram"], BeforeValidator(word)
    ] = Field("explicit_bucket_histogram", description="Aggregation of histograms.")

    bsp_schedule_delay: Milliseconds = Field(5000, ge=0, description="Longest wait of a span for its batch.")
    bsp_export_timeout: Milliseconds = Field(
        30000, ge=0, description="Longest time to export a batch of spans."
    )
    bsp_max_queue_size: Count = Field(
        2048, ge=1, description="Spans held for export; more are dropped and counted."
    )
    bsp_max_export_batch_size: Count = Field(512, ge=1, description="Spans per batch.")
    blrp_schedule_delay: Milliseconds = Field(
        1000, ge=0, description="Longest wait of a log event for its batch."
    )
    blrp_export_timeout: Milliseconds = Field(
        30000, ge=0, description="Longest time to export a batch of log events."
    )
    blrp_max_queue_size: Count = Field(
        2048, ge=1, description="Log events held for export; more are dropped and counted."
    )
    blrp_max_export_batch_size: Count = Field(512, ge=1, description="Log events per batch.")
    metric_export_interval: Milliseconds = Field(
        60000, ge=1, description="Time between two exports of metrics."
    )
    metric_export_timeout: Milliseconds = Field(30000, ge=0, description="Longest time to export metrics.")

    attribute_value_length_limit: Count | None = Field(
        None, ge=0, description="Longest string value of an attribute, in characters; unset means no limit."
    )
    attribute_count_limit: Count = Field(128, ge=0, description="Most attributes of a span or log event.")
    span_attribute_value_length_limit: Count | None = Field(
        None, ge=0, description="The same for span attributes; unset means the general limit."
    )
    span_attribute_count_limit: Count | None = Field(
        None, ge=0, description="Most attributes of a span; unset means the general limit."
    )
    span_event_count_limit: Count = Field(128, ge=0, description="Most events of a span.")
    span_link_count_limit: Count = Field(128, ge=0, description="Most links of a span.")
    event_attribute_count_limit: Count = Field(128, ge=0, description="Most attributes of a span event.")
    link_attribute_count_limit: Count = Field(128, ge=0, description="Most attributes of a span link.")
    logrecord_attribute_value_length_limit: Count | None = Field(
        None,
        ge=0,
        description="Longest string value of a log event's attribute; unset means the general limit.",
    )
    logrecord_attribute_count_limit: Count | None = Field(
        None, ge=0, description="Most attributes of a log event; unset means the general limit."
    )

    instrumentation_http_known_methods: CommaList = Field(
        KNOWN_METHODS,
        description="HTTP methods reported as they are; all others are reported as `_OTHER`.",
    )
    instrumentation_http_capture_headers_client_request: HeaderNames = Field(
        (), description="Header fields of requests sent by observed clients that become span attributes."
    )
    instrumentation_http_capture_headers_client_response: HeaderNames = Field(
        (), description="Header fields of responses received by observed clients that become span attributes."
    )
    instrumentation_http_capture_headers_server_request: HeaderNames = Field(
        (), description="Header fields of requests received by observed servers that become span attributes."
    )
    instrumentation_http_capture_headers_server_response: HeaderNames = Field(
        (), description="Header fields of responses sent by observed servers that become span attributes."
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

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if len(self.propagators) > 1 and "none" in self.propagators:
            raise ValueError("OTEL_PROPAGATORS names none together with others: keep none alone, or drop it")
        for processor in ("bsp", "blrp"):
            batch = getattr(self, f"{processor}_max_export_batch_size")
            queue = getattr(self, f"{processor}_max_queue_size")
            if batch > queue:
                prefix = f"OTEL_{processor.upper()}_"
                raise ValueError(
                    f"{prefix}MAX_EXPORT_BATCH_SIZE must not be above {prefix}MAX_QUEUE_SIZE: "
                    "raise the one or lower the other"
                )
        return self


class OtlpVariables(Variables):
    """The OTLP exporter's variables, read once in general form and once per signal."""

    model_config = SettingsConfigDict(
        env_prefix="OTEL_EXPORTER_OTLP_", enable_decoding=False, frozen=True, extra="ignore"
    )

    endpoint: Annotated[str, Wants("an http:// or https:// URL, or for grpc also HOST:PORT")] = Field(
        "",
        description="Collector to send to. Unset means `http://localhost:4318`, for `grpc` "
        "`http://localhost:4317`. To the general endpoint `v1/traces`, `v1/metrics` or `v1/logs` is added "
        "for the `http` protocols; an endpoint of one signal is used as it is.",
    )
    protocol: Protocol = Field("http/protobuf", description="Transport and encoding.")
    headers: HeaderFields = Field(
        {}, repr=False, description="Header fields, or gRPC metadata, sent with each request."
    )
    timeout: Milliseconds = Field(
        10000, ge=0, description="Longest time of one attempt at a request; 0 means no limit."
    )
    compression: Compression = Field("none", description="Compression of requests.")
    certificate: ExistingFile | None = Field(
        None, description="PEM file of the authorities trusted to sign the collector's certificate."
    )
    client_certificate: ExistingFile | None = Field(
        None, description="PEM file of the agent's certificate and its chain, for mTLS."
    )
    client_key: ExistingFile | None = Field(
        None, description="PEM file of the agent's private key, for mTLS."
    )
    insecure: Flag = Field(
        False, description="For `grpc` endpoints without a scheme: whether to go without TLS."
    )
