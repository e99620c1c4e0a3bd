# SPDX-License-Identifier: Apache-2.0
"""In a container that lacks something, doctor names it, and the flag that it prints mends it."""

import json
import subprocess
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.containers import ENGINE, agent_image, engine, engine_environment, running_container
from tests.support.otlp_sink import running_sink
from tests.support.pki import Pki
from tests.support.ports import free_port
from tests.support.tls_servers import running_cpython_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.containers

SETTINGS = {
    "OTEL_TRACES_EXPORTER": "none",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_QTAP_STATE_DIRECTORY": "/data/state",  # not on the image's own volume
    "OTEL_QTAP_OBJECTS_URL": "none:",
}
BARE = ("--cap-drop=ALL", "--tmpfs=/sys/kernel:rw,notmpcopyup")
"""No capability, no BTF, no tracefs; a PID namespace of its own and the engine's system call filter."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What doctor said, and how it ended."""

    report: dict[str, Any]
    exit_code: int

    def check(self, name: str) -> dict[str, Any]:
        """One check by its id."""
        return next(check for check in self.report["checks"] if check["id"] == name)

    def status(self, name: str) -> str:
        """How a check ended."""
        return str(self.check(name)["status"])

    def flags(self, name: str) -> list[str]:
        """What a check wants to be added."""
        return list(self.check(name)["flags"])


def diagnose(*options: str) -> Diagnosis:
    """Run doctor in a container with these options and ``SETTINGS``."""
    variables = [f"--env={name}={value}" for name, value in SETTINGS.items()]
    variables.append(f"--env=OTEL_QTAP_HEALTH_ADDRESS=127.0.0.1:{free_port()}")
    done = subprocess.run(
        [ENGINE, "run", "--rm", *variables, *options, agent_image(), "doctor", "--json"],
        env=dict(engine_environment()),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    return Diagnosis(json.loads(done.stdout), done.returncode)


@contextmanager
def volumes_removed(flags: Sequence[str]) -> Iterator[None]:
    try:
        yield
    finally:
        for flag in flags:
            if flag.startswith("--volume=otel-qtap"):
                engine("volume", "rm", "--force", flag.removeprefix("--volume=").partition(":")[0])


def answers(url: str) -> bool:
    """Whether it is served with success."""
    try:
        with urllib.request.urlopen(url, timeout=5):
            return True
    except OSError:
        return False


@pytest.fixture(scope="module")
def bare() -> Diagnosis:
    return diagnose(*BARE)


@pytest.mark.parametrize(
    ("check", "found", "flag"),
    [
        ("privileges.capabilities", "fail", "--cap-add=BPF"),
        ("privileges.seccomp", "fail", "--security-opt=seccomp=unconfined"),
        ("kernel.btf", "fail", "--volume=/sys/kernel/btf:/sys/kernel/btf:ro"),
        ("kernel.tracefs", "fail", "--volume=/sys/kernel/tracing:/sys/kernel/tracing:ro"),
        ("objects.state_directory", "fail", "--volume=otel-qtap-data-state:/data/state"),
        ("host.processes", "fail", "--pid=host"),
    ],
)
def test_what_is_missing_is_named_and_its_flag_mends_it(
    bare: Diagnosis, check: str, found: str, flag: str
) -> None:
    assert bare.status(check) == found
    assert flag in bare.flags(check)
    assert flag in bare.check(check)["remedy"]
    with volumes_removed(bare.flags(check)):
        assert diagnose(*BARE, *bare.flags(check)).status(check) == "ok"


def test_processes_that_cannot_be_looked_into() -> None:
    lacking = diagnose(*BARE, "--pid=host")
    assert lacking.status("host.process_access") == "warn"
    assert lacking.flags("host.process_access") == ["--cap-add=SYS_PTRACE"]
    mended = diagnose(*BARE, "--pid=host", "--cap-add=SYS_PTRACE")
    assert mended.status("host.process_access") == "ok"


def test_another_account_in_the_container_is_told_what_it_lacks() -> None:
    lacking = diagnose(*BARE, "--user=64997")
    assert lacking.exit_code == 3
    assert lacking.status("privileges.user") == "warn"
    assert lacking.flags("privileges.user") == ["--user=0"]
    mended = diagnose(*BARE, "--user=64997", *lacking.flags("privileges.capabilities"))
    assert mended.status("privileges.capabilities") == "ok"  # this engine makes them ambient
    assert mended.check("privileges.user")["summary"] == "uid 64997, with capabilities"


def test_with_all_flags_it_captures(bare: Diagnosis, pki: Pki) -> None:
    assert bare.exit_code == 3
    flags = bare.report["flags"]
    assert "--privileged" not in flags
    with volumes_removed(flags):
        mended = diagnose(*BARE, *flags)
        assert mended.exit_code == 0, mended.report
        assert mended.report["flags"] == []
        health = f"127.0.0.1:{free_port()}"
        with running_sink() as sink, running_cpython_server(pki) as server:
            settings = {
                "OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint,
                "OTEL_QTAP_STATE_DIRECTORY": "/data/state",
                "OTEL_QTAP_OBJECTS_URL": "none:",
                "OTEL_QTAP_HEALTH_ADDRESS": health,
                "OTEL_BSP_SCHEDULE_DELAY": "200",
            }
            options = [*BARE, *flags, *(f"--env={name}={value}" for name, value in settings.items())]
            with running_container(agent_image(), options=options) as agent:
                eventually(lambda: answers(f"http://{health}/readyz"), "the agent is ready", seconds=30)
                curl = ["curl", "--silent", "--http1.1", "--cacert", str(pki.ca), f"{server.url}/captured"]
                subprocess.run(curl, stdout=subprocess.DEVNULL, check=True)
                eventually(
                    lambda: (
                        {"client", "server"}
                        <= {span.kind for span in sink.telemetry().spans if span.port == server.port}
                    ),
                    "both ends are captured",
                )
                agent.stop()
                assert agent.exit_code == 0, agent.logs()
