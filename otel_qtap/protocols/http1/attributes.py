# SPDX-License-Identifier: Apache-2.0
"""Span attributes of an HTTP exchange, by semantic conventions 1.44.0.

https://opentelemetry.io/docs/specs/semconv/http/http-spans/

CLIENT  method, url.full, server.address and .port (absolute-form target, else Host, else the peer)
SERVER  method, url.path, url.query, url.scheme, client.address, and server.address and .port by what
        the convention calls the original host (Forwarded, X-Forwarded-Host, target, Host)
both    status code, body sizes, protocol version, network.*, user agent, allow-listed fields

``error.type`` is a field of Exchange, and what telemetry makes of it. ``network.peer.*`` stays absent
where the socket is not known: it is never guessed.
"""

from collections.abc import Callable
from typing import TypeVar

from otel_qtap.model.exchange import Attributes, SpanKind
from otel_qtap.model.identity import ConnectionContext
from otel_qtap.protocols import semconv
from otel_qtap.protocols.http1.message import Fields, Message
from otel_qtap.protocols.http1.options import HeaderTable, HttpOptions
from otel_qtap.protocols.http1.target import (
    Authority,
    Target,
    parse_authority,
    parse_forwarded,
    parse_node_address,
    parse_target,
)

MAX_USER_AGENT_CHARACTERS = 512
MAX_METHOD_CHARACTERS = 32
CACHED_VALUES = 1024
MAX_CACHED_KEY_BYTES = 512

_DEFAULT_PORTS = {"http": 80, "https": 443}

Value = TypeVar("Value")


class AttributeBuilder:
    """Builds attributes; shared by all connections, with bounded caches of what repeats between them."""

    __slots__ = ("_authorities", "_nodes", "_options", "_targets", "_user_agents")

    def __init__(self, options: HttpOptions) -> None:
        self._options = options
        self._targets: dict[bytes, Target] = {}
        self._authorities: dict[bytes, Authority | None] = {}
        self._user_agents: dict[bytes, str] = {}
        self._nodes: dict[bytes, str] = {}

    def method(self, request: Message | None) -> str:
        """The method by its known name, or ``_OTHER``."""
        if request is None:
            return semconv.OTHER
        return self._options.known_methods.get(request.method, semconv.OTHER)

    def connection_attributes(self, context: ConnectionContext) -> Attributes:
        """What is the same for every exchange of a connection."""
        attributes: Attributes = {semconv.NETWORK_TRANSPORT: "tcp"}
        if context.remote is not None:
            attributes[semconv.NETWORK_PEER_ADDRESS] = context.remote.address
            attributes[semconv.NETWORK_PEER_PORT] = context.remote.port
        if context.local is not None:
            attributes[semconv.NETWORK_LOCAL_ADDRESS] = context.local.address
            attributes[semconv.NETWORK_LOCAL_PORT] = context.local.port
        return attributes

    def add_request(
        self, attributes: Attributes, request: Message, context: ConnectionContext, kind: SpanKind
    ) -> None:
        """Add what the request says."""
        fields = request.fields
        method = request.method
        known = self._options.known_methods.get(method)
        if known is None:
            attributes[semconv.HTTP_REQUEST_METHOD] = semconv.OTHER
            attributes[semconv.HTTP_REQUEST_METHOD_ORIGINAL] = str(method, "ascii", "replace")[
                :MAX_METHOD_CHARACTERS
            ]
        else:
            attributes[semconv.HTTP_REQUEST_METHOD] = known
        attributes[semconv.NETWORK_PROTOCOL_VERSION] = request.version
        if request.size_known:
            attributes[semconv.HTTP_REQUEST_BODY_SIZE] = request.size
        target = self._target(request)
        if kind is SpanKind.CLIENT:
            self._add_client_url(attributes, target, fields, context)
        else:
            self._add_server_url(attributes, target, fields, context)
        user_agent = fields.get(b"user-agent")
        if user_agent is not None:
            attributes[semconv.USER_AGENT_ORIGINAL] = _cached(self._user_agents, user_agent, _user_agent_text)
        table = self._options.request_headers[kind]
        if table:
            _add_headers(attributes, fields, table)

    def add_response(self, attributes: Attributes, response: Message, kind: SpanKind) -> None:
        """Add what the response says."""
        attributes[semconv.HTTP_RESPONSE_STATUS_CODE] = response.status
        if response.size_known:
            attributes[semconv.HTTP_RESPONSE_BODY_SIZE] = response.size
        table = self._options.response_headers[kind]
        if table:
            _add_headers(attributes, response.fields, table)

    def _target(self, request: Message) -> Target:
        raw = request.target
        if request.method == b"CONNECT":
            return parse_target(raw, request.method, self._options.query_allow)
        target = self._targets.get(raw)
        if target is None:
            target = parse_target(raw, request.method, self._options.query_allow)
            _remember(self._targets, raw, target)
        return target

    def _authority(self, value: bytes | None) -> Authority | None:
        return _cached(self._authorities, value, parse_authority) if value else None

    def _add_client_url(
        self, attributes: Attributes, target: Target, fields: Fields, context: ConnectionContext
    ) -> None:
        authority = self._authority(target.authority) or self._authority(fields.get(b"host"))
        if authority is None and context.remote is not None:
            authority = Authority(context.remote.address, context.remote.port)
        scheme = target.scheme or "https"
        path = "" if target.path == "*" else target.path
        if target.query is not None:
            path = f"{path}?{target.query}"
        if authority is None:
            attributes[semconv.URL_FULL] = path
            return
        host, port = authority
        attributes[semconv.SERVER_ADDRESS] = host
        attributes[semconv.SERVER_PORT] = port if port is not None else _DEFAULT_PORTS.get(scheme, 443)
        credentials = f"{semconv.REDACTED}:{semconv.REDACTED}@" if target.has_credentials else ""
        shown_host = f"[{host}]" if ":" in host else host
        shown_port = "" if port is None else f":{port}"
        attributes[semconv.URL_FULL] = f"{scheme}://{credentials}{shown_host}{shown_port}{path}"

    def _add_server_url(
        self, attributes: Attributes, target: Target, fields: Fields, context: ConnectionContext
    ) -> None:
        forwarded_field = fields.get(b"forwarded")
        forwarded = parse_forwarded(forwarded_field) if forwarded_field is not None else {}
        scheme = _forwarded_scheme(forwarded, fields) or target.scheme or "https"
        attributes[semconv.URL_SCHEME] = scheme
        attributes[semconv.URL_PATH] = target.path
        if target.query is not None:
            attributes[semconv.URL_QUERY] = target.query
        authority = (
            self._authority(forwarded.get("host"))
            or self._authority(_first(fields.get(b"x-forwarded-host")))
            or self._authority(target.authority)
            or self._authority(fields.get(b"host"))
        )
        if authority is not None:
            host, port = authority
            attributes[semconv.SERVER_ADDRESS] = host
            attributes[semconv.SERVER_PORT] = port if port is not None else _DEFAULT_PORTS.get(scheme, 443)
        node = forwarded.get("for") or _first(fields.get(b"x-forwarded-for"))
        client = _cached(self._nodes, node, parse_node_address) if node else ""
        if client:
            attributes[semconv.CLIENT_ADDRESS] = client
        elif context.remote is not None:
            attributes[semconv.CLIENT_ADDRESS] = context.remote.address


def _forwarded_scheme(forwarded: dict[str, bytes], fields: Fields) -> str:
    value = forwarded.get("proto") or _first(fields.get(b"x-forwarded-proto"))
    scheme = str(value, "ascii", "replace").lower() if value else ""
    return scheme if scheme in _DEFAULT_PORTS else ""


def _first(value: bytes | None) -> bytes | None:
    return value.partition(b",")[0].strip() if value is not None else None


def _add_headers(attributes: Attributes, fields: Fields, table: HeaderTable) -> None:
    for name, attribute in table:
        value = fields.get(name)
        if value is not None:
            attributes[attribute] = (str(value, "utf-8", "replace"),)


def _user_agent_text(value: bytes) -> str:
    return str(value, "utf-8", "replace")[:MAX_USER_AGENT_CHARACTERS]


def _cached(cache: dict[bytes, Value], key: bytes, make: Callable[[bytes], Value]) -> Value:
    try:
        return cache[key]
    except KeyError:
        value = make(key)
        _remember(cache, key, value)
        return value


def _remember(cache: dict[bytes, Value], key: bytes, value: Value) -> None:
    if len(key) <= MAX_CACHED_KEY_BYTES:
        if len(cache) >= CACHED_VALUES:
            cache.clear()
        cache[key] = value
