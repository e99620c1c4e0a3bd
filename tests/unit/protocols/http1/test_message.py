# SPDX-License-Identifier: Apache-2.0
from otel_qtap.model.exchange import Incomplete
from otel_qtap.protocols.base import ByteBudget
from otel_qtap.protocols.http1.message import Message


def test_the_body_is_a_prefix_of_the_content():
    message, budget = Message(b"", 0, 0), ByteBudget(100)
    assert message.append(b"abc", 5, budget) == 0
    assert message.append(b"def", 5, budget) == 1
    assert message.append(b"ghi", 5, budget) == 3
    assert (bytes(message.body), message.size, message.truncated) == (b"abcde", 9, "length")
    assert message.flaws == (Incomplete.TRUNCATED,)
    assert budget.used == 5
    message.release(budget)
    message.release(budget)
    assert budget.used == 0


def test_nothing_is_kept_behind_a_gap():
    message, budget = Message(b"", 0, 0), ByteBudget(100)
    message.append(b"abc", 50, budget)
    message.cut("gap", Incomplete.GAP)
    message.append(b"xyz", 50, budget)
    assert (message.body, message.size, message.truncated) == (b"abc", 6, "gap")


def test_one_chunk_is_kept_without_a_copy():
    message, content = Message(b"", 0, 0), b"x" * 1000
    message.append(content, 5000, ByteBudget(5000))
    assert message.body is content


def test_the_first_reason_of_a_cut_stays():
    message = Message(b"", 0, 0)
    message.cut("length", Incomplete.TRUNCATED)
    message.cut("gap", Incomplete.GAP)
    message.flaw(Incomplete.GAP)
    assert message.truncated == "length"
    assert message.flaws == (Incomplete.TRUNCATED, Incomplete.GAP)
