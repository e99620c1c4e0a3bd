# SPDX-License-Identifier: Apache-2.0
"""The least that any tap costs its target, for benches: probes that only write raw bytes to a ring."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event, Thread

from otel_qtap.agent.probed_files import sites_of
from otel_qtap.capture.attach import Probes
from otel_qtap.capture.ring import RingBuffer
from otel_qtap.capture.session import Loading
from otel_qtap.discovery.btf import kernel_offsets
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.probes.spec import Hook

_SOURCE = Path(__file__).parent / "programs" / "floor" / "floor.c"
_RING_BYTES = 32 << 20


@contextmanager
def running_floor(library: str) -> Iterator[None]:
    """Probe the reads and writes of one TLS library as the agent would, and do nothing with what comes."""
    session = Loading(
        interpreter="/usr/bin/python3",
        offsets=kernel_offsets,
        attach="multi",
        data_ring_bytes=_RING_BYTES,
        source=_SOURCE,
    ).result()
    plan = LibraryLocator(None).locate(library)
    sites = [site for site in sites_of(plan) if site.cookie & 0xFF in (Hook.READ, Hook.WRITE)]
    probes = Probes(session, library, sites)
    ring = RingBuffer(session.maps["data_ring"], session.data_ring_bytes)
    stop = Event()

    def drain() -> None:
        while not stop.wait(0.05):
            ring.drain(lambda memory, at, size: None, _RING_BYTES)

    reader = Thread(target=drain, daemon=True)
    reader.start()
    try:
        yield
    finally:
        stop.set()
        reader.join()
        probes.detach()
        session.close()
