# SPDX-License-Identifier: Apache-2.0
import os

from otel_qtap.correlation.ids import IdSource


def test_ids_have_their_lengths_and_are_distinct_across_blocks() -> None:
    source = IdSource(os.urandom)
    pairs = [source.ids() for _ in range(1000)]
    assert {(len(trace), len(span)) for trace, span in pairs} == {(16, 8)}
    assert len({trace for trace, _ in pairs}) == 1000
    assert len({span for _, span in pairs}) == 1000


def test_every_random_byte_is_used_once() -> None:
    drawn = bytearray()

    def random_bytes(length: int) -> bytes:
        block = os.urandom(length)
        drawn.extend(block)
        return block

    source = IdSource(random_bytes)
    pairs = {source.ids()}
    while len(pairs) * 24 < len(drawn):
        pairs.add(source.ids())
    assert pairs == {
        (bytes(drawn[i : i + 16]), bytes(drawn[i + 16 : i + 24])) for i in range(0, len(drawn), 24)
    }


def test_all_zero_ids_are_never_given_out() -> None:
    pairs = iter([bytes(24), b"\x01" * 16 + bytes(8), bytes(16) + b"\x01" * 8, b"\x02" * 24])
    source = IdSource(lambda length: next(pairs) * (length // 24))
    assert source.ids() == (b"\x02" * 16, b"\x02" * 8)


def test_upload_span_has_a_trace_of_its_own() -> None:
    source = IdSource(os.urandom)
    first, second = source.new_span_target(), source.new_span_target()
    assert (len(first.trace_id), len(first.span_id)) == (16, 8)
    assert first.trace_id != second.trace_id
