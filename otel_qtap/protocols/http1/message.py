# SPDX-License-Identifier: Apache-2.0
"""One HTTP/1 message while it is read, and what is read of its head."""

from otel_qtap.model.exchange import Incomplete
from otel_qtap.protocols.base import ByteBudget

Fields = dict[bytes, bytes]
"""Lower-case field names to values; values of a repeated field are joined by comma (RFC 9110 5.3)."""


class Message:
    """A request or a response. Times are CLOCK_BOOTTIME nanoseconds, offsets stream positions.

    ``status`` is 0 for requests; ``method`` and ``target`` are empty for responses.
    """

    __slots__ = (
        "answer",
        "body",
        "charged",
        "chunked",
        "complete",
        "content_length",
        "end_ns",
        "fields",
        "flaws",
        "head",
        "method",
        "offset",
        "request",
        "size",
        "size_known",
        "start_ns",
        "status",
        "tail",
        "target",
        "truncated",
        "version",
    )

    def __init__(self, head: bytes, offset: int, start_ns: int) -> None:
        self.head = head
        self.offset = offset
        self.start_ns = start_ns
        self.end_ns = start_ns
        self.version = ""
        self.method = b""
        self.target = b""
        self.status = 0
        self.fields: Fields = {}
        self.body: bytes | bytearray = b""
        self.tail = b""
        self.content_length = 0
        self.size = 0
        # False when content bytes were lost in a way that leaves their number unknown.
        self.size_known = True
        self.chunked = False
        self.truncated = ""
        self.flaws: tuple[Incomplete, ...] = ()
        self.complete = False
        # Bytes of the body that were taken from the budget.
        self.charged = 0
        # Of a request: the response to it; of a response: the request that it answers.
        self.answer: Message | None = None
        self.request: Message | None = None

    def flaw(self, reason: Incomplete) -> None:
        """Note why this message is not known in full."""
        if reason not in self.flaws:
            self.flaws = (*self.flaws, reason)

    def cut(self, truncated: str, reason: Incomplete) -> None:
        """Note that the kept body ends here; the first reason stays."""
        if not self.truncated:
            self.truncated = truncated
        self.flaw(reason)

    def append(self, content: bytes, limit: int, budget: ByteBudget) -> int:
        """Add content bytes to the body, as far as it is kept; return how many were not kept.

        Kept is what comes first, up to ``limit`` and to what the budget grants, and nothing behind a
        cut, so that the body is always a prefix of the content.
        """
        length = len(content)
        self.size += length
        if self.truncated:
            return length
        kept = len(self.body)
        granted = budget.take(min(length, limit - kept))
        self.charged += granted
        if granted < length:
            content = content[:granted]
            self.cut("length", Incomplete.TRUNCATED)
        if not kept:
            self.body = content
        else:
            if type(self.body) is bytes:
                self.body = bytearray(self.body)
            self.body += content
        return length - granted

    def release(self, budget: ByteBudget) -> None:
        """Give back what the body took from the budget."""
        budget.give(self.charged)
        self.charged = 0
