# SPDX-License-Identifier: Apache-2.0
from otel_qtap.discovery.turns import Turns


def test_all_have_their_turns_however_much_one_asks_for() -> None:
    turns: Turns[str] = Turns(10)
    for item in "abcd":
        turns.add(1, item)
    turns.add(2, "x")
    turns.add(3, "y")
    taken = [turns.take()]
    turns.add(4, "z")
    while turns:
        taken.append(turns.take())
    assert taken == ["a", "x", "y", "b", "z", "c", "d"]


def test_only_so_many_wait_for_one() -> None:
    turns: Turns[str] = Turns(2)
    turns.add(1, "a")
    assert not turns.is_full(1)
    turns.add(1, "b")
    assert turns.is_full(1)
    assert not turns.is_full(2)
    turns.take()
    assert not turns.is_full(1)
    turns.clear()
    assert not turns
