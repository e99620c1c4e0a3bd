# SPDX-License-Identifier: Apache-2.0
"""Attribute names of OpenTelemetry semantic conventions 1.44.0, as far as protocols use them.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/ and the registries it refers to.
"""

from typing import Final

CLIENT_ADDRESS: Final = "client.address"
HTTP_REQUEST_BODY_SIZE: Final = "http.request.body.size"
HTTP_REQUEST_HEADER: Final = "http.request.header."
HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_REQUEST_METHOD_ORIGINAL: Final = "http.request.method_original"
HTTP_RESPONSE_BODY_SIZE: Final = "http.response.body.size"
HTTP_RESPONSE_HEADER: Final = "http.response.header."
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
NETWORK_LOCAL_ADDRESS: Final = "network.local.address"
NETWORK_LOCAL_PORT: Final = "network.local.port"
NETWORK_PEER_ADDRESS: Final = "network.peer.address"
NETWORK_PEER_PORT: Final = "network.peer.port"
NETWORK_PROTOCOL_VERSION: Final = "network.protocol.version"
NETWORK_TRANSPORT: Final = "network.transport"
SERVER_ADDRESS: Final = "server.address"
SERVER_PORT: Final = "server.port"
URL_FULL: Final = "url.full"
URL_PATH: Final = "url.path"
URL_QUERY: Final = "url.query"
URL_SCHEME: Final = "url.scheme"
USER_AGENT_ORIGINAL: Final = "user_agent.original"

OTHER: Final = "_OTHER"
"""Value of http.request.method for a method that is not known."""
REDACTED: Final = "REDACTED"
"""What stands where a sensitive value stood."""
