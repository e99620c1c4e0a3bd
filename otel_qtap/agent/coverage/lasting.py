# SPDX-License-Identifier: Apache-2.0
"""Conversations that are missed and go on: the kernel side counts those that have ended."""

from collections import Counter
from collections.abc import Iterable, Mapping

from otel_qtap.capture.records import HELLO, SocketHello, Speaker

LASTING_NS = 10 * 10**9
"""A conversation that is captured is known as such long before it is as old."""


def missed_now(
    hellos: Iterable[tuple[bytes, bytes]], speakers: Mapping[int, Speaker], now_ns: int
) -> Counter[int]:
    """By process, conversations that began after its first call that was seen, and are not captured.

    ``hellos`` are what the kernel side holds of sockets, ``now_ns`` is boot time.
    """
    missed: Counter[int] = Counter()
    for _, value in hellos:
        hello = SocketHello(*HELLO.unpack(value))
        if not hello.asked or hello.captured or hello.relayed or now_ns - hello.seen_ns < LASTING_NS:
            continue
        speaker = speakers.get(hello.tgid)
        if speaker is not None and 0 < speaker.called_ns < hello.seen_ns:
            missed[hello.tgid] += 1
    return missed
