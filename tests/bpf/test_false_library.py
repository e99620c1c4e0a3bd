# SPDX-License-Identifier: Apache-2.0
"""A process that lies about what its TLS library read harms its own capture, and nobody else's."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.probed_files import sites_of
from otel_qtap.capture.attach import Probes
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.model.events import ConnectionClosed, DataCaptured
from tests.bpf.conftest import Tap

pytestmark = pytest.mark.bpf

SOURCE = Path(__file__).parents[1] / "support" / "programs" / "false_library.c"
CALLER = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
buffer, claimed = ctypes.create_string_buffer(b"x" * 4096, 4096), ctypes.c_size_t()
for size in map(int, sys.argv[2:]):
    library.SSL_read_ex(ctypes.c_void_p(0x1000), buffer, ctypes.c_size_t(size), ctypes.byref(claimed))
"""


@pytest.fixture
def call(multi_tap: Tap, tmp_path: Path) -> Callable[..., list[DataCaptured]]:
    library = tmp_path / "libssl-false.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    plan = LibraryLocator(None).locate(str(library))
    probes = Probes(multi_tap.session, plan.path, sites_of(plan), plan.identity.state)

    def claim(*sizes: int) -> list[DataCaptured]:
        process = subprocess.Popen([sys.executable, "-c", CALLER, library, *map(str, sizes)], text=True)
        assert multi_tap.read_until_end(process) == 0
        probes.detach()
        assert not multi_tap.of(ConnectionClosed, process.pid)
        return multi_tap.of(DataCaptured, process.pid)

    return claim


def test_more_than_any_call_can_carry_is_counted_and_moves_nothing(
    multi_tap: Tap, call: Callable[..., list[DataCaptured]]
) -> None:
    events = call(10, 1 << 60, (1 << 64) - 1, 10)

    assert [(event.position, event.data) for event in events] == [(0, b"x" * 10), (10, b"x" * 10)]
    lost = multi_tap.counters.read()["call_too_large"]
    assert (lost.events, lost.bytes) == (2, 0)


def test_memory_that_is_not_there_is_not_captured_and_stated(
    multi_tap: Tap, call: Callable[..., list[DataCaptured]]
) -> None:
    events = call(256 << 20)

    lost = multi_tap.counters.read()
    uncopied = lost["ring_full"].bytes + lost["call_too_large"].bytes
    assert sum(event.size for event in events) + uncopied >= 256 << 20
    assert events[-1].data == b""
