# SPDX-License-Identifier: Apache-2.0
"""The agent as its users run it: the installed command, its environment, its health address."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support import procfs, remembered_plans
from tests.support.ports import free_port
from tests.support.subprocesses import end
from tests.support.waiting import PATIENCE, eventually

COMMAND = str(Path(sys.executable).parent / "otel-qtap")
READY_SECONDS = 20.0
STOP_SECONDS = 10.0
"""The contract: SIGTERM drains and exits within this."""

_FOREIGN_PREFIXES = ("OTEL_", "AWS_")


class AgentProcess:
    """One ``otel-qtap run`` (or another ``command``), started through ``wrapper`` where one is given.

    ``environment`` is what it gets, ``stderr`` what it said; ``objects`` is its local store.
    """

    def __init__(
        self,
        directory: Path,
        settings: Mapping[str, str],
        *,
        wrapper: Sequence[str] = (),
        command: Sequence[str] = ("run",),
    ) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.directory = directory
        self.objects = directory / "objects"
        self.health_port = free_port()
        self.environment = {
            **{k: v for k, v in os.environ.items() if not k.startswith(_FOREIGN_PREFIXES)},
            "OTEL_QTAP_HEALTH_ADDRESS": f"127.0.0.1:{self.health_port}",
            "OTEL_QTAP_STATE_DIRECTORY": str(directory / "state"),
            "OTEL_QTAP_OBJECTS_URL": self.objects.as_uri(),
            "OTEL_QTAP_OBJECTS_SEGMENT_SECONDS": "1",
            "OTEL_BSP_SCHEDULE_DELAY": "200",
            "OTEL_BLRP_SCHEDULE_DELAY": "200",
            "OTEL_METRIC_EXPORT_INTERVAL": "1000",
            **settings,
        }
        self._command = [*wrapper, COMMAND, *command]
        self._stderr = directory / "agent.stderr"
        self._process: subprocess.Popen[bytes] | None = None
        self.seconds_to_ready = 0.0
        self._started = 0.0

    def start(self) -> None:
        """Start it and return at once."""
        if self._command[0] == COMMAND:  # else it may be of another account, which trusts its own files only
            remembered_plans.recall(self.directory / "state")
        self._started = time.monotonic()
        with self._stderr.open("ab") as stderr:
            self._process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                env=self.environment,
            )

    @property
    def process(self) -> "subprocess.Popen[bytes]":
        """The process started last."""
        assert self._process is not None, "the agent was not started"
        return self._process

    @property
    def pid(self) -> int:
        """The supervisor's PID."""
        return self.process.pid

    @property
    def pids(self) -> list[int]:
        """All its processes at this moment, the supervisor first."""
        return [self.pid, *procfs.descendants(self.pid)]

    @property
    def lasting_pids(self) -> list[int]:
        """Supervisor and pipeline: others look at a file and end."""
        return [self.pid, self.pipeline_pid()]

    @property
    def stderr(self) -> str:
        """What it logged so far."""
        return self._stderr.read_text(errors="replace") if self._stderr.exists() else ""

    def pipeline_pid(self) -> int:
        """The one process without privileges that stays, once there is one: an analysis holds no socket."""

        def unprivileged() -> int:
            for pid in procfs.descendants(self.pid):
                try:
                    is_plain = procfs.is_alive(pid) and procfs.privileges(pid).user_ids[1] != 0
                    held = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]  # noqa: PTH115
                    if is_plain and any(name.startswith("socket:") for name in held):
                        return pid
                except OSError:
                    continue
            return 0

        return eventually(unprivileged, "the agent has an unprivileged process", seconds=5)

    def wait_for_log(self, text: str, *, seconds: float = READY_SECONDS) -> None:
        """Wait until it has said this on standard error."""
        eventually(lambda: text in self.stderr, f"the agent says {text!r}", seconds=seconds)

    def is_ready(self) -> bool:
        """Whether ``/readyz`` answers 200 now."""
        return self.health("/readyz")[0] == 200

    def wait_ready(self, *, seconds: float = READY_SECONDS) -> None:
        """Wait for readiness, and keep how long it took from the start."""

        def ready() -> bool:
            if self.process.poll() is not None:
                raise AssertionError(f"the agent exited {self.process.returncode}:\n{self.stderr[-4000:]}")
            return self.is_ready()

        try:
            eventually(ready, "the agent is ready", seconds=seconds, pause=0.02)
        except AssertionError as late:
            raise AssertionError(
                f"{late}\n/readyz: {self.health('/readyz')}\nstderr:\n{self.stderr[-4000:]}"
            ) from None
        self.seconds_to_ready = time.monotonic() - self._started

    def health(self, path: str) -> tuple[int, str]:
        """Status and text of a health page; status 0 while nobody listens."""
        try:
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.health_port}{path}", timeout=5 * PATIENCE
            ) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metric(self, name: str, **labels: str) -> float:
        """Sum of all samples of a metric of ``/metrics`` that carry these labels."""
        total = 0.0
        for line in self.health("/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            if series.partition("{")[0] == name and all(f'{k}="{v}"' in series for k, v in labels.items()):
                total += float(value)
        return total

    def cpu_seconds(self) -> float:
        """User and system time of all its living processes."""
        return sum(map(procfs.cpu_seconds, self.pids))

    def proportional_set_bytes(self) -> int:
        """PSS of all its processes."""
        return sum(map(procfs.proportional_set_bytes, self.pids))

    def stop(self, *, seconds: float = STOP_SECONDS) -> float:
        """SIGTERM; checks that it exits 0 in time and leaves no process. Seconds that it took."""
        pids = self.pids
        began = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(seconds * PATIENCE)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no exit within {seconds} s of SIGTERM:\n{self.stderr[-4000:]}") from None
        took = time.monotonic() - began
        assert code == 0, f"exit code {code} on SIGTERM:\n{self.stderr[-4000:]}"
        left = [pid for pid in pids if procfs.is_alive(pid)]
        assert not left, f"processes outlived the agent: {left}"
        return took

    def kill(self) -> None:
        """End it by any means, for clean-up."""
        if self._process is None:
            return
        pids = procfs.descendants(self.pid)
        end(self.process)
        for pid in pids:
            if procfs.is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        remembered_plans.keep(self.directory / "state")


@contextmanager
def running_agent(
    directory: Path, settings: Mapping[str, str], *, wrapper: Sequence[str] = ()
) -> Iterator[AgentProcess]:
    """An agent that is ready; ended with the block, stopped properly before that where the test says so."""
    agent = AgentProcess(directory, settings, wrapper=wrapper)
    try:
        agent.start()
        agent.wait_ready()
        yield agent
    finally:
        agent.kill()


def run_cli(
    *arguments: str, environment: Mapping[str, str], seconds: float = 30
) -> "subprocess.CompletedProcess[bytes]":
    """Run a subcommand to its end."""
    return subprocess.run(
        [COMMAND, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        env=dict(environment),
        timeout=seconds * PATIENCE,
        check=False,
    )


def payload_get(agent: AgentProcess, uri: str, *arguments: str) -> bytes:
    """What ``payload get URI ...`` prints."""
    done = run_cli("payload", "get", uri, *arguments, environment=agent.environment)
    assert done.returncode == 0, f"payload get {uri} exited {done.returncode}: {done.stderr.decode()}"
    return done.stdout
