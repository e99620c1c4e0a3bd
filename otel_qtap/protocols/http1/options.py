# SPDX-License-Identifier: Apache-2.0
"""What of HTTP may stand in telemetry, compiled for the hot path."""

from collections.abc import Iterable

from otel_qtap.model.exchange import SpanKind
from otel_qtap.protocols.semconv import HTTP_REQUEST_HEADER, HTTP_RESPONSE_HEADER

KNOWN_METHODS = ("CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "QUERY", "TRACE")
"""RFC 9110 section 9, RFC 5789, and QUERY: the default of OTEL_INSTRUMENTATION_HTTP_KNOWN_METHODS."""

HeaderTable = tuple[tuple[bytes, str], ...]
"""Lower-case field name and the attribute that shows it."""


class HttpOptions:
    """Allow-lists; by default nothing of a header field or a query value is shown.

    client_request_headers, client_response_headers, server_request_headers, server_response_headers:
        Names of fields that become attributes of spans of that kind, in any case
        (OTEL_INSTRUMENTATION_HTTP_CAPTURE_HEADERS_*).
    query_allow: Query keys whose values stay, as they stand in the URL, case-sensitive.
    known_methods: Full list of known methods, case-sensitive; others become ``_OTHER``.
    """

    __slots__ = ("known_methods", "query_allow", "request_headers", "response_headers")

    def __init__(
        self,
        *,
        client_request_headers: Iterable[str] = (),
        client_response_headers: Iterable[str] = (),
        server_request_headers: Iterable[str] = (),
        server_response_headers: Iterable[str] = (),
        query_allow: Iterable[str] = (),
        known_methods: Iterable[str] = KNOWN_METHODS,
    ) -> None:
        self.request_headers: dict[SpanKind, HeaderTable] = {
            SpanKind.CLIENT: _header_table(HTTP_REQUEST_HEADER, client_request_headers),
            SpanKind.SERVER: _header_table(HTTP_REQUEST_HEADER, server_request_headers),
        }
        self.response_headers: dict[SpanKind, HeaderTable] = {
            SpanKind.CLIENT: _header_table(HTTP_RESPONSE_HEADER, client_response_headers),
            SpanKind.SERVER: _header_table(HTTP_RESPONSE_HEADER, server_response_headers),
        }
        self.query_allow = frozenset(query_allow)
        self.known_methods: dict[bytes, str] = {
            method.encode("utf-8", "replace"): method for method in known_methods
        }


def _header_table(prefix: str, names: Iterable[str]) -> HeaderTable:
    lower = dict.fromkeys(name.strip().lower() for name in names)
    return tuple((name.encode("utf-8", "replace"), prefix + name) for name in lower if name)
