# SPDX-License-Identifier: Apache-2.0
"""Two messages to one Exchange: payloads, span name, status, times, propagation fields."""

from otel_qtap.model.exchange import Attributes, Exchange, Incomplete, Part, Payload, SpanKind
from otel_qtap.model.identity import ConnectionContext
from otel_qtap.protocols import semconv
from otel_qtap.protocols.http1.attributes import AttributeBuilder
from otel_qtap.protocols.http1.framing import transfer_codings
from otel_qtap.protocols.http1.message import Fields, Message

PROTOCOL = "http"
CONNECTION_CLOSED = "connection_closed"
"""``error.type`` where the connection closed before the exchange was over."""

PROPAGATION_FIELDS: dict[bytes, str] = {
    name.encode(): name
    for name in (
        *("traceparent", "tracestate", "b3"),
        *("x-b3-traceid", "x-b3-spanid", "x-b3-parentspanid", "x-b3-sampled", "x-b3-flags"),
        "x-amzn-trace-id",
    )
}
"""W3C Trace Context, B3 single and multi, X-Ray. Baggage is not among them: it is data of the user."""

MAX_PROPAGATION_BYTES = 1024
"""Twice what W3C asks for tracestate; a longer value is no trace context."""

_PROPAGATION_NAMES = frozenset(PROPAGATION_FIELDS)
_REQUEST_TYPE = "application/http; msgtype=request"
_RESPONSE_TYPE = "application/http; msgtype=response"
_NO_FIELDS: dict[str, str] = {}


class ExchangeBuilder:
    """Builds the exchanges of one connection; what repeats on it is made once per context."""

    __slots__ = ("_attributes", "_base", "_context")

    def __init__(self, attributes: AttributeBuilder) -> None:
        self._attributes = attributes
        self._context: ConnectionContext | None = None
        self._base: Attributes = {}

    def build(
        self,
        context: ConnectionContext,
        kind: SpanKind,
        request: Message | None,
        response: Message | None,
        *,
        closed: bool,
        counted: bool = True,
    ) -> Exchange:
        """Build one exchange; one of the messages may be missing.

        ``closed``: the connection was closed by the peers, so that what is missing never came. ``counted``:
        nothing speaks against the stream's offsets.
        """
        builder = self._attributes
        if context is not self._context:
            self._context = context
            self._base = builder.connection_attributes(context)
        attributes = self._base.copy()
        error_type = ""
        incomplete: tuple[Incomplete, ...] = ()
        propagation = _NO_FIELDS
        if request is not None:
            builder.add_request(attributes, request, context, kind)
            incomplete = request.flaws
            propagation = _propagation(request.fields)
        else:
            attributes[semconv.HTTP_REQUEST_METHOD] = semconv.OTHER
        if response is not None:
            builder.add_response(attributes, response, kind)
            if response.flaws:
                incomplete = tuple(dict.fromkeys((*incomplete, *response.flaws)))
            status = response.status
            # Status of HTTP spans: 5xx is an error to both sides, 4xx to the client.
            if status >= 500 or (status >= 400 and kind is SpanKind.CLIENT):
                error_type = str(status)
        if closed and not error_type and Incomplete.CONNECTION_ENDED in incomplete:
            error_type = CONNECTION_CLOSED
        first = request or response
        last = response or request
        assert first is not None
        assert last is not None
        if request is None:
            attributes[semconv.NETWORK_PROTOCOL_VERSION] = first.version
        method = attributes[semconv.HTTP_REQUEST_METHOD]
        return Exchange(
            connection=context,
            protocol=PROTOCOL,
            protocol_version=first.version,
            kind=kind,
            name=method if type(method) is str and method != semconv.OTHER else "HTTP",
            start_ns=first.start_ns,
            end_ns=max(first.start_ns, last.end_ns),
            attributes=attributes,
            request=_payload(request, Part.REQUEST, _REQUEST_TYPE) if request is not None else None,
            response=_payload(response, Part.RESPONSE, _RESPONSE_TYPE) if response is not None else None,
            error_type=error_type,
            is_error=error_type != "",
            incomplete=incomplete,
            propagation=propagation,
            request_offset=request.offset if request is not None and counted else -1,
        )


def _payload(message: Message, part: Part, record_type: str) -> Payload:
    fields = message.fields
    body = message.body
    media_type = fields.get(b"content-type")
    encoding = fields.get(b"content-encoding")
    return Payload(
        part=part,
        record_type=record_type,
        head=message.head,
        body=body if type(body) is bytes else bytes(body),
        tail=message.tail,
        size=message.size,
        media_type=_media_type(media_type) if media_type is not None else "",
        encoding=_encoding(message, encoding) if encoding is not None or message.chunked else "",
        chunked=message.chunked,
        truncated=message.truncated,
    )


def _media_type(value: bytes) -> str:
    return str(value.partition(b";")[0].strip(), "ascii", "replace").lower()


def _encoding(message: Message, content_encoding: bytes | None) -> str:
    """Content codings, then transfer codings other than chunked, in the order of application."""
    codings: list[bytes] = []
    if content_encoding is not None:
        codings = [item.strip() for item in content_encoding.lower().split(b",")]
    codings += [coding for coding in transfer_codings(message) if coding != b"chunked"]
    return ", ".join(str(coding, "ascii", "replace") for coding in codings)


def _propagation(fields: Fields) -> dict[str, str]:
    if _PROPAGATION_NAMES.isdisjoint(fields):
        return _NO_FIELDS
    return {
        text: str(value, "ascii", "replace")
        for name, text in PROPAGATION_FIELDS.items()
        if (value := fields.get(name)) is not None and len(value) <= MAX_PROPAGATION_BYTES
    }
