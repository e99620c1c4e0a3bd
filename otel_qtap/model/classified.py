# SPDX-License-Identifier: Apache-2.0
"""What may leave the process. Made by classification and by nothing else.

Objectstore accepts only ClassifiedExchange: no function behind classification can name an
unredacted body (the golden rule as a type).
"""

from dataclasses import dataclass

from otel_qtap.model.exchange import Attributes, Incomplete, Part, SpanKind
from otel_qtap.model.identity import ConnectionContext
from otel_qtap.model.trace import SpanIdentity


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Sensitive data found in a payload: where and what kind, never the value itself."""

    classifier: str
    category: str
    part: Part
    count: int


@dataclass(slots=True, kw_only=True)
class ClearedPayload:
    """A payload that passed classification; fields as in ``Payload``."""

    part: Part
    record_type: str
    head: bytes
    body: bytes
    tail: bytes
    size: int
    media_type: str
    encoding: str
    chunked: bool
    truncated: str
    redacted: bool


@dataclass(slots=True, kw_only=True)
class ClassifiedExchange:
    """An exchange with its identity, its findings, and payloads that may be stored."""

    identity: SpanIdentity
    connection: ConnectionContext
    protocol: str
    protocol_version: str
    kind: SpanKind
    name: str
    start_ns: int
    end_ns: int
    attributes: Attributes
    request: ClearedPayload | None
    response: ClearedPayload | None
    error_type: str
    is_error: bool
    incomplete: tuple[Incomplete, ...]
    findings: tuple[Finding, ...] = ()
