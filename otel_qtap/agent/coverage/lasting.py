# SPDX-License-Identifier: Apache-2.0
"""Conversations that are missed and go on: the kernel side counts those that have ended."""

import struct
from collections import Counter
from collections.abc import Iterable, Mapping

from otel_qtap.capture.records import HELLO, SocketHello, Speaker

LASTING_NS = 10 * 10**9
"""A conversation that is captured is known as such long before it is as old."""
_TOLD_AGAIN_NS = 10**9
"""QTAP_TELL_AGAIN_NS"""
_NUMBER = struct.Struct("<I")
_TIME = struct.Struct("<Q")

_Items = Iterable[tuple[bytes, bytes]]


def missed_now(
    hellos: _Items, speakers: Mapping[int, Speaker], now_ns: int, *, unbound: _Items = ()
) -> Counter[int]:
    """By process, conversations that began after its first call that was seen, and are not captured.

    ``hellos`` are what the kernel side holds of sockets, ``now_ns`` is boot time. Plaintext of a process that
    is ``unbound`` may be of any of its conversations.
    """
    unbound_until = {
        process: told + _TOLD_AGAIN_NS
        for key, value in unbound
        for process, told in [(*_NUMBER.unpack(key), *_TIME.unpack(value))]
    }
    missed: Counter[int] = Counter()
    for _, value in hellos:
        hello = SocketHello(*HELLO.unpack(value))
        if not hello.asked or hello.captured or hello.relayed or now_ns - hello.seen_ns < LASTING_NS:
            continue
        speaker = speakers.get(hello.tgid)
        if speaker is None or not 0 < speaker.called_ns < hello.seen_ns:
            continue
        if unbound_until.get(hello.tgid, 0) <= hello.seen_ns:
            missed[hello.tgid] += 1
    return missed
