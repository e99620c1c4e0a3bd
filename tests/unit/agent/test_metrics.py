# SPDX-License-Identifier: Apache-2.0
"""Every metric that the pipeline can tell is read from real rooms."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.agent.assembly import Rooms, open_outside
from otel_qtap.agent.coverage.judging import Judgement, Reason, State
from otel_qtap.agent.coverage.speakers import Judged
from otel_qtap.agent.coverage.table import CoverageTable
from otel_qtap.agent.directories import prepare_directories
from otel_qtap.agent.messages import Message, coverage_message
from otel_qtap.agent.metrics import publish_coverage, publish_metrics
from otel_qtap.agent.vital_signs import VitalSigns
from otel_qtap.capture.decode import Decoder
from otel_qtap.capture.ring import Loss
from otel_qtap.model.identity import Direction
from otel_qtap.settings import load_settings
from otel_qtap.telemetry.catalogue.metrics import METRICS
from otel_qtap.telemetry.clock import UnixClock
from tests.support.kernel_records import KernelConnection

SIGNS = VitalSigns()
LOSSES = {"ring_full": Loss(3, 4096), "no_state": Loss(0, 0)}


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    settings = load_settings(
        {
            "OTEL_QTAP_STATE_DIRECTORY": str(tmp_path / "state"),
            "OTEL_QTAP_OBJECTS_URL": (tmp_path / "objects").as_uri(),
            "OTEL_TRACES_EXPORTER": "none",
            "OTEL_LOGS_EXPORTER": "none",
            "OTEL_METRICS_EXPORTER": "none",
        }
    )
    prepare_directories(settings)
    rooms = Rooms(settings, open_outside(settings, UnixClock()))
    publish_metrics(rooms, SIGNS, lambda: LOSSES, lambda: 7)
    table = CoverageTable(facts=rooms.workloads.facts_of, on_event=rooms.telemetry.not_captured)
    for pid, state, reason in ((1, "captured", ""), (2, "uncaptured", "unsupported")):
        table.hear(coverage_of(pid, state, reason))
    publish_coverage(rooms.telemetry.observables, table, rooms.chain, lambda: {"captured": 3, "missed": 1})
    rooms.start()
    yield rooms
    rooms.archive.shutdown(5)
    rooms.telemetry.shutdown(5)


def coverage_of(pid: int, state: str, reason: str) -> Message:
    judgement = Judgement(State(state), Reason(reason))
    judged = Judged(pid=pid, start_time_ns=0, command="java", user_id=0, judgement=judgement)
    return coverage_message(judged, is_news=False)


def test_processes_that_speak_tls_are_told_by_state_and_reason(rooms: Rooms) -> None:
    metrics = told(rooms)

    assert metrics["qtap.coverage.processes"] == {
        (("qtap.coverage.state", "captured"),): 1,
        (("qtap.coverage.state", "uncaptured"), ("qtap.coverage.reason", "unsupported")): 1,
    }
    assert metrics["qtap.coverage.connections"] == {
        (("qtap.coverage.ending", "captured"),): 3,
        (("qtap.coverage.ending", "missed"),): 1,
    }


def told(rooms: Rooms) -> dict[str, dict[tuple[tuple[str, str], ...], int | float]]:
    """Values by metric and attributes."""
    observables = rooms.telemetry.observables
    return {
        metric.name: {tuple(labels.items()): value for value, labels in observables.observe(metric)}
        for metric in observables.metrics()
    }


def test_nothing_of_the_catalogue_is_left_out_but_what_exporters_tell_of_themselves(rooms: Rooms) -> None:
    left_out = {metric.name for metric in METRICS} - told(rooms).keys()

    assert {name for name in left_out if not name.startswith(("otel.sdk.", "qtap.export."))} == set()


def test_losses_of_the_kernel_side_are_told_by_reason(rooms: Rooms) -> None:
    values = told(rooms)

    assert values["qtap.capture.lost"][(("qtap.capture.lost.reason", "ring_full"),)] == 3
    assert values["qtap.capture.lost.io"][(("qtap.capture.lost.reason", "ring_full"),)] == 4096


def test_one_conversation_counts_in_every_room(rooms: Rooms) -> None:
    connection, decoder = KernelConnection(1), Decoder()
    request = b"GET / HTTP/1.1\r\nHost: shop\r\n\r\n"
    response = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    records = [
        connection.data(Direction.INGRESS, request),
        connection.data(Direction.EGRESS, response),
        connection.closed(),
    ]
    for record in records:
        decoder.decode(memoryview(record), 0, len(record))
    rooms.chain.receive(decoder.events)
    rooms.chain.finish(connection.now_ns)

    values = told(rooms)
    assert values["qtap.connection.opened"] == {(): 1}
    assert values["qtap.connection.active"] == {(): 0}
    assert values["qtap.connection.closed"] == {(("qtap.connection.close_reason", "ssl_free"),): 1}
    assert values["qtap.stream.io"] == {(): len(request) + len(response)}
    assert sum(values["qtap.trace.placed"].values()) == 1
    assert values["qtap.payload.records"] == {(): 2}, "the request and the response"


def test_restarts_and_the_processs_own_cost_are_told(rooms: Rooms) -> None:
    for _ in range(2):
        SIGNS.count_restart()
    SIGNS.count_reload("refused")
    values = told(rooms)

    assert values["qtap.pipeline.restarts"] == {(): 2}
    assert values["qtap.config.reloads"][("qtap.config.reload.outcome", "refused"),] == 1
    assert values["qtap.capture.malformed"] == {(): 7}
    assert sum(values["process.cpu.time"].values()) > 0
    assert sum(values["process.memory.usage"].values()) > 10 << 20


def test_the_metrics_page_has_them_all(rooms: Rooms) -> None:
    page = rooms.telemetry.openmetrics()

    assert 'qtap_capture_lost_total{qtap_capture_lost_reason="ring_full"} 3' in page
    assert page.endswith("# EOF\n")
