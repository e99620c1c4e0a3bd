# SPDX-License-Identifier: Apache-2.0
"""Where one signal is sent, and how."""

from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlsplit

Protocol = Literal["grpc", "http/protobuf", "http/json"]
Compression = Literal["gzip", "none"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpTarget:
    """One OTLP destination, settled: nothing of it is read from files or the environment later.

    ``endpoint`` is the final URL for HTTP (``http://localhost:4318/v1/traces``), and a URL or
    ``host:port`` for gRPC, where ``insecure`` decides about TLS if there is no scheme.
    ``headers`` may hold credentials: they are neither logged nor shown. Certificates and keys are PEM.
    """

    protocol: Protocol
    endpoint: str
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    timeout_seconds: float = 10.0
    compression: Compression = "none"
    ca_certificate: bytes | None = field(default=None, repr=False)
    client_certificate: bytes | None = field(default=None, repr=False)
    client_key: bytes | None = field(default=None, repr=False)
    insecure: bool = False

    @property
    def display_name(self) -> str:
        """The endpoint, fit for a log line."""
        return display_name(self.endpoint)


def display_name(endpoint: str) -> str:
    """A URL, or ``host:port``, without user, password, path and query."""
    parts = urlsplit(endpoint if "://" in endpoint else f"//{endpoint}")
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    address = f"{host}:{parts.port}" if parts.port else str(host)
    return f"{parts.scheme}://{address}" if parts.scheme else address
