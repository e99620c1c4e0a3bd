# SPDX-License-Identifier: Apache-2.0
"""The supervisor as a process: signals, and children that end when nobody asked them to."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import AgentProcess
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.bpf,
    pytest.mark.skipif(os.geteuid() != 0, reason="loading BPF programs takes root"),
]

QUIET = {f"OTEL_{signal_name}_EXPORTER": "none" for signal_name in ("TRACES", "LOGS", "METRICS")}


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[AgentProcess]:
    agent = AgentProcess(tmp_path / "agent", QUIET)
    yield agent
    agent.kill()


def errors(agent: AgentProcess) -> list[str]:
    return [line for line in agent.stderr.splitlines() if '"severity_text": "ERROR"' in line]


def next_pipeline(agent: AgentProcess, last: int) -> int:
    """The pipeline that came after another one."""

    def there() -> int:
        pid = agent.pipeline_pid()
        return pid if pid != last else 0

    return eventually(there, "another pipeline runs")


def test_sighup_replaces_the_pipeline_at_once_and_in_order(agent: AgentProcess) -> None:
    agent.start()
    agent.wait_ready()
    first = agent.pipeline_pid()
    for _ in range(2):  # the second finds the first under way, and changes nothing
        agent.process.send_signal(signal.SIGHUP)
    second = next_pipeline(agent, first)
    eventually(agent.is_ready, "ready again")

    assert agent.pipeline_pid() == second
    assert not procfs.is_alive(first)
    assert errors(agent) == []
    assert "started again" not in agent.stderr
    assert agent.metric("qtap_pipeline_restarts_total") == 0
    agent.stop()


def test_a_pipeline_that_died_is_followed_by_one_that_holds_nothing_of_the_supervisors(
    agent: AgentProcess,
) -> None:
    agent.start()
    agent.wait_ready()
    first = agent.pipeline_pid()
    os.kill(first, signal.SIGKILL)
    second = next_pipeline(agent, first)
    eventually(agent.is_ready, "ready again")

    held = [os.readlink(path) for path in Path(f"/proc/{second}/fd").iterdir()]  # noqa: PTH115
    assert [name for name in held if "bpf-prog" in name or "link" in name or "perf_event" in name] == []
    # Both halves of three rings, two arrays of counters, and the data ring to be woken by.
    assert len([name for name in held if "bpf-map" in name]) == 9
    agent.stop()


def test_stopping_with_no_pipeline_does_not_wait_for_one(agent: AgentProcess) -> None:
    agent.start()
    agent.wait_ready()
    last = 0
    for _ in range(4):  # until the next start is seconds away
        last = next_pipeline(agent, last)
        os.kill(last, signal.SIGKILL)
    agent.wait_for_log("started again in 5.0 s")
    began = time.monotonic()
    agent.process.send_signal(signal.SIGTERM)

    assert agent.process.wait(8) == 0
    assert time.monotonic() - began < 8
    assert "Traceback" not in agent.stderr
    assert "unexpected" not in agent.stderr


def test_a_loader_that_fails_leaves_no_process_behind(tmp_path: Path) -> None:
    agent = AgentProcess(tmp_path / "agent", {**QUIET, "OTEL_QTAP_CAPTURE_PYTHON": "/bin/false"})
    (tmp_path / "agent" / "state").mkdir(parents=True)  # without programs that were compiled before
    agent.start()

    assert agent.process.wait(10) == 1
    assert "could not be loaded by /bin/false: exit code 1" in agent.stderr
    assert _with_state_directory(tmp_path / "agent" / "state") == []
    assert "supervisor is gone" not in agent.stderr


def _with_state_directory(directory: Path) -> list[int]:
    """Processes that hold a descriptor of a directory: a pipeline's first."""
    found = []
    for fd in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(fd) == str(directory):  # noqa: PTH115
                found.append(int(fd.parts[2]))
        except OSError:
            continue
    return found


def test_a_pipeline_that_cannot_start_ends_the_agent_with_its_exit_code(
    agent: AgentProcess, tmp_path: Path
) -> None:
    agent.start()
    agent.wait_ready()
    second = AgentProcess(
        tmp_path / "second", {**QUIET, "OTEL_QTAP_STATE_DIRECTORY": str(agent.directory / "state")}
    )
    second.start()

    assert second.process.wait(15) == 2
    assert "another otel-qtap writes to" in second.stderr
    assert "started again" not in second.stderr
    assert agent.is_ready()
    agent.stop()
