# SPDX-License-Identifier: Apache-2.0
"""Exchanges as classification hands them on, for tests of what stores them."""

import os
from collections.abc import Callable
from itertools import count

from otel_qtap.model.classified import ClassifiedExchange, ClearedPayload
from otel_qtap.model.exchange import Attributes, Part, SpanKind
from otel_qtap.model.identity import ConnectionContext, ConnectionId, Endpoint, ProcessFacts, ProcessId, Role
from otel_qtap.model.record import Record
from otel_qtap.model.trace import SpanIdentity, SpanTarget
from otel_qtap.objectstore.archive import Archive

SECOND = 1_000_000_000
BOOT_UNIX_NS = 1_795_500_000 * SECOND
"""When the machine of these tests was booted: 2026-11-24T06:00:00Z."""

REQUEST_HEAD = b"GET /v1/items?id=7 HTTP/1.1\r\nHost: api.example.com\r\nAccept: */*\r\n\r\n"


def request(head: bytes = REQUEST_HEAD, body: bytes = b"", **fields: object) -> ClearedPayload:
    return _payload(Part.REQUEST, head, body, fields)


def response(body: bytes = b"hello", head: bytes | None = None, **fields: object) -> ClearedPayload:
    if head is None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(body)
    return _payload(Part.RESPONSE, head, body, fields)


def chunked_response(body: bytes, tail: bytes = b"") -> ClearedPayload:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
    return response(body, head, chunked=True, tail=tail)


def _payload(part: Part, head: bytes, body: bytes, fields: dict[str, object]) -> ClearedPayload:
    known: dict[str, object] = {
        "part": part,
        "record_type": f"application/http; msgtype={part.value}",
        "head": head,
        "body": body,
        "tail": b"",
        "size": len(body),
        "media_type": "text/plain",
        "encoding": "",
        "chunked": False,
        "truncated": "",
        "redacted": False,
    }
    return ClearedPayload(**{**known, **fields})  # type: ignore[arg-type]


def connection(
    service: str = "checkout", *, role: Role = Role.CLIENT, executable: str = ""
) -> ConnectionContext:
    return ConnectionContext(
        id=ConnectionId(4711, 1, 0xAB00, 0),
        role=role,
        local=Endpoint("10.0.0.1", 50000),
        remote=Endpoint("10.0.0.7", 443),
        facts=ProcessFacts(process=ProcessId(4711, 1), service_name=service, executable=executable),
    )


def exchange(
    request_payload: ClearedPayload | None = None,
    response_payload: ClearedPayload | None = None,
    *,
    service: str = "checkout",
    context: ConnectionContext | None = None,
    at_ns: int = SECOND,
    attributes: Attributes | None = None,
) -> ClassifiedExchange:
    known: Attributes = {
        "server.address": "api.example.com",
        "server.port": 443,
        "url.full": "https://api.example.com/v1/items?id=REDACTED",
    }
    return ClassifiedExchange(
        identity=SpanIdentity(trace_id=os.urandom(16), span_id=os.urandom(8)),
        connection=context or connection(service),
        protocol="http",
        protocol_version="1.1",
        kind=SpanKind.CLIENT,
        name="GET",
        start_ns=at_ns,
        end_ns=at_ns,
        attributes=known if attributes is None else attributes,
        request=request_payload,
        response=response_payload,
        error_type="",
        is_error=False,
        incomplete=(),
    )


def counting_targets() -> Callable[[], SpanTarget]:
    """Upload targets that are told apart by their number."""
    numbers = count(1)

    def new_target() -> SpanTarget:
        number = next(numbers)
        return SpanTarget(trace_id=number.to_bytes(16, "big"), span_id=number.to_bytes(8, "big"))

    return new_target


def submit(archive: Archive, item: ClassifiedExchange) -> Record:
    """Submit one exchange by itself."""
    (record,) = archive.submit([item])
    return record
