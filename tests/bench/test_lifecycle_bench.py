# SPDX-License-Identifier: Apache-2.0
"""How long the agent takes to be ready and to leave."""

from pathlib import Path
from statistics import median

import pytest

from tests.support.agent import running_agent
from tests.support.collector import running_collector
from tests.support.exchanges import path_of
from tests.support.figures import Figures, assert_holds
from tests.support.loadgen import start_load
from tests.support.nginx import Nginx

pytestmark = pytest.mark.bench

STARTS = 5


def test_start_to_ready_and_sigterm_to_exit(tmp_path: Path, nginx: Nginx, figures: Figures) -> None:
    nginx.add_sized(1024)
    ready, gone = [], []
    with running_collector(tmp_path / "collector") as collector:
        settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}
        for start in range(STARTS + 1):
            # One state directory: the first start is cold and fills its caches, the others are warm.
            with running_agent(tmp_path / "agent", settings) as agent:
                if start:
                    ready.append(agent.seconds_to_ready)
                load = start_load(nginx.port, tmp_path / "sent", rate=1000, seconds=1, run=f"s{start}")
                sent = load.finish().sent
                gone.append(agent.stop())
                spans = collector.telemetry().on_port(nginx.port)
                served = [path_of(span) for span in spans if span.kind == "server"]
                told = sum(f"/s{start}-" in path for path in served)
                assert told == sent, "not everything was flushed"
    assert_holds(
        figures.report("start to ready, warm (median)", median(ready), "s", at_most=1.2),
        figures.report("SIGTERM to exit, all flushed (worst)", max(gone), "s", at_most=10),
    )
