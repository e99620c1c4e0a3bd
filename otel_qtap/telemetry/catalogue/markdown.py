# SPDX-License-Identifier: Apache-2.0
"""``docs/telemetry.md``: ``python -m otel_qtap.telemetry.catalogue.markdown > docs/telemetry.md``."""

import sys
from collections.abc import Iterable

from otel_qtap.telemetry.catalogue.attributes import (
    HTTP_ATTRIBUTES,
    LINK_ATTRIBUTES,
    RESOURCE_ATTRIBUTES,
    SPAN_ATTRIBUTES,
    SPANS,
)
from otel_qtap.telemetry.catalogue.events import EVENT_ATTRIBUTES, EVENTS
from otel_qtap.telemetry.catalogue.metrics import METRIC_ATTRIBUTES, METRICS
from otel_qtap.telemetry.catalogue.types import DescribedAttribute
from otel_qtap.telemetry.names import SCHEMA_URL

_INTRODUCTION = f"""\
# Telemetry

Everything that otel-qtap emits. This page is rendered from `otel_qtap/telemetry/catalogue` (`python -m
otel_qtap.telemetry.catalogue.markdown`); a test keeps both equal.

Names are those of the semantic conventions 1.44.0 (schema URL `{SCHEMA_URL}`) where there is one, and
`qtap.*` where there is none. `http.*.body.content_ref` follow the proposal for reference attributes that
is open there. Payloads never stand in telemetry: attributes and links refer to them.

Traffic is told under the resource of the workload that it belongs to, the agent's own work under the
agent's resource. The agent's `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` describe the agent only.
"""


def render() -> str:
    """Return the document."""
    return "\n".join(
        (
            _INTRODUCTION,
            "## Spans\n",
            _table(
                ("Name", "Kind", "Resource", "Scope", "What it is"),
                ((span.name, span.kind, span.resource, span.scope, span.description) for span in SPANS),
            ),
            "Status is Error where the conventions say so, without description, and unset otherwise. "
            "Spans have no span events: events are log records.\n",
            "### Attributes of HTTP spans\n",
            _attributes(HTTP_ATTRIBUTES),
            "### Attributes of all spans\n",
            _attributes(SPAN_ATTRIBUTES),
            "### Attributes of links\n",
            "A link leads into another trace, never into the span's own and never nowhere.\n",
            _attributes(LINK_ATTRIBUTES),
            "## Resources\n",
            _attributes(RESOURCE_ATTRIBUTES),
            "The agent's resource also has what `OTEL_RESOURCE_ATTRIBUTES` names.\n",
            "## Log events\n",
            "Log records with an EventName, without body and severity text.\n",
            _table(
                ("EventName", "Severity", "Resource", "Attributes", "What happened"),
                (
                    (
                        f"`{event.name}`",
                        event.severity,
                        event.resource,
                        _code(event.attributes),
                        event.description,
                    )
                    for event in EVENTS
                ),
            ),
            "Attributes that spans do not have:\n",
            _attributes(EVENT_ATTRIBUTES),
            "## Metrics\n",
            "Of the agent itself: over OTLP, and as OpenMetrics at `/metrics`, where dots are underscores.\n",
            _table(
                ("Name", "Instrument", "Unit", "Attributes", "What it counts"),
                (
                    (
                        f"`{metric.name}`",
                        metric.instrument,
                        f"`{metric.unit}`",
                        _code(metric.attributes),
                        metric.description,
                    )
                    for metric in METRICS
                ),
            ),
            "Attributes:\n",
            _attributes(METRIC_ATTRIBUTES),
        )
    )


def _attributes(described: Iterable[DescribedAttribute]) -> str:
    return _table(
        ("Name", "Type", "Where", "Description"),
        ((f"`{row.name}`", row.type, row.where, row.description) for row in described),
    )


def _table(header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = (header, tuple("---" for _ in header), *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(listed: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in listed)


if __name__ == "__main__":
    sys.stdout.write(render())
