# SPDX-License-Identifier: Apache-2.0
"""HTTPS load at a fixed rate or at saturation, from the Go program in ``programs/loadgen``."""

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tests.support.cache import cached_build, fingerprint, run_build_step

_SOURCE = Path(__file__).parent / "programs" / "loadgen"


@dataclass(frozen=True, slots=True)
class LoadReport:
    """What was sent and how it went; latencies in microseconds."""

    sent: int
    ok: int
    failed: int
    bytes: int
    """Of all requests and answers, heads included."""
    elapsed_seconds: float
    per_second: float
    latency_p50_us: float
    latency_p90_us: float
    latency_p99_us: float
    latency_max_us: float
    error: str


@dataclass(frozen=True, slots=True)
class Load:
    """A load that is being sent."""

    process: "subprocess.Popen[bytes]"
    log: Path

    def finish(self) -> LoadReport:
        """Wait for its end; fails if any answer was wrong."""
        output, errors = self.process.communicate()
        assert self.process.returncode == 0, f"loadgen: {errors.decode()} {output.decode()}"
        return LoadReport(**json.loads(output))

    def ids(self) -> dict[str, int]:
        """Ids of all requests with their times of sending (unix nanoseconds); after the end only."""
        pairs = (line.split() for line in self.log.read_text().splitlines())
        return {identifier: int(at) for identifier, at in pairs}


def start_load(
    port: int,
    log: Path,
    *,
    path: str = "/sized/1024",
    run: str = "r",
    rate: float = 0,
    connections: int = 16,
    seconds: float = 5,
    count: int = 0,
    method: str = "GET",
    request_bytes: int = 0,
    expect: Path | None = None,
) -> Load:
    """Start sending to a server on the loopback; each request's path is ``path/<id>``."""
    command = [
        str(loadgen_binary()),
        f"-address=localhost:{port}",
        f"-path={path}",
        f"-run={run}",
        f"-rate={rate}",
        f"-connections={connections}",
        f"-duration={seconds}s",
        f"-count={count}",
        f"-method={method}",
        f"-body={request_bytes}",
        f"-log={log}",
        *([f"-expect={expect}"] if expect else []),
    ]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    return Load(process, log)


def loadgen_binary() -> Path:
    """Path of the load generator, built when its source changed."""
    source = (_SOURCE / "main.go").read_text() + (_SOURCE / "go.mod").read_text()

    def build(directory: Path) -> None:
        run_build_step("go", "build", "-trimpath", "-o", str(directory / "loadgen"), ".", cwd=_SOURCE)

    return cached_build("loadgen", fingerprint(source), build) / "loadgen"
