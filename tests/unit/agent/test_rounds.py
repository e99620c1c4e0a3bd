# SPDX-License-Identifier: Apache-2.0
from otel_qtap.agent.rounds import Rounds


def looks(rounds: Rounds, begin: int, end: int) -> list[int]:
    return [now for now in range(begin, end) if rounds.is_due(float(now))]


def test_looks_come_as_often_as_wanted() -> None:
    assert looks(Rounds(30.0, 100.0), 100, 200) == [130, 160, 190]


def test_one_can_be_had_at_once() -> None:
    rounds = Rounds(30.0, 100.0)
    rounds.at_once()
    assert looks(rounds, 105, 150) == [105, 135]


def test_one_can_be_had_soon_and_counts() -> None:
    rounds = Rounds(30.0, 100.0)
    rounds.soon(110.0)
    assert looks(rounds, 110, 150) == [111, 141]


def test_a_regular_look_is_not_put_off() -> None:
    rounds = Rounds(30.0, 100.0)
    rounds.soon(129.5)
    assert looks(rounds, 129, 131) == [130]


def test_reasons_without_end_make_two_looks_of_one() -> None:
    rounds = Rounds(30.0, 100.0)
    seen = []
    for now in range(100, 200):
        rounds.soon(float(now))
        if rounds.is_due(float(now)):
            seen.append(now)
    assert seen == [101, 131, 133, 163, 165, 195, 197]
