# SPDX-License-Identifier: Apache-2.0
"""What supervisor and pipeline say to each other, over a Unix socket that keeps message boundaries.

Each message is one JSON object with a ``kind``. The supervisor sends:

rings      descriptors ride along: data ring, control ring, counters, ended connections; sizes of the
           rings in bytes
process    facts of a process, and whether the user's selectors allow it
probes     why probes or tracepoints are not where they should be; empty where they are
coverage   a process that speaks TLS: captured or not, and why
selectors  which processes the user wants from now on; those that are known are told one by one
log        level and form of the log from now on
stop       read what is left, flush, exit

The pipeline sends ``running`` once: privileges are gone and the exporters' threads run. It parses what
strangers wrote, so the supervisor hears that it spoke and never looks at what it said.
"""

import dataclasses
import json
import socket
from collections import deque
from typing import Any

from otel_qtap.agent.coverage.speakers import Judged
from otel_qtap.discovery.containers.answer import container_facts, pod_facts
from otel_qtap.model.identity import ProcessFacts, ProcessId
from otel_qtap.settings import Settings

Message = dict[str, Any]
_MAX_BYTES = 128 * 1024
_MAX_PATH = 2048
_MAX_TEXT = 256
"""Longest path of an executable and longest other fact, in characters. Observed processes choose some of
these texts: at their worst, four bytes a character, they still are less than ``_MAX_BYTES``."""
_CONTROLS = dict.fromkeys([*range(0x20), 0x7F], "?")
_MAX_WAITING = 65536
_MAX_HEARD = 64


def process_message(facts: ProcessFacts, *, allowed: bool) -> Message:
    """A ``process`` message: its texts are cut to what fits, and what is no Unicode in them is replaced.

    The command line stays behind: the pipeline has no use for it.
    """
    fields = _bounded(dataclasses.asdict(dataclasses.replace(facts, command_line=(), executable="")))
    fields["executable"] = _unicode(facts.executable[:_MAX_PATH])
    return {"kind": "process", "facts": fields, "allowed": allowed}


def probes_message(*, probes: str, tracepoints: str) -> Message:
    """A ``probes`` message: what is wrong with each, empty if nothing."""
    return {"kind": "probes", "probes": probes[:_MAX_TEXT], "tracepoints": tracepoints[:_MAX_TEXT]}


def coverage_message(judged: Judged, *, is_news: bool) -> Message:
    """A ``coverage`` message. ``is_news``: it was not said before, to no pipeline."""
    judgement = judged.judgement
    return {
        "kind": "coverage",
        "process": [judged.pid, judged.start_time_ns],
        "command": _bounded(judged.command),
        "user_id": judged.user_id,
        "state": judgement.state.value,
        "reason": judgement.reason.value,
        "library": judgement.library,
        "detail": _unicode(judgement.detail[:_MAX_PATH]),
        "has_ended": judged.has_ended,
        "is_news": is_news,
    }


def selectors_message(settings: Settings) -> Message:
    """A ``selectors`` message."""
    chosen = {"include": settings.capture.include, "exclude": settings.capture.exclude}
    return {"kind": "selectors", **{name: ",".join(map(str, each)) for name, each in chosen.items()}}


def log_message(level: str, form: str) -> Message:
    """A ``log`` message."""
    return {"kind": "log", "level": level, "form": form}


def read_facts(message: Message) -> ProcessFacts:
    """The facts of a ``process`` message."""
    fields = dict(message["facts"])
    fields["process"] = ProcessId(*fields["process"])
    fields["command_line"] = ()
    fields["declared"] = tuple((key, value) for key, value in fields.get("declared", ()))
    fields["container"] = container_facts(fields.get("container"))
    fields["pod"] = pod_facts(fields.get("pod"))
    return ProcessFacts(**fields)


def _bounded(value: Any) -> Any:
    if isinstance(value, str):
        return _unicode(value[:_MAX_TEXT])
    if isinstance(value, dict):
        return {name: _bounded(item) for name, item in value.items()}
    if isinstance(value, tuple):
        return [_bounded(item) for item in value]
    return value


def _unicode(text: str) -> str:
    return text.translate(_CONTROLS).encode(errors="replace").decode()


class Channel:
    """One end of the conversation. Sending never blocks: what does not fit waits its turn."""

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        self._socket = end
        self._waiting: deque[bytes] = deque()

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def send(self, message: Message, descriptors: list[int] | None = None) -> None:
        """Send, or queue when the other end is slow. Descriptors go out at once or raise OSError."""
        data = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
        if descriptors:
            socket.send_fds(self._socket, [data], descriptors)
            return
        if len(self._waiting) >= _MAX_WAITING:
            self._waiting.popleft()  # an end that has not read for so long: the newest matters most
        self._waiting.append(data)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as it goes; a peer that is gone is noticed by ``receive``."""
        try:
            while self._waiting:
                self._socket.send(self._waiting[0])
                self._waiting.popleft()
        except BlockingIOError:
            pass
        except (BrokenPipeError, ConnectionResetError):
            self._waiting.clear()

    def receive(self) -> tuple[list[Message], list[int], bool]:
        """All messages that have come, their descriptors, and whether the other end is still there."""
        messages: list[Message] = []
        descriptors: list[int] = []
        while True:
            try:
                data, received, _, _ = socket.recv_fds(self._socket, _MAX_BYTES, 8)
            except BlockingIOError:
                return messages, descriptors, True
            except ConnectionResetError:
                return messages, descriptors, False
            if not data:
                return messages, descriptors, False
            descriptors += received
            messages.append(json.loads(data))

    def has_spoken(self) -> bool:
        """Whether the other end has said anything since this was asked; what, is thrown away unread.

        Descriptors that came along are closed by the kernel.
        """
        for heard in range(_MAX_HEARD):
            try:
                if not self._socket.recv(1):
                    return heard > 0
            except (BlockingIOError, ConnectionResetError):
                return heard > 0
        return True

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
