# SPDX-License-Identifier: Apache-2.0
"""How views of services read spans: by the rules of the collector's ``servicegraph`` connector.

A SERVER span and the CLIENT span that it names as its parent, in one trace, are one call between their
services. Either one without the other is half a call; other kinds are not looked at.
"""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.support.otlp_records import Span


@dataclass(slots=True)
class ServiceGraph:
    """``calls`` by (calling, called) service; ``unpaired`` halves by (kind, service)."""

    calls: Counter[tuple[str, str]] = field(default_factory=Counter)
    unpaired: Counter[tuple[str, str]] = field(default_factory=Counter)


def service_graph(spans: Iterable[Span]) -> ServiceGraph:
    """The calls that these spans tell of."""
    spans = list(spans)
    clients = {(span.trace_id, span.span_id): span for span in spans if span.kind == "client"}
    graph = ServiceGraph()
    called = set()
    for span in spans:
        if span.kind != "server":
            continue
        caller = clients.get((span.trace_id, span.parent_span_id))
        if caller is None:
            graph.unpaired["server", service(span)] += 1
        else:
            graph.calls[service(caller), service(span)] += 1
            called.add(caller.span_id)
    for client in clients.values():
        if client.span_id not in called:
            graph.unpaired["client", service(client)] += 1
    return graph


def service(span: Span) -> str:
    """The service that a span belongs to."""
    return str(span.resource["service.name"])
