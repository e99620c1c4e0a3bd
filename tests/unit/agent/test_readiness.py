# SPDX-License-Identifier: Apache-2.0
"""Conditions of real rooms, and of loops whose rounds are told by hand."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.agent import readiness
from otel_qtap.agent.assembly import Rooms, open_outside
from otel_qtap.agent.directories import prepare_directories
from otel_qtap.agent.readiness import Readiness
from otel_qtap.agent.vital_signs import VitalSigns
from otel_qtap.settings import load_settings
from otel_qtap.telemetry.clock import UnixClock


class Signs(VitalSigns):
    """Ages are given."""

    ages = (0.0, 0.0)

    @property
    def supervisor_age(self) -> float:
        return self.ages[0]

    @property
    def pipeline_age(self) -> float:
        return self.ages[1]


@pytest.fixture
def rooms(tmp_path: Path) -> Iterator[Rooms]:
    settings = load_settings(
        {
            "OTEL_QTAP_STATE_DIRECTORY": str(tmp_path / "state"),
            "OTEL_QTAP_OBJECTS_URL": (tmp_path / "objects").as_uri(),
            "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        }
    )
    prepare_directories(settings)
    rooms = Rooms(settings, open_outside(settings, UnixClock()))
    rooms.start()
    yield rooms
    rooms.archive.shutdown(1)
    rooms.telemetry.shutdown(0.1)


@pytest.fixture
def signs() -> Signs:
    return Signs()


@pytest.fixture
def conditions(rooms: Rooms, signs: Signs) -> Readiness:
    made = Readiness(rooms, signs)
    made.hear({"kind": "probes", "probes": "", "tracepoints": ""})
    made.rings_are_here()
    return made


def not_ready(conditions: Readiness) -> dict[str, str]:
    return {name: state.reason for name, state in conditions.ready().items() if not state.well}


def test_every_condition_is_named(conditions: Readiness) -> None:
    assert set(conditions.ready()) == {
        "probes",
        "tracepoints",
        "ring",
        "exporters",
        "collector.traces",
        "collector.logs",
        "collector.metrics",
        "store",
    }
    assert not_ready(conditions) == {}


def test_at_first_nothing_is_attached(rooms: Rooms, signs: Signs) -> None:
    assert not_ready(Readiness(rooms, signs)) == {
        "probes": "being attached",
        "tracepoints": "being attached",
        "ring": "not handed over yet",
    }


def test_what_the_supervisor_says_counts_from_when_it_says_so(conditions: Readiness) -> None:
    before = conditions.ready()["probes"].since
    conditions.hear({"probes": "cannot probe x", "tracepoints": "", "other": "x"})
    failed = conditions.ready()["probes"]
    conditions.hear({"probes": "cannot probe x", "tracepoints": ""})

    assert failed.since > before
    assert conditions.ready()["probes"] == failed, "the same again is no change"


def test_a_ring_that_is_not_read(conditions: Readiness, signs: Signs) -> None:
    conditions.ready()
    signs.ages = (0.0, readiness.RING_SECONDS + 1)
    first = conditions.ready()["ring"]
    signs.ages = (0.0, readiness.RING_SECONDS + 2)

    assert first.reason == "not gone round for 6 s"
    assert conditions.ready()["ring"] == (False, first.since, "not gone round for 7 s")
    signs.ages = (0.0, 0.0)
    assert conditions.ready()["ring"].well


def test_alive_is_who_goes_round(conditions: Readiness, signs: Signs) -> None:
    assert all(state.well for state in conditions.alive().values())
    signs.ages = (readiness.SUPERVISOR_SECONDS + 1, readiness.CHAIN_SECONDS + 1)

    assert {name: state.well for name, state in conditions.alive().items()} == {
        "chain": False,
        "supervisor": False,
    }


def test_threads_that_do_not_run(conditions: Readiness, rooms: Rooms) -> None:
    rooms.telemetry.shutdown(0.1)

    assert not_ready(conditions)["exporters"] == "a thread does not run"


def test_a_store_that_took_nothing_yet_is_not_blamed(conditions: Readiness) -> None:
    assert conditions.ready()["store"].since <= time.time()
