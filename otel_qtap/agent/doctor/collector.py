# SPDX-License-Identifier: Apache-2.0
"""Whether the collector takes each signal: an empty request is sent the way the agent sends its own."""

import socket
from collections.abc import Callable
from urllib.parse import urlsplit

from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, fail, ok, skip, warn
from otel_qtap.agent.otlp_target import otlp_target
from otel_qtap.errors import ExportError, SettingsError
from otel_qtap.settings import SignalExport
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.otlp.target import OtlpTarget
from otel_qtap.telemetry.otlp.transport import Outcome as Delivery
from otel_qtap.telemetry.otlp.transport import Transport

_SECONDS = 5.0
"""Longest wait for an answer; a shorter timeout that the user set wins."""
_EMPTY_REQUEST = b""
"""An Export…ServiceRequest without items, in protocol buffers."""

_REMEDIES = {
    "timeout": "Look for a firewall between here and the collector, or correct {prefix}ENDPOINT.",
    "tls_error": "Name the authority that signed the collector's certificate in {prefix}CERTIFICATE.",
    "401": "Put credentials that the collector takes into {prefix}HEADERS.",
    "403": "Put credentials that the collector takes into {prefix}HEADERS.",
    "404": "Correct the path: the endpoint of one signal is used as it is, /v1/{signal} is not added.",
    "unauthenticated": "Put credentials that the collector takes into {prefix}HEADERS.",
    "unimplemented": "Add an OTLP receiver with {signal} to the collector's pipelines.",
}
_NOT_THERE = "Start a collector with an OTLP receiver there, or correct {prefix}ENDPOINT."
_ANY_REMEDY = "Correct {prefix}ENDPOINT, {prefix}PROTOCOL or the collector's receiver."


def collector(signal: Signal) -> Callable[[Host], Outcome]:
    """The check of one signal."""

    def look(host: Host) -> Outcome:
        export: SignalExport = getattr(host.settings, signal)
        if export.exporter != "otlp":
            return skip(f"not sent to a collector (OTEL_{signal.upper()}_EXPORTER={export.exporter})")
        return _send_nothing(signal, export)

    return look


def _send_nothing(signal: Signal, export: SignalExport) -> Outcome:
    names = {"prefix": "OTEL_EXPORTER_OTLP_", "signal": signal}
    try:
        target = otlp_target(export)
        where = f"{target.display_name} ({export.protocol})"
        unreachable = _unreachable(target)
        if unreachable:
            return fail(f"{where} cannot be reached: {unreachable}", remedy=_NOT_THERE.format_map(names))
        transport = _transport(target, signal)
    except (ExportError, SettingsError) as error:
        return fail(f"cannot be sent: {error}", remedy=_ANY_REMEDY.format_map(names))
    try:
        attempt = transport.send(_EMPTY_REQUEST, min(_SECONDS, export.timeout_seconds))
    finally:
        transport.close()
    if attempt.outcome is Delivery.DELIVERED:
        return ok(f"{where} takes {signal}")
    remedy = _REMEDIES.get(attempt.reason.lower(), _ANY_REMEDY).format_map(names)
    if attempt.reason == "429":
        return warn(
            f"{where} is reachable, but asks to come back later", remedy="Give the collector more room."
        )
    return fail(f"{where} does not take {signal}: {attempt.reason}", remedy=remedy)


def _unreachable(target: OtlpTarget) -> str:
    """Why no TCP connection can be made; empty when it can. Says it better than a failed request does."""
    endpoint = target.endpoint
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), timeout=_SECONDS).close()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def _transport(target: OtlpTarget, signal: Signal) -> Transport:
    if target.protocol == "grpc":
        from otel_qtap.telemetry.otlp.transport_grpc import GrpcTransport  # noqa: PLC0415 - an extra

        return GrpcTransport(target, signal)
    from otel_qtap.telemetry.otlp.transport_http import HttpTransport  # noqa: PLC0415 - beside the other

    return HttpTransport(target, signal)
