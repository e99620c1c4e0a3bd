# SPDX-License-Identifier: Apache-2.0
"""Three hundred programs, dozens of files with TLS in them: how soon all are captured and let go again."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import STOP_SECONDS, AgentProcess, running_agent
from tests.support.figures import Figures, assert_holds
from tests.support.kernel_objects import probed_files
from tests.support.nginx import Nginx
from tests.support.pki import Pki
from tests.support.program_mix import ProgramMix, program_mix
from tests.support.waiting import PATIENCE, eventually

pytestmark = pytest.mark.bench

PROCESSES = 300
FILES = {"linked": 12, "stripped": 6, "libraries": 12, "nodes": 3}
QUIET = {f"OTEL_{name}_EXPORTER": "none" for name in ("TRACES", "LOGS", "METRICS")}


@pytest.fixture
def mix(tmp_path: Path, pki: Pki, nginx: Nginx) -> Iterator[ProgramMix]:
    with program_mix(tmp_path / "programs", pki, nginx.port) as mix:
        yield mix


def probed(agent: AgentProcess, mix: ProgramMix) -> int:
    """How many files of these programs the agent is attached to."""
    return sum(path.startswith(f"{mix.directory}/") for path in probed_files(agent.pid))


def seconds_to_detach(agent: AgentProcess) -> float:
    """From SIGTERM to the last probe's end."""

    def are_gone() -> bool:
        try:
            return not probed_files(agent.pid)
        except FileNotFoundError:  # as the agent is
            return True

    began = time.monotonic()
    agent.process.send_signal(signal.SIGTERM)
    eventually(are_gone, "all probes are gone", seconds=60, pause=0.005)
    return time.monotonic() - began


def test_three_hundred_programs(tmp_path: Path, mix: ProgramMix, figures: Figures) -> None:
    with running_agent(tmp_path / "alone", QUIET) as agent:
        agent.stop()
    with running_agent(tmp_path / "alone", QUIET) as agent:  # what the bare start costs, caches filled
        alone, bare = agent.seconds_to_ready, procfs.precise_cpu_seconds(agent.pid)
        agent.stop()
    files = mix.start(**FILES, processes=PROCESSES)
    ready, busy = {}, {}
    for start in ("cold", "warm"):
        with running_agent(tmp_path / "agent", QUIET) as agent:
            assert probed(agent, mix) == files
            ready[start] = agent.seconds_to_ready
            busy[start] = procfs.precise_cpu_seconds(agent.pid) - bare
            gone = seconds_to_detach(agent)
            agent.process.wait(STOP_SECONDS * PATIENCE)
    with running_agent(tmp_path / "agent", {**QUIET, "OTEL_QTAP_CAPTURE_ATTACH": "perf"}) as agent:
        by_events = agent.seconds_to_ready
        gone_by_events = agent.stop(seconds=120)
    name, note = f"{PROCESSES} programs, {files} files with TLS", f"{alone:.2f} s without them"
    figures.report(f"{name}: start to all attached, perf events", by_events, "s", note=note)
    assert_holds(
        figures.report(f"{name}: start to all attached, nothing known", ready["cold"], "s", at_most=4.0),
        figures.report(f"{name}: start to all attached", ready["warm"], "s", at_most=2.0, note=note),
        figures.report(f"{name}: the supervisor's work for them", busy["warm"], "s", at_most=1.0),
        figures.report(f"{name}: SIGTERM to all detached", gone, "s", at_most=1.0),
        figures.report(f"{name}: SIGTERM to exit, perf events", gone_by_events, "s", at_most=10.0),
    )
