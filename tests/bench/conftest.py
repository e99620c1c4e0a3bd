# SPDX-License-Identifier: Apache-2.0
"""Benches of the whole agent: their figures come in one table at the end and as JSON.

``OTEL_QTAP_BENCH_SECONDS`` is how long each load lasts (default 5; 60 for the figures that count);
``OTEL_QTAP_BENCH_JSON`` names the file for the figures (default ``.benchmarks/agent.json``).
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.figures import Figures
from tests.support.nginx import Nginx, running_nginx
from tests.support.pki import Pki

_FIGURES = Figures()


@pytest.fixture(scope="session")
def figures() -> Figures:
    """Where a bench reports what it measured."""
    return _FIGURES


@pytest.fixture(autouse=True)
def _is_alone(request: pytest.FixtureRequest) -> Iterator[None]:
    """Another agent's probes cost the same targets: where one runs, a bench's figures do not count."""
    others = procfs.processes_running("otel-qtap")
    yield
    others += [pid for pid in procfs.processes_running("otel-qtap") if pid not in others]
    if others:
        name = f"{request.node.name}: processes of other agents"
        _FIGURES.report(name, len(others), "", note="its figures do not count")


@pytest.fixture(scope="session")
def load_seconds() -> float:
    """How long each load lasts."""
    return float(os.environ.get("OTEL_QTAP_BENCH_SECONDS", "5"))


@pytest.fixture
def nginx(tmp_path: Path, pki: Pki) -> Iterator[Nginx]:
    """A real nginx with one worker."""
    with running_nginx(tmp_path / "nginx", pki) as nginx:
        yield nginx


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Show the table and write the figures."""
    if _FIGURES.measured:
        terminalreporter.section("figures of the whole agent")
        for line in _FIGURES.table():
            terminalreporter.write_line(line)
        path = Path(os.environ.get("OTEL_QTAP_BENCH_JSON", ".benchmarks/agent.json"))
        _FIGURES.write(path)
        terminalreporter.write_line(f"written to {path}")
