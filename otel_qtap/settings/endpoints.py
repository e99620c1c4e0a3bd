# SPDX-License-Identifier: Apache-2.0
"""From the OTLP exporter's variables to where and how each signal is sent."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from otel_qtap.errors import SettingsError
from otel_qtap.settings.otel import OtlpVariables

GENERIC_PREFIX = "OTEL_EXPORTER_OTLP_"
NO_LIMIT_SECONDS = 86_400.0
"""What a timeout of 0, "no limit", becomes: longer than any peer keeps a request open."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SignalExport:
    """Where and how one signal is sent, with all rules of precedence applied."""

    exporter: Literal["otlp", "console", "none"]
    protocol: Literal["grpc", "http/protobuf", "http/json"]
    endpoint: str
    """http protocols: the whole URL of the request; grpc: a URL, or ``host:port``."""
    headers: dict[str, str] = field(repr=False)
    """Lower-case names; values are secrets."""
    timeout_seconds: float
    compression: Literal["gzip", "none"]
    certificate_path: Path | None
    client_certificate_path: Path | None
    client_key_path: Path | None
    insecure: bool
    """The connection goes without TLS."""


def resolve_export(
    signal: Literal["traces", "metrics", "logs"],
    exporter: Literal["otlp", "console", "none"],
    otlp: OtlpVariables,
    *,
    own_endpoint: bool,
) -> SignalExport:
    """Settle one signal from the variables that are in force for it.

    ``own_endpoint``: the endpoint was set for this signal, not in general. Raises SettingsError where the
    values do not fit together.
    """
    grpc = otlp.protocol == "grpc"
    if otlp.endpoint:
        prefix = f"{GENERIC_PREFIX}{signal.upper()}_" if own_endpoint else GENERIC_PREFIX
        _check_endpoint(f"{prefix}ENDPOINT", otlp.endpoint, otlp.protocol)
    endpoint = otlp.endpoint or f"http://localhost:{4317 if grpc else 4318}"
    if not grpc and not own_endpoint:
        endpoint = f"{endpoint.rstrip('/')}/v1/{signal}"
    has_scheme = "://" in endpoint
    insecure = endpoint.lower().startswith("http:") if has_scheme else otlp.insecure

    certificate, key = otlp.client_certificate, otlp.client_key
    if (certificate is None) != (key is None):
        have, lack = (
            ("CLIENT_CERTIFICATE", "CLIENT_KEY") if certificate else ("CLIENT_KEY", "CLIENT_CERTIFICATE")
        )
        raise SettingsError(
            f"{GENERIC_PREFIX}{have} needs {GENERIC_PREFIX}{lack} beside it: set both, or neither for TLS "
            "without a client certificate"
        )
    return SignalExport(
        exporter=exporter,
        protocol=otlp.protocol,
        endpoint=endpoint,
        headers=otlp.headers,
        timeout_seconds=otlp.timeout / 1000 or NO_LIMIT_SECONDS,
        compression=otlp.compression,
        certificate_path=otlp.certificate,
        client_certificate_path=certificate,
        client_key_path=key,
        insecure=insecure,
    )


def _check_endpoint(variable: str, endpoint: str, protocol: str) -> None:
    """Raise SettingsError unless ``endpoint`` is one that ``protocol`` can use. The value is not repeated."""
    wants = "wants an http:// or https:// URL"
    if protocol == "grpc":
        wants += " or HOST:PORT"
    try:
        has_scheme = "://" in endpoint
        parts = urlsplit(endpoint if has_scheme else f"//{endpoint}")
        host, port = parts.hostname, parts.port
    except ValueError:
        raise SettingsError(f"{variable} {wants}; it holds one whose host or port is malformed") from None
    if parts.username is not None:
        raise SettingsError(
            f"{variable} holds a user name or a password: move it to {GENERIC_PREFIX}HEADERS, as "
            "authorization=Basic%20... with the base64 of user:password"
        )
    if has_scheme and parts.scheme.lower() not in ("http", "https"):
        raise SettingsError(f"{variable} {wants}; it holds a URL of another scheme")
    if not host:
        raise SettingsError(f"{variable} {wants}; it holds one without a host")
    if not has_scheme and (protocol != "grpc" or port is None):
        raise SettingsError(f"{variable} {wants}; it holds {len(endpoint)} characters without a scheme")
    if parts.query or parts.fragment:
        raise SettingsError(f"{variable} {wants} without a query or fragment; it holds one with")
