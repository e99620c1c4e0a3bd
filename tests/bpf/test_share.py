# SPDX-License-Identifier: Apache-2.0
"""A process that makes up TLS objects or calls without end takes its own share of the maps, not others'."""

import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from otel_qtap.agent.probed_files import sites_of
from otel_qtap.capture.attach import Probes
from otel_qtap.capture.holdings import settle
from otel_qtap.capture.records import Kind
from otel_qtap.capture.syscalls import map_items, map_sizes, map_update
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.model.events import DataCaptured
from tests.bpf.conftest import Tap, tapping
from tests.bpf.test_counting import ONE_LINE_EACH, last_known, say
from tests.bpf.test_counting import start as start_client
from tests.support.pki import Pki
from tests.support.tls_servers import running_raw_echo
from tests.support.waiting import eventually

pytestmark = pytest.mark.bpf

SOURCE = Path(__file__).parents[1] / "support" / "programs" / "false_library.c"
CONNECTIONS, SHARE = 2048, 1024
CALLER = """
import ctypes, sys
library = ctypes.CDLL(sys.argv[1])
buffer, claimed = ctypes.create_string_buffer(16), ctypes.c_size_t()
for line in sys.stdin:
    count, size, ends = map(int, line.split())
    for number in range(count):
        handle = ctypes.c_void_p(0x1000 + 64 * number)
        library.SSL_read_ex(handle, buffer, ctypes.c_size_t(size), ctypes.byref(claimed))
        if ends:
            library.SSL_free(handle)
    print("called", flush=True)
"""


@pytest.fixture
def small_tap() -> Iterator[Tap]:
    """One with room for few connections."""
    with tapping("multi", definitions={"QTAP_MAX_CONNECTIONS": CONNECTIONS}) as tap:
        yield tap


class Caller:
    """A process with a TLS library of its own making."""

    def __init__(self, library: Path) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", CALLER, library], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def call(self, count: int, size: int, *, end: bool = False) -> None:
        """Claim to have read ``size`` bytes from each of so many objects."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{count} {size} {end:d}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "called\n"


@pytest.fixture
def library(small_tap: Tap, tmp_path: Path) -> Iterator[Path]:
    """One that only has the names of OpenSSL's functions, probed."""
    library = tmp_path / "libssl-false.so"
    subprocess.run(["gcc", "-O1", "-shared", "-fPIC", "-o", library, SOURCE], check=True)
    plan = LibraryLocator(None).locate(str(library))
    probes = Probes(small_tap.session, plan.path, sites_of(plan), plan.identity.state)
    yield library
    probes.detach()


@pytest.fixture
def caller(library: Path) -> Iterator[Caller]:
    caller = Caller(library)
    yield caller
    caller.process.communicate()


def held(tap: Tap, pid: int) -> int:
    """How many elements of the connection map are a process's."""
    keys = [key for key, _ in map_items(tap.session.maps["connections"])]
    return sum(struct.unpack("<QI4x", key)[1] == pid for key in keys)


def counted(tap: Tap, pid: int) -> int:
    """As many as the kernel side has counted."""
    found = dict(map_items(tap.session.maps["holdings"]))
    connections, _, _ = struct.unpack("<qqQ", found[struct.pack("<I", pid)])
    return int(connections)


def lost(tap: Tap) -> tuple[int, int]:
    loss = tap.counters.read()["no_state"]
    return loss.events, loss.bytes


@pytest.mark.parametrize("end", [False, True])
@pytest.mark.parametrize("size", [0, 3])
def test_an_idle_connection_of_another_process_goes_on_where_it_was(
    small_tap: Tap, caller: Caller, pki: Pki, size: int, end: bool
) -> None:
    with running_raw_echo(pki) as server:
        client = start_client(ONE_LINE_EACH, server.port, pki)
        assert client.stdout is not None
        assert client.stdout.readline() == "connected\n"
        say(client, "before")
        caller.call(3 * CONNECTIONS, size, end=end)
        say(client, "after")
        client.communicate()
        small_tap.read()

    (known,) = last_known(small_tap, client.pid)
    assert known.from_handshake
    assert sorted(small_tap.streams(client.pid).values()) == [b"before\nafter\n"] * 2
    pid = caller.process.pid
    if not size:
        assert (held(small_tap, pid), lost(small_tap)) == (0, (0, 0)), "calls that carried nothing"
        return
    assert held(small_tap, pid) == counted(small_tap, pid) == SHARE
    refused = 3 * CONNECTIONS - SHARE
    assert lost(small_tap) == (refused, size * refused)
    assert len(small_tap.of(DataCaptured, pid)) == SHARE
    crowded = [n for n in small_tap.notices if n.kind is Kind.PROCESS_CROWDED]
    assert {notice.tgid for notice in crowded} == {pid}


def test_what_has_ended_makes_room_for_what_begins(small_tap: Tap, caller: Caller) -> None:
    pid = caller.process.pid
    caller.call(SHARE, 1, end=True)
    caller.call(SHARE, 1, end=True)
    assert lost(small_tap) == (0, 0), "objects at the same addresses take no more room"
    later = time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 2 * 10**9
    settle(small_tap.session, later)
    assert held(small_tap, pid) == counted(small_tap, pid) == 0
    caller.call(SHARE, 1)
    settle(small_tap.session, later)
    assert held(small_tap, pid) == counted(small_tap, pid) == SHARE, "these have not ended"
    assert lost(small_tap) == (0, 0)


def test_few_ended_connections_stay_for_those_who_inherit_them(small_tap: Tap, caller: Caller) -> None:
    caller.call(SHARE // 4, 1, end=True)

    assert settle(small_tap.session, time.clock_gettime_ns(time.CLOCK_BOOTTIME) + 10**12).removed == 0
    assert held(small_tap, caller.process.pid) == SHARE // 4


def test_a_process_takes_its_count_along(small_tap: Tap, caller: Caller) -> None:
    caller.call(1, 1)
    caller.process.communicate()

    keys = [key for key, _ in map_items(small_tap.session.maps["holdings"])]
    assert struct.pack("<I", caller.process.pid) not in keys


NESTING = """
import ctypes, os, sys
library = ctypes.CDLL(sys.argv[1])
buffer, claimed = ctypes.create_string_buffer(16), ctypes.c_size_t()
ctypes.c_size_t.in_dll(library, "nested").value = int(sys.argv[2])
ctypes.c_int.in_dll(library, "gate").value = 0
library.SSL_read_ex(ctypes.c_void_p(0x1000), buffer, ctypes.c_size_t(1), ctypes.byref(claimed))
os.write(1, b"returned")
os.read(0, 1)
"""
OPEN_CALLS, CALLS_SHARE = 4096, 2048


def put_aside(tap: Tap, pid: int) -> int:
    """How many calls of a process wait for those within them."""
    keys = [key for key, _ in map_items(tap.session.maps["open_calls"])]
    return sum(struct.unpack_from("<I", key, 4)[0] == pid for key in keys)


def counted_calls(tap: Tap, pid: int) -> int:
    found = dict(map_items(tap.session.maps["holdings"]))
    return int(struct.unpack("<qqQ", found[struct.pack("<I", pid)])[1])


@pytest.fixture
def nesting(small_tap: Tap, library: Path) -> Iterator[Callable[[int], "subprocess.Popen[bytes]"]]:
    processes = []

    def start(depth: int) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-c", NESTING, library, str(depth)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.communicate()


def test_calls_within_calls_are_counted_down_when_they_return(
    small_tap: Tap, nesting: Callable[[int], "subprocess.Popen[bytes]"]
) -> None:
    process = nesting(10)
    assert process.stdin is not None
    assert process.stdout is not None
    eventually(lambda: put_aside(small_tap, process.pid) == 10, "they wait for the innermost")
    assert counted_calls(small_tap, process.pid) == 10
    process.stdin.write(b"x")
    process.stdout.read(8)
    small_tap.read()

    assert put_aside(small_tap, process.pid) == counted_calls(small_tap, process.pid) == 0
    assert len(small_tap.of(DataCaptured, process.pid)) == 11


def test_calls_of_one_process_that_do_not_return_displace_no_others(
    small_tap: Tap, nesting: Callable[[int], "subprocess.Popen[bytes]"]
) -> None:
    open_calls = small_tap.session.maps["open_calls"]
    others = struct.pack("<IIQ", 7, 4_000_001, 0x7FFC_0000_0000)
    map_update(open_calls, others, bytes(map_sizes(open_calls)[1]))
    depth = 3 * OPEN_CALLS
    process = nesting(depth)
    eventually(lambda: lost(small_tap) == (depth - CALLS_SHARE, 0), "the innermost was reached")

    assert put_aside(small_tap, process.pid) == counted_calls(small_tap, process.pid) == CALLS_SHARE
    assert others in [key for key, _ in map_items(open_calls)]
    small_tap.read()
    assert process.pid in {n.tgid for n in small_tap.notices if n.kind is Kind.PROCESS_CROWDED}

    now = time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    settle(small_tap.session, now)
    assert put_aside(small_tap, process.pid) == CALLS_SHARE, "they may return yet"
    settle(small_tap.session, now + 61 * 10**9)
    assert put_aside(small_tap, process.pid) == counted_calls(small_tap, process.pid) == 0
    assert others in [key for key, _ in map_items(open_calls)]
