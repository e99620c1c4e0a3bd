# SPDX-License-Identifier: Apache-2.0
"""Messages that say by themselves where they belong: one wrong binding or one foreign byte shows.

A message is a line, ``m LOCAL REMOTE TOKEN SEQUENCE SIZE ANSWER``, and SIZE bytes of body. LOCAL and REMOTE
are the ports at the end that sends it, or 0 where that program cannot know them; TOKEN numbers the
connections of a client, SEQUENCE the messages of one; ANSWER is the size of the body that is wanted back.
The body is the tag ``LOCAL>REMOTE/TOKEN#SEQUENCE;`` over and over. An answer has the TOKEN and SEQUENCE
of its request and wants nothing.
"""

import os
import re
from typing import NamedTuple

SIZES = tuple(map(int, os.environ.get("MATRIX_SIZES", "1,300,5000,40000").split(",")))
"""Bodies of a connection's messages, one after the other, each connection beginning elsewhere: four sizes."""
_LINE = re.compile(rb"m (\d{1,5}) (\d{1,5}) (\d{1,9}) (\d{1,9}) (\d{1,9}) (\d{1,9})\n")


class ForeignBytesError(AssertionError):
    """A stream holds something else than whole messages."""


class Message(NamedTuple):
    """One message, without its body, which follows from the rest."""

    local: int
    remote: int
    token: int
    sequence: int
    size: int
    answer: int

    def encode(self) -> bytes:
        """Line and body."""
        tag = b"%d>%d/%d#%d;" % self[:4]
        return b"m %d %d %d %d %d %d\n" % self + (tag * (self.size // len(tag) + 1))[: self.size]


def request(local: int, remote: int, token: int, sequence: int) -> Message:
    """The message number ``sequence`` of a client's connection number ``token``."""
    place = token + sequence
    return Message(local, remote, token, sequence, SIZES[place % 4], SIZES[(place + 1) % 4])


def answer(local: int, remote: int, asked: Message) -> Message:
    """What a server sends back."""
    return Message(local, remote, asked.token, asked.sequence, asked.answer, 0)


def read_line(line: bytes) -> Message:
    """A message's line; raises ForeignBytesError."""
    found = _LINE.fullmatch(line)
    if not found:
        raise ForeignBytesError(f"no message begins with {line[:60]!r}")
    return Message(*map(int, found.groups()))


def read_messages(stream: bytes) -> list[Message]:
    """All messages of a stream that holds nothing else; raises ForeignBytesError."""
    messages, position = [], 0
    while position < len(stream):
        end = stream.find(b"\n", position) + 1 or len(stream)
        message = read_line(stream[position:end])
        whole = message.encode()
        if stream[position : position + len(whole)] != whole:
            raise ForeignBytesError(f"{message} at {position} of {len(stream)} is not what it says it is")
        messages.append(message)
        position += len(whole)
    return messages
