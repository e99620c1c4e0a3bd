# SPDX-License-Identifier: Apache-2.0
import gzip
import io
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.objectstore.members import CHUNK_BYTES, Inflater, MemberError, read_members


@given(contents=st.lists(st.binary(max_size=300), max_size=8), rest=st.binary(max_size=20))
def test_members_are_told_apart(contents, rest):
    members = [gzip.compress(content) for content in contents]
    junk = b"\x00" + rest
    found = list(read_members(io.BytesIO(b"".join(members) + junk), 1000))
    assert [member.content for member in found] == contents
    position = 0
    for member, original in zip(found, members, strict=True):
        assert (member.first, member.length) == (position, len(original))
        position += len(original)


def test_members_larger_than_a_read_are_found():
    contents = [os.urandom(3 * CHUNK_BYTES), b"small", os.urandom(CHUNK_BYTES - 40), b"end"]
    file = io.BytesIO(b"".join(map(gzip.compress, contents)))
    assert [member.content for member in read_members(file, 1 << 20)] == contents


def test_every_cut_of_the_last_member_hides_it_and_only_it():
    first, second = gzip.compress(b"first"), gzip.compress(b"second")
    for end in range(len(second)):
        found = list(read_members(io.BytesIO(first + second[:end]), 1000))
        assert [member.content for member in found] == [b"first"]


def test_a_damaged_member_ends_the_reading():
    damaged = bytearray(gzip.compress(b"second" * 100))
    damaged[-6] ^= 1
    found = list(read_members(io.BytesIO(gzip.compress(b"first") + damaged + gzip.compress(b"third")), 1000))
    assert [member.content for member in found] == [b"first"]


def test_a_bomb_is_refused_before_it_is_inflated():
    inflater = Inflater(1000)
    with pytest.raises(MemberError, match="more than 1000 bytes"):
        inflater.feed(gzip.compress(bytes(50_000_000)))
    assert inflater.size == 1001


def test_exactly_the_limit_is_allowed():
    inflater = Inflater(1000)
    assert inflater.feed(gzip.compress(bytes(1000)))
    assert inflater.content == bytes(1000)
