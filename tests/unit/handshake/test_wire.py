# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.handshake.wire import CutOffError, Reader, numbers


def test_numbers_and_vectors_are_read_from_the_front() -> None:
    reader = Reader(b"\1\2\0\3abcrest")
    assert (reader.number(2), reader.vector(2), reader.left) == (0x0102, b"abc", 4)


@pytest.mark.parametrize("size", [1, 2, 200])
def test_what_is_not_there_cannot_be_read_and_nothing_is_lost(size: int) -> None:
    reader = Reader(b"\0")
    reader.take(1)
    with pytest.raises(CutOffError):
        reader.take(size)
    assert reader.left == 0


def test_a_vector_that_is_cut_off_gives_what_is_there() -> None:
    assert Reader(b"\0\4abcdef").available_vector(2) == (b"abcd", True)
    assert Reader(b"\0\4ab").available_vector(2) == (b"ab", False)


def test_a_list_of_numbers_leaves_an_odd_byte_out() -> None:
    assert numbers(b"\0\1\0\2\0") == (1, 2)
    assert numbers(b"") == ()
