# SPDX-License-Identifier: Apache-2.0
"""A recorder in a process of its own, which gives its privileges up: how it ends, and what is left then."""

import os
import resource
import socket
from pathlib import Path

import pytest

from otel_qtap.agent.messages import Channel
from otel_qtap.agent.recorder import Recorder, recorder_main
from otel_qtap.capture.decode import Decoder
from otel_qtap.capture.recording import RecordingReader, RecordingWriter, Stream
from otel_qtap.capture.session import KernelSession
from otel_qtap.errors import RecordingError
from otel_qtap.model.identity import Direction
from otel_qtap.settings import load_settings
from tests.support.kernel_records import KernelConnection
from tests.support.ring_file import RingFile
from tests.support.waiting import eventually

pytestmark = pytest.mark.bpf

RINGS = ("data_ring", "control_ring", "counters", "ended_connections", "handshake_ring")
SETTINGS = load_settings({"OTEL_QTAP_PIPELINE_USER": "64123"})


class Recording:
    """A recorder in a process of its own."""

    def __init__(self, path: Path, *, file_bytes: int = resource.RLIM_INFINITY) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.pid = os.fork()
        if self.pid == 0:
            ours.close()
            code = 9
            try:
                resource.setrlimit(resource.RLIMIT_FSIZE, (file_bytes, file_bytes))
                code = recorder_main(SETTINGS, Channel(theirs), path)
            except RecordingError as error:
                code = error.exit_code
            finally:
                os._exit(code)
        theirs.close()
        self.channel = Channel(ours)

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

    def end(self) -> int:
        code = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        self.channel.close()
        return code


def test_what_came_is_in_the_file_when_it_stops(kernel_session: KernelSession, tmp_path: Path) -> None:
    path = tmp_path / "recording"
    recording = Recording(path)
    eventually(recording.channel.has_spoken, "the recorder runs")
    recording.introduce(kernel_session)
    recording.channel.send({"kind": "process", "facts": {}, "allowed": True})
    recording.channel.send({"kind": "probes", "ready": True})
    recording.channel.send({"kind": "stop"})

    assert recording.end() == 0
    assert path.stat().st_mode & 0o777 == 0o600
    reader = RecordingReader(path)
    assert reader.header["unix_offset_ns"] > 0
    assert (Stream.PROCESS, b'{"kind": "process", "facts": {}, "allowed": true}') in list(reader.frames())


def test_handshakes_stand_before_the_data_of_their_connection_and_closes_behind(tmp_path: Path) -> None:
    path, size = tmp_path / "recording", 4 * 4096
    connection = KernelConnection(1)
    data, control, handshakes = RingFile(size), RingFile(size), RingFile(size)
    writer = RecordingWriter(path, {"unix_offset_ns": 1})
    ours, theirs = (Channel(end) for end in socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET))
    ours.send(
        {"kind": "rings", "data_bytes": size, "control_bytes": size, "handshake_bytes": size},
        [os.dup(ring.file.fileno()) for ring in (data, control, control, control, handshakes)],
    )
    ours.send({"kind": "stop"})
    handshakes.produce(connection.handshake_bytes(Direction.INGRESS, b"hello") + b"stale")
    control.produce(connection.handshake())
    data.produce(connection.data(Direction.EGRESS, b"data") + b"stale")
    control.produce(connection.closed())
    Recorder(theirs, writer).run()
    writer.close()

    decoder = Decoder()
    for _, record in RecordingReader(path).frames():
        assert not record.endswith(b"stale")
        decoder.decode(memoryview(record), 0, len(record))
    assert [type(event).__name__ for event in decoder.events] == [
        "HandshakeCaptured",
        "ConnectionObserved",
        "HandshakeCompleted",
        "DataCaptured",
        "ConnectionClosed",
    ]


def test_it_ends_in_order_when_the_supervisor_is_gone(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "recording")
    eventually(recording.channel.has_spoken, "the recorder runs")
    recording.channel.send({"kind": "process", "facts": {}, "allowed": True})
    recording.channel.close()

    assert recording.end() == 0
    assert len(list(RecordingReader(tmp_path / "recording").frames())) == 1


def test_an_existing_file_is_not_overwritten(tmp_path: Path) -> None:
    (tmp_path / "recording").write_text("an earlier one")

    assert Recording(tmp_path / "recording").end() == RecordingError.exit_code
    assert (tmp_path / "recording").read_text() == "an earlier one"


def test_a_disk_that_is_full_ends_it_with_an_error_and_keeps_what_it_has(tmp_path: Path) -> None:
    recording = Recording(tmp_path / "recording", file_bytes=2 << 20)
    eventually(recording.channel.has_spoken, "the recorder runs")
    for _ in range(4000):
        recording.channel.send({"kind": "process", "padding": "x" * 1000})
    while recording.channel.receive()[2]:
        recording.channel.flush()

    assert recording.end() == RecordingError.exit_code
    assert len(list(RecordingReader(tmp_path / "recording").frames())) > 1000
