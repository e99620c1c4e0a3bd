# SPDX-License-Identifier: Apache-2.0
"""OTLP over gRPC (OTLP specification, "OTLP/gRPC"). Needs the extra ``grpc``."""

from typing import Final

from otel_qtap.errors import ExportError
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.otlp.transport import USER_AGENT, Attempt, Outcome, read_partial_success
from otel_qtap.telemetry.otlp.wire import fields

try:
    import grpc
except ImportError as error:
    raise ExportError(
        "OTLP protocol grpc needs grpcio: pip install 'otel-qtap[grpc]', or use http/protobuf"
    ) from error

_METHODS: Final = {
    Signal.TRACES: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    Signal.METRICS: "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
    Signal.LOGS: "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
}
_RETRYABLE: Final = frozenset(
    {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}
)
# By default a channel waits up to two minutes before it connects again; the sender's backoff suffices.
_RECONNECT: Final = (("grpc.initial_reconnect_backoff_ms", 500), ("grpc.max_reconnect_backoff_ms", 5000))
_RETRY_INFO: Final = b"type.googleapis.com/google.rpc.RetryInfo"
_STATUS_DETAILS: Final = "grpc-status-details-bin"


class GrpcTransport:
    """Calls Export of one signal's service with requests that are encoded already.

    A scheme in the endpoint decides about TLS, and ``insecure`` where there is none.

    Raises:
        ExportError: grpcio is not installed.
    """

    def __init__(self, target: OtlpTarget, signal: Signal) -> None:
        scheme, separator, rest = target.endpoint.partition("://")
        address = rest.split("/", 1)[0] if separator else target.endpoint
        plaintext = scheme == "http" if separator else target.insecure
        options = [("grpc.primary_user_agent", USER_AGENT), *_RECONNECT]
        compression = (
            grpc.Compression.Gzip if target.compression == "gzip" else grpc.Compression.NoCompression
        )
        if plaintext:
            self._channel = grpc.insecure_channel(address, options=options, compression=compression)
        else:
            credentials = grpc.ssl_channel_credentials(
                root_certificates=target.ca_certificate,
                private_key=target.client_key,
                certificate_chain=target.client_certificate,
            )
            self._channel = grpc.secure_channel(
                address, credentials, options=options, compression=compression
            )
        self._export = self._channel.unary_unary(_METHODS[signal])
        self._metadata = tuple((name.lower(), value) for name, value in target.headers)

    def send(self, body: bytes, timeout_seconds: float | None) -> Attempt:
        """Call once; see ``Transport.send``."""
        try:
            response = self._export(body, timeout=timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            return _judge(error)
        rejected, message = read_partial_success(response)
        return Attempt(outcome=Outcome.DELIVERED, rejected=rejected, message=message)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


def _judge(error: "grpc.RpcError") -> Attempt:
    reason = error.code().name
    retry_after = None
    for name, value in error.trailing_metadata() or ():
        if name == _STATUS_DETAILS:
            retry_after = _retry_delay(value)
    if reason in _RETRYABLE or (reason == "RESOURCE_EXHAUSTED" and retry_after is not None):
        return Attempt(outcome=Outcome.RETRY, reason=reason, retry_after=retry_after)
    # What a server answers to a message above its limit; with RetryInfo it is a quota instead.
    outcome = Outcome.TOO_LARGE if reason == "RESOURCE_EXHAUSTED" else Outcome.REFUSED
    return Attempt(outcome=outcome, reason=reason)


def _retry_delay(status: bytes) -> float | None:
    """Return the seconds of google.rpc.RetryInfo in a google.rpc.Status; None without one.

    Status.details (3) are Any messages {type_url 1, value 2}; RetryInfo.retry_delay (1) is a Duration
    {seconds 1, nanos 2}.
    """
    try:
        for number, detail in fields(status):
            if number != 3 or isinstance(detail, int):
                continue
            message = dict(fields(detail))
            retry_info = message.get(2, b"")
            if message.get(1) != _RETRY_INFO or isinstance(retry_info, int):
                continue
            duration = dict(fields(retry_info)).get(1, b"")
            if isinstance(duration, int):
                continue
            delay = dict(fields(duration))
            seconds, nanos = delay.get(1, 0), delay.get(2, 0)
            if isinstance(seconds, int) and isinstance(nanos, int):
                return seconds + nanos / 1e9
    except ValueError:
        return None
    return None
