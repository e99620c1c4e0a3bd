# SPDX-License-Identifier: Apache-2.0
"""Where the pipeline's time goes: one recording of real traffic, taken through the rooms one by one.

Each room gets all of its input at once, so that its time is its own. Reading the ring and waiting are
not in it, nor is garbage collection: the sum is below what the whole agent costs.
"""

import gc
import time
from collections.abc import Callable, Iterable
from itertools import chain
from pathlib import Path
from typing import TypeVar

import pytest

from otel_qtap.agent.workloads import Workloads
from otel_qtap.capture.decode import Decoder
from otel_qtap.capture.recording import RecordingReader, Stream
from otel_qtap.model.events import ConnectionObserved, KernelEvent, ProcessExited
from tests.support import procfs
from tests.support.agent import AgentProcess
from tests.support.figures import Figures
from tests.support.loadgen import start_load
from tests.support.nginx import Nginx
from tests.support.rooms import build_rooms

pytestmark = pytest.mark.bench

BATCH = 64

In = TypeVar("In")
Out = TypeVar("Out")


def test_time_by_room(tmp_path: Path, nginx: Nginx, figures: Figures) -> None:
    nginx.add_sized(1024)
    recording = tmp_path / "recording"
    (worker,) = procfs.descendants(nginx.pid)
    settings = {"OTEL_QTAP_CAPTURE_INCLUDE": f"pid={worker}"}
    recorder = AgentProcess(tmp_path / "recorder", settings, command=("record", str(recording)))
    try:
        recorder.start()
        recorder.wait_for_log("capturing: ")
        sent = start_load(nginx.port, tmp_path / "sent", rate=2000, seconds=5).finish().sent
        recorder.stop()
    finally:
        recorder.kill()

    records = [
        record for stream, record in RecordingReader(recording).frames() if stream is not Stream.PROCESS
    ]
    rooms = build_rooms(tmp_path, capacity=sent)
    rooms.archive.open()
    decoder = Decoder()
    gc.collect()
    gc.disable()
    try:
        us = {}
        us["decode"], _ = per_exchange(lambda r: decoder.decode(memoryview(r), 0, len(r)), records, sent)
        # Processes that began while it was recorded are excluded a moment later.
        events = [event for event in decoder.events if is_of(worker, event)]
        contexts = Workloads(lambda _: True)
        for event in events:
            if isinstance(event, ConnectionObserved):
                rooms.dispatcher.observe(contexts.context(event))
        us["reassembly"], streams = per_exchange(rooms.tracker.receive, events, sent)
        us["protocols"], parsed = per_exchange(rooms.dispatcher.receive, chain.from_iterable(streams), sent)
        exchanges = list(chain.from_iterable(parsed))
        us["correlation"], identities = per_exchange(rooms.correlator.identify, exchanges, sent)
        pairs = list(zip(exchanges, identities, strict=True))
        us["classification"], cleared = per_exchange(lambda p: rooms.classifier.classify(*p), pairs, sent)
        batches = [cleared[start : start + BATCH] for start in range(0, len(cleared), BATCH)]
        us["objectstore"], kept = per_exchange(rooms.archive.submit, batches, sent)
        stored = list(chain.from_iterable(kept))
        us["telemetry"], _ = per_exchange(rooms.telemetry.write, stored, sent)
    finally:
        gc.enable()
    assert len(exchanges) == sent
    assert all(record.response_ref for record in stored)
    for room, cost in us.items():
        figures.report(f"pipeline by room, per exchange: {room}", cost, "us")
    figures.report("pipeline by room, per exchange: sum", sum(us.values()), "us")


def is_of(pid: int, event: KernelEvent) -> bool:
    return not isinstance(event, ProcessExited) and event.connection.tgid == pid


def per_exchange(work: Callable[[In], Out], inputs: Iterable[In], exchanges: int) -> tuple[float, list[Out]]:
    """CPU microseconds an exchange of ``work`` over all ``inputs``, and what it gave."""
    ready = list(inputs)
    began = time.thread_time()
    outputs = [work(one) for one in ready]
    return (time.thread_time() - began) / exchanges * 1e6, outputs
