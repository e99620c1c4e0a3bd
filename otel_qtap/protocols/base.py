# SPDX-License-Identifier: Apache-2.0
"""What a protocol is to the rest of the agent."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from otel_qtap.model.exchange import Exchange
from otel_qtap.model.identity import ConnectionContext, Direction
from otel_qtap.model.stream import StreamEvent

UNKNOWN_START = -1
"""Start of a direction whose first byte may stand anywhere in a message."""


class Verdict(Enum):
    """What the first bytes of a direction say about a protocol."""

    NO = "no"
    """Not this protocol, whatever follows."""
    MORE = "more"
    """Not decided yet."""
    REQUEST = "request"
    """This protocol, and this direction carries requests."""
    RESPONSE = "response"
    """This protocol, and this direction carries responses."""


class ByteBudget:
    """Body bytes that all conversations together may keep while they wait for the rest."""

    __slots__ = ("limit", "refused", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.used = 0
        self.refused = 0

    def take(self, wanted: int) -> int:
        """Take up to ``wanted`` bytes; return how many were granted. Give them back with ``give``."""
        granted = min(wanted, self.limit - self.used)
        if granted < wanted:
            self.refused += wanted - granted
        self.used += granted
        return granted

    def give(self, taken: int) -> None:
        """Give back what was taken."""
        self.used -= taken


class ProtocolCounters:
    """What conversations of one protocol count; shared by all of them."""

    __slots__ = (
        "cut_body_bytes",
        "exchanges",
        "malformed_messages",
        "skipped_bytes",
        "truncated_heads",
        "unpaired_responses",
    )

    def __init__(self) -> None:
        self.exchanges = 0
        self.malformed_messages = 0
        self.truncated_heads = 0
        self.skipped_bytes = 0
        self.cut_body_bytes = 0
        self.unpaired_responses = 0


@dataclass(slots=True)
class Opening:
    """What a new conversation is told.

    ``starts[direction]`` is the stream offset at which the direction is known to begin a message, or
    UNKNOWN_START when the agent attached while the connection was in use.
    """

    context: ConnectionContext
    request_direction: Direction
    starts: tuple[int, int]
    max_body_bytes: int
    budget: ByteBudget
    counters: ProtocolCounters


@dataclass(slots=True)
class Handover:
    """What a conversation leaves when another protocol goes on: unread events, and where it stopped."""

    events: list[StreamEvent] = field(default_factory=list)
    starts: tuple[int, int] = (0, 0)


class Conversation(Protocol):
    """One connection as one protocol understands it. ``receive`` never raises on any bytes."""

    context: ConnectionContext
    """The newest context; exchanges that end from now on carry it."""
    switched: bool
    """The peers agreed to go on in another protocol: call ``hand_over``, then drop the conversation."""

    def receive(self, event: StreamEvent) -> list[Exchange]:
        """Take the next event; return the exchanges that it completed."""

    def hand_over(self) -> Handover:
        """Return what was not read. Only once, after ``switched`` turned true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolSpec:
    """A protocol, as the registry lists it.

    ``infer`` is asked about the bytes a direction begins with; ``search`` about bytes from anywhere
    in a direction, whether a message begins somewhere among them. Both are pure and quick to say NO.
    """

    name: str
    infer: Callable[[bytes], Verdict]
    search: Callable[[bytes], Verdict]
    new_conversation: Callable[[Opening], Conversation]
