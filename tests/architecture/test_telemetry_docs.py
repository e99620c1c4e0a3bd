# SPDX-License-Identifier: Apache-2.0
"""docs/telemetry.md says what the code emits, all of it and nothing else."""

import ast
import re
from pathlib import Path

import pytest

import otel_qtap
from otel_qtap.agent.coverage.judging import Reason, State
from otel_qtap.model.exchange import Incomplete, SpanKind
from otel_qtap.model.identity import PeerSource
from otel_qtap.probes.registry import LIBRARIES
from otel_qtap.protocols import semconv
from otel_qtap.telemetry import names
from otel_qtap.telemetry.catalogue.attributes import (
    HTTP_ATTRIBUTES,
    LINK_ATTRIBUTES,
    RESOURCE_ATTRIBUTES,
    SPAN_ATTRIBUTES,
    SPANS,
)
from otel_qtap.telemetry.catalogue.events import EVENT_ATTRIBUTES, EVENTS
from otel_qtap.telemetry.catalogue.markdown import render
from otel_qtap.telemetry.catalogue.metrics import METRIC_ATTRIBUTES, METRICS
from otel_qtap.telemetry.exporting import Telemetry
from otel_qtap.telemetry.resource import AgentIdentity, HostIdentity
from otel_qtap.telemetry.signal_pipeline import MetricsOutput, SignalOutput

PACKAGE = Path(otel_qtap.__file__).parent
DOCUMENT = PACKAGE.parent / "docs" / "telemetry.md"

CARRIED = (*RESOURCE_ATTRIBUTES, *HTTP_ATTRIBUTES, *SPAN_ATTRIBUTES, *LINK_ATTRIBUTES, *EVENT_ATTRIBUTES)
ATTRIBUTES = {row.name for row in (*CARRIED, *METRIC_ATTRIBUTES)}
PREFIXES = tuple(name.replace("<name>", "") for name in ATTRIBUTES if "<name>" in name)
EMITTED = (
    ATTRIBUTES
    | {event.name for event in EVENTS}
    | {metric.name for metric in METRICS}
    | {span.name.strip("`") for span in SPANS}
)

NAMESPACES = (
    "aws|client|cloud|container|cpu|error|exception|host|http|network|otel|process|qtap|rpc|server|service"
    "|telemetry|tls|url|user_agent"
)
NAME = re.compile(rf"(?:{NAMESPACES})(?:\.[a-z][a-z0-9_]*)+\.?")
EMITTERS = ("protocols/**/*.py", "correlation/**/*.py", "telemetry/**/*.py", "agent/metrics.py")


def written_names():
    """String literals that look like names of telemetry, with the file that they stand in."""
    for pattern in EMITTERS:
        for path in sorted(PACKAGE.glob(pattern)):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if (
                    isinstance(node, ast.Constant)
                    and isinstance(node.value, str)
                    and NAME.fullmatch(node.value)
                ):
                    yield node.value, path.relative_to(PACKAGE)


def names_outside_the_catalogue():
    return {name for name, path in written_names() if "catalogue" not in path.parts}


def is_described(name):
    if name.endswith("."):
        return any(known.startswith(name) for known in EMITTED)
    return name in EMITTED or name.startswith(PREFIXES)


def test_document_equals_the_catalogue():
    assert DOCUMENT.read_text(encoding="utf-8") == render(), (
        "run: python -m otel_qtap.telemetry.catalogue.markdown > docs/telemetry.md"
    )


def test_every_name_in_the_code_is_described():
    assert {f"{name} ({path})" for name, path in written_names() if not is_described(name)} == set()


def test_every_name_constant_is_described():
    constants = {value for value in vars(names).values() if isinstance(value, str) and NAME.fullmatch(value)}
    assert len(constants) > 40
    assert {name for name in constants if not is_described(name)} == set()


def test_attributes_of_http_are_those_that_protocols_write():
    written = {value for value in vars(semconv).values() if isinstance(value, str) and NAME.fullmatch(value)}
    assert {row.name.replace("<name>", "") for row in HTTP_ATTRIBUTES} == written


def test_every_described_metric_is_filled():
    output = SignalOutput(exporter="console")
    telemetry = Telemetry(
        traces=output,
        logs=output,
        metrics=MetricsOutput(exporter="console"),
        agent=AgentIdentity(),
        host=HostIdentity(),
    )
    filled = {metric.name for metric in telemetry.observables.metrics()} | names_outside_the_catalogue()
    assert {metric.name for metric in METRICS} - filled == set()


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (names.PEER_SOURCE, list(PeerSource)),
        (names.TLS_LIBRARY, [library.name for library in LIBRARIES]),
        (names.CAPTURE_INCOMPLETE_REASON, list(Incomplete)),
        (names.CAPTURE_SIDE, [SpanKind.CLIENT, SpanKind.SERVER]),
        (names.COVERAGE_REASON, [reason for reason in Reason if reason]),
        ("qtap.coverage.state", list(State)),
    ],
)
def test_the_values_that_an_attribute_may_have_are_all_told_and_no_others(name, words):
    [row] = [
        row for row in (*CARRIED, *METRIC_ATTRIBUTES) if row.name == name and "As on" not in row.description
    ]
    told = re.findall(r"`([a-z][a-z0-9_]*)`", row.description)
    assert sorted(told) == sorted(str(word) for word in words)


def test_nothing_is_described_twice():
    for rows in (RESOURCE_ATTRIBUTES, HTTP_ATTRIBUTES, SPAN_ATTRIBUTES, LINK_ATTRIBUTES, METRIC_ATTRIBUTES):
        listed = [row.name for row in rows]
        assert len(listed) == len(set(listed))
    listed = [metric.name for metric in METRICS]
    assert len(listed) == len(set(listed))


def test_attributes_of_events_and_metrics_are_described():
    carried = {row.name for row in CARRIED}
    assert {name for event in EVENTS for name in event.attributes} <= carried
    of_metrics = {row.name for row in METRIC_ATTRIBUTES}
    assert {name for metric in METRICS for name in metric.attributes} == of_metrics


def test_described_attributes_of_our_own_are_in_use():
    ours = {row.name for row in CARRIED if row.name.startswith("qtap.")}
    assert ours - names_outside_the_catalogue() == set()
