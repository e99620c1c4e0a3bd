# SPDX-License-Identifier: Apache-2.0
"""What a propagation format on the wire says about the trace that an exchange belongs to."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple


class ObservedContext(NamedTuple):
    """A context that another tracer wrote into a request.

    ``trace_id`` is 16 bytes and ``span_id`` 8, neither all zero. ``sampled`` is None where the format
    defers the decision to the receiver (B3 without a state, X-Ray ``Sampled=?``). ``random_flag`` is
    the W3C level 2 flag: the trace id's last seven bytes are random.
    """

    trace_id: bytes
    span_id: bytes
    sampled: bool | None
    random_flag: bool = False
    trace_state: str = ""


MALFORMED: Final = ObservedContext(b"", b"", None)
"""Told apart from "no such field" by identity, so that it can be counted."""

Reader = Callable[[Mapping[str, str]], ObservedContext | None]
"""Reads one format from lower-case field names: a context, None where absent, MALFORMED. Never raises."""


def identifier(text: str, length: int) -> bytes:
    """The ``length`` bytes that ``text`` writes as hexadecimal of either case; empty when it does not.

    An all-zero identifier is none: empty too.
    """
    if len(text) != length * 2:
        return b""
    try:
        # fromhex skips white space, which then shows as missing bytes.
        value = bytes.fromhex(text)
    except ValueError:
        return b""
    return value if len(value) == length and any(value) else b""
