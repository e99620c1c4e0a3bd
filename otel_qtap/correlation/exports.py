# SPDX-License-Identifier: Apache-2.0
"""OTLP on the wire: calls that carry telemetry to a collector, and the processes that send spans that way.

OTLP 1.11, "OTLP/HTTP Request" and "OTLP/gRPC"; user agents by its "User Agent" section. The path alone is
no proof: ``POST /v1/logs`` with JSON may be anybody's interface.
"""

from typing import Final

from otel_qtap.model.exchange import Exchange, SpanKind
from otel_qtap.model.identity import ConnectionContext, ProcessId

EVIDENCE: Final = "otlp_export"
"""``SpanIdentity.instrumentation`` of a process that was seen to export spans."""

_CLIENT: Final = SpanKind.CLIENT
_MAX_PROCESSES: Final = 65_536
_SIGNALS: Final = ("traces", "metrics", "logs", "profiles")
_MEDIA_TYPES: Final = frozenset(
    {"application/x-protobuf", "application/json", "application/grpc", "application/grpc+proto"}
)
_GRPC_METHODS: Final = {
    f"/opentelemetry.proto.collector.{package}.{service}Service/Export": signal
    for signal, package, service in (
        ("traces", "trace.v1", "Trace"),
        ("metrics", "metrics.v1", "Metrics"),
        ("logs", "logs.v1", "Logs"),
        ("profiles", "profiles.v1development", "Profiles"),
    )
}
_USER_AGENTS: Final = ("otel", "opentelemetry")


class OtlpExporters:
    """Remembers which processes export spans."""

    __slots__ = ("_processes",)

    def __init__(self) -> None:
        self._processes: dict[ProcessId, None] = {}

    def observe(self, exchange: Exchange) -> bool:
        """Whether the exchange is an OTLP export, of either side; who sends spans is remembered."""
        request = exchange.request
        if request is None or request.media_type not in _MEDIA_TYPES:
            return False
        signal = exported_signal(exchange)
        if signal == "traces" and exchange.kind is _CLIENT:
            processes = self._processes
            processes[exchange.connection.id.process] = None
            if len(processes) > _MAX_PROCESSES:
                del processes[next(iter(processes))]
        return signal != ""

    def include(self, connection: ConnectionContext) -> bool:
        """Whether the process of a connection was seen to export spans."""
        return bool(self._processes) and connection.id.process in self._processes


def exported_signal(exchange: Exchange) -> str:
    """Which signal (``traces``, ``metrics``, ``logs``, ``profiles``) the request exports; empty if none."""
    request = exchange.request
    attributes = exchange.attributes
    if request is None or attributes.get("http.request.method") != "POST":
        return ""
    path = str(attributes.get("url.path") or _path(str(attributes.get("url.full", ""))))
    if request.media_type.startswith("application/grpc"):
        return _GRPC_METHODS.get(path, "")
    head, _, signal = path.rpartition("/")
    if signal not in _SIGNALS or not head.endswith("/v1"):
        return ""
    if request.media_type == "application/json":
        agent = str(attributes.get("user_agent.original", "")).lower()
        return signal if agent.startswith(_USER_AGENTS) else ""
    return signal if request.media_type == "application/x-protobuf" else ""


def _path(url: str) -> str:
    """The path of an absolute URL that was seen on the wire: whatever it is, this does not raise."""
    return "/" + url.partition("://")[2].partition("?")[0].partition("/")[2]
