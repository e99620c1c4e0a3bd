# SPDX-License-Identifier: Apache-2.0
"""The order of events out of two rings, and the pipeline's life as a process."""

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from otel_qtap.agent.directories import prepare_directories
from otel_qtap.agent.ledger import Balance, Ledger
from otel_qtap.agent.messages import Channel, probes_message
from otel_qtap.agent.pipeline import Intake, pipeline_main
from otel_qtap.agent.vital_signs import VitalSigns
from otel_qtap.capture.ring import RecordHandler, RingBuffer
from otel_qtap.capture.session import KernelSession
from otel_qtap.listening import listen
from otel_qtap.model.events import ConnectionClosed, DataCaptured
from otel_qtap.model.identity import Direction
from otel_qtap.settings import load_settings
from tests.support import procfs
from tests.support.kernel_records import KernelConnection
from tests.support.ring_file import RingFile
from tests.support.stopped_thread import stopped_thread
from tests.support.waiting import eventually

pytestmark = pytest.mark.bpf

UID = 64123
SIZE = 4 * 4096
RINGS = ("data_ring", "control_ring", "counters", "ended_connections", "handshake_ring")


@pytest.fixture
def rings() -> tuple[RingFile, RingFile]:
    return RingFile(SIZE), RingFile(SIZE)


def intake(rings: tuple[RingFile, RingFile]) -> Intake:
    data, control = (RingBuffer(ring.file.fileno(), SIZE) for ring in rings)
    return Intake(data, control)


def shown(events: list[object]) -> list[bytes | str]:
    """What was carried, and what ended."""
    return [
        event.data if isinstance(event, DataCaptured) else event.reason
        for event in events
        if isinstance(event, DataCaptured | ConnectionClosed)
    ]


def test_a_close_comes_after_all_data_that_was_written_before_it(rings: tuple[RingFile, RingFile]) -> None:
    connection = KernelConnection(1)
    for number in range(3):
        rings[0].produce(connection.data(Direction.EGRESS, b"%d" % number))
    rings[1].produce(connection.closed())
    reader = intake(rings)

    first, size = reader.read(1)
    assert shown(first) == [b"0"]
    assert size > 0
    second, _ = reader.read(SIZE)
    assert shown(second) == [b"1", b"2", "ssl_free"]
    assert reader.read(SIZE) == ([], 0)


def test_a_close_waits_for_a_record_that_is_still_being_written(rings: tuple[RingFile, RingFile]) -> None:
    connection = KernelConnection(1)
    record = connection.data(Direction.EGRESS, b"slow")
    rings[0].produce(record, flags=1 << 31)
    rings[1].produce(connection.closed())
    reader = intake(rings)

    assert shown(reader.read(SIZE)[0]) == []
    rings[0].commit(0, len(record))
    assert shown(reader.read(SIZE)[0]) == [b"slow", "ssl_free"]


def test_what_is_known_of_a_handshake_comes_before_its_connection_s_events(
    rings: tuple[RingFile, RingFile],
) -> None:
    connection = KernelConnection(1)
    data, control = (RingBuffer(ring.file.fileno(), SIZE) for ring in rings)
    of_handshakes = RingFile(SIZE)
    handshakes = RingBuffer(of_handshakes.file.fileno(), SIZE)
    rings[0].produce(connection.data(Direction.EGRESS, b"early"))

    class Meanwhile:
        """The handshake ring; when it has been read, a connection is made, and used."""

        size = SIZE

        def drain(self, handle: RecordHandler, max_bytes: int) -> int:
            read = handshakes.drain(handle, max_bytes)
            of_handshakes.produce(connection.handshake_bytes(Direction.INGRESS, b"hello"))
            rings[1].produce(connection.handshake())
            rings[0].produce(connection.data(Direction.EGRESS, b"late"))
            return read

    reader = Intake(data, control, Meanwhile())  # type: ignore[arg-type]
    first, _ = reader.read(SIZE)
    assert [type(event).__name__ for event in first] == ["ConnectionObserved", "DataCaptured"]
    assert shown(first) == [b"early"]
    second, _ = reader.read(SIZE)
    assert [type(event).__name__ for event in second] == [
        "HandshakeCaptured",
        "HandshakeCompleted",
        "DataCaptured",
    ]
    assert shown(second) == [b"late"]


def test_records_that_make_no_sense_are_counted(rings: tuple[RingFile, RingFile]) -> None:
    rings[0].produce(b"\xff" * 200)
    rings[1].produce(b"short")
    reader = intake(rings)

    assert shown(reader.read(SIZE)[0]) == []
    assert reader.malformed == 2


class Running:
    """A pipeline in a process of its own, with nothing to export to."""

    def __init__(self, directory: Path, ledger: Ledger, **environ: str) -> None:
        self.signs = signs = VitalSigns()
        settings = load_settings(
            {
                "OTEL_QTAP_STATE_DIRECTORY": str(directory / "state"),
                "OTEL_QTAP_OBJECTS_URL": (directory / "objects").as_uri(),
                "OTEL_QTAP_PIPELINE_USER": str(UID),
                "OTEL_TRACES_EXPORTER": "none",
                "OTEL_LOGS_EXPORTER": "none",
                "OTEL_METRICS_EXPORTER": "none",
                **environ,
            }
        )
        prepare_directories(settings)
        listener = listen("OTEL_QTAP_HEALTH_ADDRESS", "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            code = 9
            try:
                code = pipeline_main(settings, Channel(theirs), listener, ledger, signs)
            finally:
                os._exit(code)
        theirs.close()
        listener.close()
        self.channel = Channel(ours)
        eventually(self.channel.has_spoken, "the pipeline runs")

    def introduce(self, session: KernelSession) -> None:
        self.channel.send(
            {
                "kind": "rings",
                "data_bytes": session.data_ring_bytes,
                "control_bytes": session.control_ring_bytes,
                "handshake_bytes": session.handshake_ring_bytes,
            },
            [session.maps[name] for name in RINGS],
        )

    def page(self, name: str) -> dict[str, Any]:
        """/readyz or /livez; "status" is that of the answer."""
        try:
            with urllib.request.urlopen(f"{self.url}/{name}", timeout=5) as answer:
                return {**json.load(answer), "status": answer.status}
        except urllib.error.HTTPError as error:
            return {**json.load(error), "status": error.code}

    def answers(self) -> bool:
        try:
            urllib.request.urlopen(f"{self.url}/metrics", timeout=1).close()
        except OSError:
            return False
        return True

    def metrics(self) -> str:
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            return str(answer.read().decode())

    def end(self) -> int:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.pid = 0
        self.channel.close()
        return code

    def kill(self) -> None:
        """End what a failed test left."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            self.end()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def running(tmp_path: Path, ledger: Ledger) -> Iterator[Running]:
    if os.geteuid() != 0:
        pytest.skip("only root can give privileges up")
    running = Running(tmp_path, ledger)
    yield running
    running.kill()


def test_it_runs_without_privileges_and_is_ready_once_the_probes_are(
    running: Running, kernel_session: KernelSession
) -> None:
    held = procfs.privileges(running.pid)
    assert set(held.user_ids) == {UID}
    assert held.effective_capabilities == held.permitted_capabilities == 0
    page = running.page("readyz")
    assert (page["status"], page["ready"]) == (503, False)
    assert {name for name, told in page["conditions"].items() if not told["ready"]} == {
        "probes",
        "tracepoints",
        "ring",
    }
    running.introduce(kernel_session)
    running.channel.send(probes_message(probes="", tracepoints=""))
    eventually(lambda: running.page("readyz")["ready"], "ready")
    running.channel.send(probes_message(probes="cannot probe x", tracepoints=""))
    eventually(lambda: not running.page("readyz")["ready"], "not ready any more")
    assert running.page("readyz")["conditions"]["probes"]["reason"] == "cannot probe x"

    running.channel.send({"kind": "stop"})
    assert running.end() == 0


def test_it_ends_in_order_when_the_supervisor_is_gone(running: Running) -> None:
    running.channel.close()

    assert running.end() == 0


def test_it_tells_what_its_predecessor_owed_and_leaves_nothing_itself(tmp_path: Path, ledger: Ledger) -> None:
    ledger.write(Balance(exchanges=5, settled=2, open_connections=1))
    running = Running(tmp_path, ledger)

    running.channel.send({"kind": "stop"})
    assert running.end() == 0
    assert ledger.take() is None


def test_losses_of_the_kernel_side_are_on_its_metrics_page(
    running: Running, kernel_session: KernelSession
) -> None:
    running.introduce(kernel_session)
    eventually(lambda: 'reason="ring_full"' in running.metrics(), "the counters are read")

    assert 'qtap_capture_lost_total{qtap_capture_lost_reason="ring_full"} 0' in running.metrics()
    running.channel.send({"kind": "stop"})
    assert running.end() == 0


def test_a_loop_that_does_not_go_round_is_neither_ready_nor_alive(
    running: Running, kernel_session: KernelSession
) -> None:
    running.introduce(kernel_session)
    running.channel.send(probes_message(probes="", tracepoints=""))
    eventually(lambda: running.page("readyz")["ready"], "ready")
    assert running.page("livez")["status"] == 200
    # Signals stop whole processes. A debugger's hand on one thread is what a stuck loop looks like.
    with stopped_thread(running.pid, running.answers):
        eventually(lambda: not running.page("readyz")["ready"], "not ready", seconds=15, pause=0.5)
        assert "not gone round" in running.page("readyz")["conditions"]["ring"]["reason"]
        page = eventually(
            lambda: page if (page := running.page("livez"))["status"] == 503 else None,
            "not alive",
            seconds=40,
            pause=0.5,
        )
        assert page["alive"] is False
        assert page["conditions"]["supervisor"]["alive"] is True
    eventually(lambda: running.page("livez")["status"] == 200, "alive again")
    running.channel.send({"kind": "stop"})
    assert running.end() == 0
