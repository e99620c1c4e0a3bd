# SPDX-License-Identifier: Apache-2.0
"""The pipeline's life seen from its supervisor: real processes, with the loop's turns made by the test."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_qtap.agent import pipeline_process
from otel_qtap.agent.directories import prepare_directories
from otel_qtap.agent.pipeline_process import PipelineProcess
from otel_qtap.agent.vital_signs import VitalSigns
from otel_qtap.listening import listen
from otel_qtap.settings import Settings, load_settings
from tests.support.stopped_thread import stopped_thread
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give privileges up")


class Supervised:
    """A pipeline process, and what its supervisor heard."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.signs = VitalSigns()
        self.introduced: list[int] = []
        self.rolled_back: list[Settings] = []
        settings = self.settings()
        prepare_directories(settings)
        self.process = PipelineProcess(
            settings,
            listen("OTEL_QTAP_HEALTH_ADDRESS", "127.0.0.1", 0),
            None,
            self.signs,
            introduce=lambda: self.introduced.append(self.process.pid),
            on_rollback=self.rolled_back.append,
        )

    def settings(self, **environ: str) -> Settings:
        exporters = {f"OTEL_{name}_EXPORTER": "none" for name in ("TRACES", "LOGS", "METRICS")}
        return load_settings(
            {
                "OTEL_QTAP_STATE_DIRECTORY": str(self._directory / "state"),
                "OTEL_QTAP_OBJECTS_URL": (self._directory / "objects").as_uri(),
                "OTEL_QTAP_PIPELINE_USER": "64123",
                **exporters,
                **environ,
            }
        )

    def until(self, condition: Callable[[], object], what: str, seconds: float = 20) -> None:
        def turn() -> object:
            self.process.reap()
            self.process.tend(time.monotonic())
            return condition()

        eventually(turn, what, seconds=seconds, pause=0.02)


@pytest.fixture
def supervised(tmp_path: Path) -> Iterator[Supervised]:
    supervised = Supervised(tmp_path)
    supervised.process.start()
    supervised.until(lambda: supervised.process.runs, "the pipeline runs")
    yield supervised
    supervised.process.kill()


def test_another_takes_its_place_with_other_settings(supervised: Supervised) -> None:
    process, first = supervised.process, supervised.process.pid
    process.replace(supervised.settings(OTEL_QTAP_HTTP_QUERY_ALLOW="page"))
    assert not process.runs
    supervised.until(lambda: process.runs, "another runs")

    assert process.pid != first
    assert process.settings.http.query_allow == ("page",)
    assert supervised.introduced == [first, process.pid]
    assert supervised.signs.restarts == 0
    assert process.stop(lambda: False) == 0


def test_settings_that_it_cannot_start_with_are_taken_back(supervised: Supervised, tmp_path: Path) -> None:
    process, before = supervised.process, supervised.process.settings
    no_certificate = tmp_path / "ca.pem"
    no_certificate.write_text("no certificate")
    process.replace(
        supervised.settings(
            OTEL_TRACES_EXPORTER="otlp",
            OTEL_EXPORTER_OTLP_ENDPOINT="https://127.0.0.1:9",
            OTEL_EXPORTER_OTLP_CERTIFICATE=str(no_certificate),
        )
    )
    supervised.until(lambda: supervised.rolled_back, "the new settings are taken back")
    supervised.until(lambda: process.runs, "it runs as before")

    assert supervised.rolled_back == [before]
    assert process.settings == before
    assert (process.exit_code, supervised.signs.restarts) == (None, 0)


def test_one_that_dies_is_followed_by_another_ever_more_slowly(supervised: Supervised) -> None:
    process = supervised.process
    began = time.monotonic()
    for count in range(1, 4):
        os.kill(process.pid, signal.SIGKILL)
        supervised.until(lambda count=count: supervised.signs.restarts == count, "its end is seen")
        supervised.until(lambda: process.runs, "another runs")

    assert time.monotonic() - began >= 1.2, "0, 0.2 and 1 s"


def test_one_that_cannot_start_at_first_is_not_started_again(tmp_path: Path) -> None:
    holder = Supervised(tmp_path)
    holder.process.start()
    holder.until(lambda: holder.process.runs, "the pipeline runs")
    second = Supervised(tmp_path)
    second.process.start()
    try:
        second.until(lambda: second.process.exit_code is not None, "it gives up")
        assert second.process.exit_code == 2, "the state directory is taken"
    finally:
        holder.process.kill()
        second.process.kill()


def test_one_that_is_stuck_is_killed_and_followed(
    supervised: Supervised, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline_process, "STUCK_SECONDS", 1.0)
    process, first = supervised.process, supervised.process.pid
    with stopped_thread(first, lambda: True):
        eventually(lambda: supervised.signs.pipeline_age > 0.6, "it goes round no more")
        assert not process.is_healthy
        eventually(lambda: supervised.signs.pipeline_age > 1, "for too long")
        process.tend(time.monotonic())
    supervised.until(lambda: process.runs and process.pid != first, "another runs")

    assert supervised.signs.restarts == 1
    assert process.is_healthy
