# SPDX-License-Identifier: Apache-2.0
"""Stands in the pipeline's place and writes raw kernel records to a file."""

import contextlib
import json
import os
import platform
import select
import signal
import time
from pathlib import Path

from otel_qtap import __version__
from otel_qtap.agent.account import pipeline_account
from otel_qtap.agent.messages import Channel
from otel_qtap.agent.privileges import drop_privileges
from otel_qtap.capture.recording import RecordingWriter, Stream
from otel_qtap.capture.records import CAPTURED, CAPTURED_OFFSET, DATA_OFFSET, KIND, Kind
from otel_qtap.capture.ring import RingBuffer
from otel_qtap.errors import RecordingError
from otel_qtap.settings import Settings

TICK_SECONDS = 0.010
_CLOSERS = frozenset({Kind.DIRECTION_CLOSED, Kind.CONNECTION_CLOSED, Kind.PROCESS_EXITED})


class Recorder:
    """Reads both rings until the supervisor says stop."""

    def __init__(self, channel: Channel, writer: RecordingWriter) -> None:
        self._channel = channel
        self._writer = writer
        self._data: RingBuffer | None = None
        self._control: RingBuffer | None = None
        self._handshakes: RingBuffer | None = None
        self._stopping = False

    def run(self) -> None:
        """The loop."""
        self._channel.send({"kind": "running"})
        poller = select.poll()
        poller.register(self._channel.fileno(), select.POLLIN)
        while not self._stopping:
            if poller.poll(1000 * TICK_SECONDS):
                self._receive()
            self._read()
        self._read()

    def _receive(self) -> None:
        messages, descriptors, alive = self._channel.receive()
        for message in messages:
            match message["kind"]:
                case "rings":
                    self._data = RingBuffer(descriptors[0], message["data_bytes"])
                    self._control = RingBuffer(descriptors[1], message["control_bytes"])
                    self._handshakes = RingBuffer(descriptors[4], message["handshake_bytes"])
                    for descriptor in descriptors:
                        os.close(descriptor)
                case "process":
                    self._writer.write(Stream.PROCESS, json.dumps(message).encode())
                case "stop":
                    self._stopping = True
        self._stopping = self._stopping or not alive

    def _read(self) -> None:
        if self._data is None or self._control is None or self._handshakes is None:
            return
        # What is said of handshakes stands before the data that is read with it, as it happened; a close
        # stands behind the data before it.
        closers: list[bytes] = []
        write = self._writer.write

        def write_control(memory: memoryview, at: int, size: int) -> None:
            if KIND.unpack_from(memory, at)[0] in _CLOSERS:
                closers.append(bytes(memory[at : at + size]))
            else:
                write(Stream.CONTROL, memory[at : at + size])

        end, control_end = self._data.producer_position, self._control.producer_position
        self._handshakes.drain(
            lambda memory, at, size: write(Stream.CONTROL, memory[at : at + _length(memory, at, size)]),
            self._handshakes.size,
        )
        self._control.drain(write_control, control_end - self._control.consumer_position)
        self._data.drain(
            lambda memory, at, size: write(Stream.DATA, memory[at : at + _length(memory, at, size)]),
            end - self._data.consumer_position,
        )
        for record in closers:
            write(Stream.CONTROL, record)


def _length(memory: memoryview, at: int, size: int) -> int:
    """Bytes of a record without its unused end, where an earlier one's plaintext is still to be seen."""
    captured: int = CAPTURED.unpack_from(memory, at + CAPTURED_OFFSET)[0]
    return min(DATA_OFFSET + captured, size)


def recorder_main(settings: Settings, channel: Channel, path: Path) -> int:
    """Body of the forked process; returns its exit code."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    unix_offset_ns = time.time_ns() - time.clock_gettime_ns(time.CLOCK_BOOTTIME)
    header = {"agent": __version__, "kernel": platform.release(), "unix_offset_ns": unix_offset_ns}
    writer = RecordingWriter(path, header)
    drop_privileges(*pipeline_account(settings))
    try:
        Recorder(channel, writer).run()
    except OSError as error:
        raise RecordingError(f"{path} cannot be written to its end: {error.strerror}") from error
    finally:
        with contextlib.suppress(OSError):  # said above
            writer.close()
    return 0
