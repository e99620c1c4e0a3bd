# SPDX-License-Identifier: Apache-2.0
"""One direction of an HTTP/1 conversation: bytes in, messages out.

The machine. A step consumes bytes from ``at`` and returns where it stopped; each state is a step.

    seek     not in step with the peer: look for a start line     -> head
    head     a start line and fields, to the blank line           -> a body state, head, or seek
    length   content of a known length                            -> head
    chunked  content in chunks, and trailer fields                -> head, on broken framing seek
    until_close  content up to the end of the direction
    parked   another protocol may follow: keep what comes         -> head, or handed over

A gap moves on by counting where the length is known, and to ``seek`` elsewhere.
"""

from collections.abc import Callable
from typing import Protocol

from otel_qtap.model.exchange import Incomplete
from otel_qtap.model.stream import BytesReceived, GapDetected
from otel_qtap.protocols.base import UNKNOWN_START, ByteBudget, ProtocolCounters
from otel_qtap.protocols.http1.chunked import ChunkedBody, MalformedError
from otel_qtap.protocols.http1.framing import Framing
from otel_qtap.protocols.http1.heads import MAX_FIELDS, HeadParser
from otel_qtap.protocols.http1.inference import find_boundary
from otel_qtap.protocols.http1.message import Message

MAX_HEAD_BYTES = 65_536
"""Four times what Node allows, eight times Apache's default; a longer head is cut and resynchronised."""
MAX_PARKED_BYTES = 65_536
"""What a client may send behind an upgrade request before the answer; more means that it does not wait."""

_PARSER = HeadParser()

# Bound once: looking a member up in its enum costs as much as a small call, and heads are the hot path.
_NOTHING, _LENGTH, _CHUNKED = Framing.NOTHING, Framing.LENGTH, Framing.CHUNKED
_UNTIL_CLOSE, _SWITCH, _INVALID = Framing.UNTIL_CLOSE, Framing.SWITCH, Framing.INVALID


class MessageListener(Protocol):
    """The conversation, as its readers see it."""

    def head_read(self, message: Message) -> Framing:
        """A head was read; say what follows it."""

    def message_read(self, message: Message) -> None:
        """A message has ended, well or not."""


class MessageReader:
    """Reads the messages of one direction. Memory: one head, or one body as far as it is kept."""

    __slots__ = (
        "_budget",
        "_chunked",
        "_counters",
        "_event",
        "_held",
        "_held_length",
        "_held_started_ns",
        "_listener",
        "_max_body_bytes",
        "_message",
        "_parked_bytes",
        "_parked_events",
        "_remaining",
        "_requests",
        "_scanned",
        "_step",
        "broken",
        "impatient",
        "lost",
        "midstream",
        "parked",
        "position",
    )

    def __init__(
        self,
        listener: MessageListener,
        *,
        requests: bool,
        start: int,
        max_body_bytes: int,
        budget: ByteBudget,
        counters: ProtocolCounters,
    ) -> None:
        self._listener = listener
        self._requests = requests
        self._max_body_bytes = max_body_bytes
        self._budget = budget
        self._counters = counters
        self.position = start
        """Stream offset of the next byte, or UNKNOWN_START."""
        self.midstream = start == UNKNOWN_START
        """No message was read yet, and the first one may have been cut by the attachment."""
        self.lost = False
        """Bytes were lost since the last head, so that messages may be missing."""
        self.broken = False
        """Something made no sense where nothing was said to be lost."""
        self._step: Callable[[bytes, int], int] = self._seek if self.midstream else self._head
        self._event: BytesReceived
        self._held = b""
        self._held_length = 0
        self._held_started_ns = 0
        self._scanned = 0
        self._message: Message | None = None
        self._remaining = 0
        self._chunked: ChunkedBody | None = None
        self.parked = False
        """What comes is kept and not read."""
        self.impatient = False
        """Nothing is parked any more: the peer does not wait, or there is nothing to wait for."""
        self._parked_events: list[BytesReceived | GapDetected] = []
        self._parked_bytes = 0

    def receive(self, event: BytesReceived) -> None:
        """Read the next bytes."""
        data = event.data
        if event.position != self.position:
            self._jump(event)
        self.position = event.position + len(data)
        self._event = event
        self._held_length = len(self._held)
        if self._held_length:
            data = self._held + data
            self._held = b""
        self._read(data)

    def gap(self, event: GapDetected) -> None:
        """Step over bytes that were lost."""
        if self.parked:
            self._parked_events.append(event)
            self.position = event.position + event.length
            return
        length = event.length
        message = self._message
        self.position = event.position + length
        if message is None:
            self._cut_head("gap", Incomplete.GAP)
            self._lose_step()
            return
        message.cut("gap", Incomplete.GAP)
        if self._chunked is not None:
            message.size_known = False
            self._end_message(event.timestamp_ns)
            self._lose_step()
        elif self._step == self._until_close:
            message.size += length
        else:
            lost = min(length, self._remaining)
            message.size += lost
            self._remaining -= lost
            if not self._remaining:
                self._end_message(event.timestamp_ns)
            if length > lost:
                self._lose_step()

    def end(self, *, closed: bool) -> None:
        """No more bytes will come; ``closed`` tells whether the peers ended it or the observation did."""
        message = self._message
        if message is None:
            self._cut_head("disconnect", Incomplete.CONNECTION_ENDED)
        else:
            if not (closed and self._step == self._until_close) and not _is_withheld(message):
                message.cut("disconnect", Incomplete.CONNECTION_ENDED)
            self._end_message(self._event.timestamp_ns)
        # Also breaks the reference of this object to itself.
        self._step = _ignore

    def park(self) -> None:
        """Keep what comes from now on: whether it is ours is not known yet."""
        if self.impatient:
            return
        self.parked = True
        self._step = self._park

    def resume(self) -> None:
        """What was parked is ours after all, if anything was."""
        if not self.parked:
            return
        self.parked = False
        self._step = self._head
        events, self._parked_events, self._parked_bytes = self._parked_events, [], 0
        self.position = events[0].position if events else self.position
        for event in events:
            if isinstance(event, BytesReceived):
                self.receive(event)
            else:
                self.gap(event)

    def take_parked(self) -> tuple[list[BytesReceived | GapDetected], int]:
        """Hand over what was parked, and the stream offset at which reading stopped, in step."""
        events, self._parked_events = self._parked_events, []
        if self.lost:
            return events, UNKNOWN_START
        return events, events[0].position if events else self.position

    def close(self) -> None:
        """Break this object's references to itself and to its conversation."""
        self._step = _ignore
        self._message = self._chunked = None
        self._listener = _NOBODY

    def _read(self, data: bytes) -> None:
        at, end = 0, len(data)
        while at < end:
            at = self._step(data, at)

    # Steps: consume ``data`` from ``at``, return where reading goes on.

    def _head(self, data: bytes, at: int) -> int:
        if data[at] in b"\r\n":
            # RFC 9112 2.2: empty lines before a start line are ignored.
            return at + 1
        scan = at + self._scanned
        self._scanned = 0
        # Not further than a head may be long, or many short messages would be searched to their end.
        limit = at + MAX_HEAD_BYTES
        blank = data.find(b"\n\r\n", scan, limit)
        lf_only = data.find(b"\n\n", scan, blank + 1 if blank >= 0 else limit)
        if lf_only >= 0:
            stop = lf_only + 2
        elif blank >= 0:
            stop = blank + 3
        else:
            stop = -1
        length = (stop if stop >= 0 else len(data)) - at
        if length > MAX_HEAD_BYTES:
            return self._overlong_head(data, at)
        if stop < 0:
            self._hold(data, at)
            # The last two bytes may belong to the blank line.
            self._scanned = max(0, length - 2)
            return len(data)
        return self._begin_message(data, at, stop)

    def _begin_message(self, data: bytes, at: int, stop: int) -> int:
        message = self._new_message(data, at, stop)
        well_formed = _PARSER.read_request(message) if self._requests else _PARSER.read_response(message)
        if not well_formed:
            self._counters.malformed_messages += 1
            self.broken = self.broken or not self.lost
            if not message.version:
                # Not even a start line: search behind its first byte.
                self._lose_step()
                self._counters.skipped_bytes += 1
                return at + 1
            message.flaw(Incomplete.MALFORMED)
        if stop - at > MAX_FIELDS and message.head.count(b"\n") > MAX_FIELDS:
            message.flaw(Incomplete.TRUNCATED)
            well_formed = False
        self._message = message
        framing = self._listener.head_read(message)
        self.midstream = self.lost = False
        if not well_formed and framing is not _SWITCH:
            framing = _INVALID
        if framing is _LENGTH:
            self._remaining = message.content_length
            self._step = self._length
        elif framing is _NOTHING or framing is _SWITCH:
            # On a switch the listener parks both readers.
            self._end_message(self._event.timestamp_ns)
        elif framing is _CHUNKED:
            message.chunked = True
            self._chunked = ChunkedBody(message, self._max_body_bytes, self._budget)
            self._step = self._read_chunked
        elif framing is _UNTIL_CLOSE:
            self._step = self._until_close
        else:
            if well_formed:
                self._counters.malformed_messages += 1
                message.flaw(Incomplete.MALFORMED)
            message.size_known = False
            self._end_message(self._event.timestamp_ns)
            self._lose_step()
        return stop

    def _overlong_head(self, data: bytes, at: int) -> int:
        """A head beyond the limit: show what is there of it, and look for the next message."""
        self._counters.truncated_heads += 1
        stop = at + MAX_HEAD_BYTES
        self._held = data[at:stop]
        self._held_started_ns = self._event.started_ns if at >= self._held_length else self._held_started_ns
        self._cut_head("length", Incomplete.TRUNCATED)
        self._lose_step()
        return stop

    def _length(self, data: bytes, at: int) -> int:
        message = self._message
        assert message is not None
        stop = min(at + self._remaining, len(data))
        self._counters.cut_body_bytes += message.append(data[at:stop], self._max_body_bytes, self._budget)
        self._remaining -= stop - at
        if not self._remaining:
            self._end_message(self._event.timestamp_ns)
        return stop

    def _read_chunked(self, data: bytes, at: int) -> int:
        chunked = self._chunked
        message = self._message
        assert chunked is not None
        assert message is not None
        try:
            stop = chunked.feed(data, at)
        except MalformedError as error:
            self._counters.malformed_messages += 1
            self.broken = True
            message.cut("", Incomplete.MALFORMED)
            message.size_known = False
            self._end_message(self._event.timestamp_ns)
            self._lose_step()
            if not error.earlier:
                return error.at
            # The broken line may be a start line, and began in an earlier event. This is not done
            # again for the rest of this event, for what breaks there begins there.
            data = error.earlier + data[error.at :]
            self._held_length = len(error.earlier)
            self._read(data)
            return len(data)
        if chunked.done:
            if message.tail and not _PARSER.is_trailer(message.tail):
                message.flaw(Incomplete.MALFORMED)
            self._end_message(self._event.timestamp_ns)
        return stop

    def _until_close(self, data: bytes, at: int) -> int:
        message = self._message
        assert message is not None
        content = data[at:]
        self._counters.cut_body_bytes += message.append(content, self._max_body_bytes, self._budget)
        message.end_ns = self._event.timestamp_ns
        return len(data)

    def _seek(self, data: bytes, at: int) -> int:
        start, keep = find_boundary(data, at, requests=self._requests)
        self._counters.skipped_bytes += keep - at
        if start < 0:
            self._hold(data, keep)
            return len(data)
        self._step = self._head
        return start

    def _park(self, data: bytes, at: int) -> int:
        event = self._event
        rest = data[at:]
        self._parked_events.append(
            BytesReceived(
                event.connection,
                event.direction,
                self.position - len(rest),
                rest,
                event.started_ns,
                event.timestamp_ns,
            )
        )
        self._parked_bytes += len(rest)
        if self._requests and self._parked_bytes > MAX_PARKED_BYTES:
            # Without this, each of many upgrade requests in these bytes would park the rest again.
            self.impatient = True
            self.resume()
        return len(data)

    # What the steps share.

    def _hold(self, data: bytes, at: int) -> None:
        """Keep ``data`` from ``at``, and since when the first kept byte is there."""
        if at >= self._held_length:
            self._held_started_ns = self._event.started_ns
        self._held = data[at:]

    def _new_message(self, data: bytes, at: int, stop: int) -> Message:
        started_ns = self._held_started_ns if at < self._held_length else self._event.started_ns
        message = Message(data[at:stop], self.position - len(data) + at, started_ns)
        message.end_ns = self._event.timestamp_ns
        return message

    def _jump(self, event: BytesReceived) -> None:
        """The event does not stand where reading is: at a first event, or behind an unannounced gap."""
        if self.position == UNKNOWN_START:
            self.position = event.position
        elif event.position > self.position:
            length = event.position - self.position
            self.gap(
                GapDetected(event.connection, event.direction, self.position, length, event.timestamp_ns)
            )

    def _cut_head(self, truncated: str, reason: Incomplete) -> None:
        """Make a message of the whole lines of an unfinished head, if its start line is among them."""
        held, self._held = self._held, b""
        self._scanned = 0
        lines = held[: held.rfind(b"\n") + 1]
        if not lines or self._step != self._head:
            self._counters.skipped_bytes += len(held)
            return
        message = Message(lines + b"\r\n", self.position - len(held), self._held_started_ns)
        if self._requests:
            _PARSER.read_request(message)
        else:
            _PARSER.read_response(message)
        message.head = held
        message.end_ns = self._event.timestamp_ns
        if not message.version:
            self._counters.skipped_bytes += len(held)
            return
        message.cut(truncated, reason)
        message.size_known = False
        self._message = message
        self._listener.head_read(message)
        self._end_message(self._event.timestamp_ns)

    def _end_message(self, timestamp_ns: int) -> None:
        message = self._message
        assert message is not None
        self._message = None
        if self._chunked is not None:
            self._counters.cut_body_bytes += self._chunked.cut_bytes
            self._chunked = None
        if not self.parked:
            self._step = self._head
        message.end_ns = timestamp_ns
        message.complete = True
        self._listener.message_read(message)

    def _lose_step(self) -> None:
        self.lost = True
        self._held = b""
        self._scanned = 0
        if not self.parked:
            self._step = self._seek


def _is_withheld(message: Message) -> bool:
    """A body that the client never sent because it asked first (RFC 9110 10.1.1) and was answered."""
    answer = message.answer
    return (
        message.size == 0
        and answer is not None
        and answer.status >= 300
        and message.fields.get(b"expect", b"").lower() == b"100-continue"
    )


class _Nobody:
    """Listens to a reader that is closed."""

    def head_read(self, message: Message) -> Framing:
        return Framing.INVALID

    def message_read(self, message: Message) -> None:
        pass


_NOBODY = _Nobody()


def _ignore(data: bytes, at: int) -> int:
    return len(data)
