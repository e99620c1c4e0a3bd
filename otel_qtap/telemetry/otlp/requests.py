# SPDX-License-Identifier: Apache-2.0
"""Export…ServiceRequest: what a collector is sent, for any signal.

Traces, logs and metrics share one shape: resource entries (field 1) that hold a resource (1), scope
entries (2) and a schema URL (3); scope entries that hold a scope (1), items (2) and a schema URL (3).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from otel_qtap.telemetry.otlp.wire import delimited, fields, utf8, varint

_ENTRY = b"\x0a"
_OWNER = b"\x0a"
_INNER = b"\x12"
_SCHEMA_URL = b"\x1a"


class Signal(StrEnum):
    """The signals of OTLP that this agent sends."""

    TRACES = "traces"
    METRICS = "metrics"
    LOGS = "logs"


@dataclass(frozen=True, slots=True)
class Group:
    """Whose items they are. Made once per resource and scope and shared: batches compare by identity.

    ``resource`` and ``scope`` are the encoded messages, unframed.
    """

    resource: bytes
    scope: bytes
    schema_url: str

    @property
    def size(self) -> int:
        """Bytes that this group adds to a request, at most."""
        return len(self.resource) + len(self.scope) + 2 * len(self.schema_url) + 32


@dataclass(frozen=True, slots=True)
class ExportRequest:
    """An encoded request (protocol buffer, not compressed) and how many items it carries."""

    body: bytes
    items: int


def instrumentation_scope(name: str, version: str) -> bytes:
    """Encode an InstrumentationScope message."""
    return delimited(b"\x0a", utf8(name)) + delimited(b"\x12", utf8(version))


def export_request(items: Iterable[tuple[Group, bytes]]) -> ExportRequest:
    """Join framed items into one request, each resource and each scope of it once."""
    count = 0
    by_resource: dict[bytes, dict[int, tuple[Group, list[bytes]]]] = {}
    for group, item in items:
        count += 1
        scopes = by_resource.setdefault(group.resource, {})
        scope = scopes.get(id(group))
        if scope is None:
            scope = scopes[id(group)] = (group, [])
        scope[1].append(item)
    # Lengths first, then one join: a request is a megabyte, and every level would copy it again.
    chunks: list[bytes] = []
    for resource, scopes in by_resource.items():
        owner = delimited(_OWNER, resource)
        size = len(owner)
        inner: list[bytes] = []
        schema_url = b""
        for group, scope_items in scopes.values():
            schema_url = delimited(_SCHEMA_URL, utf8(group.schema_url))
            owner_scope = delimited(_OWNER, group.scope)
            scope_size = len(owner_scope) + sum(map(len, scope_items)) + len(schema_url)
            header = _INNER + varint(scope_size)
            inner += (header, owner_scope, *scope_items, schema_url)
            size += len(header) + scope_size
        chunks += (_ENTRY + varint(size + len(schema_url)), owner, *inner, schema_url)
    return ExportRequest(b"".join(chunks), count)


def split_request(request: ExportRequest) -> tuple[ExportRequest, ExportRequest]:
    """Cut a request of at least two items into two halves, for a collector that finds it too large.

    Raises:
        ValueError: ``request`` was not made by an OTLP encoder.
    """
    half = request.items // 2
    first, second = _Half(), _Half()
    taken = 0
    for _, entry in fields(request.body):
        resource, scope_entries, resource_schema = _parts(entry)
        for scope_entry in scope_entries:
            scope, items, scope_schema = _parts(scope_entry)
            cut = min(max(half - taken, 0), len(items))
            taken += len(items)
            first.add(resource, resource_schema, scope, scope_schema, items[:cut])
            second.add(resource, resource_schema, scope, scope_schema, items[cut:])
    return first.request(), second.request()


class _Half:
    """One half of a request that is being split."""

    def __init__(self) -> None:
        self._entries: list[bytes] = []
        self._items = 0

    def add(
        self, resource: bytes, resource_schema: bytes, scope: bytes, scope_schema: bytes, items: list[bytes]
    ) -> None:
        if not items:
            return
        self._items += len(items)
        inner = b"".join((scope, *(delimited(_INNER, item) for item in items), scope_schema))
        self._entries.append(delimited(_ENTRY, resource + delimited(_INNER, inner) + resource_schema))

    def request(self) -> ExportRequest:
        return ExportRequest(b"".join(self._entries), self._items)


def _parts(entry: int | bytes) -> tuple[bytes, list[bytes], bytes]:
    """Return the owner (framed), the inner messages (unframed) and the schema URL (framed) of an entry."""
    if isinstance(entry, int):
        raise ValueError("a number where an entry belongs")
    owner = schema_url = b""
    inner: list[bytes] = []
    for number, value in fields(entry):
        if isinstance(value, int):
            raise ValueError("a number where a message belongs")
        if number == 1:
            owner = delimited(_OWNER, value)
        elif number == 2:
            inner.append(value)
        elif number == 3:
            schema_url = delimited(_SCHEMA_URL, value)
    return owner, inner, schema_url
