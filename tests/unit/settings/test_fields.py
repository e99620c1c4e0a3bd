# SPDX-License-Identifier: Apache-2.0
from dataclasses import dataclass, fields

import pytest

from otel_qtap.settings.fields import Declaration, Kind, declaration, setting
from otel_qtap.settings.values import COMMA_LIST, COUNT, LARGEST, NUMBER, TEXT


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    plain: str = setting(TEXT, "Any text.", default="")
    least: int = setting(COUNT, "A count.", default=3, at_least=1)
    between: float = setting(NUMBER, "Seconds.", default=1.0, at_least=0.1, at_most=3600)
    above: float = setting(NUMBER, "Seconds.", default=1.0, above=0)
    inside: float = setting(NUMBER, "Seconds.", default=1.0, above=0, at_most=60)
    few: tuple[str, ...] = setting(COMMA_LIST, "Names.", default_factory=tuple, most_items=2)
    password: str = setting(Kind(str, "a password", secret=True), "A password.", default="")


DECLARED: dict[str, Declaration] = {field.name: declaration(field) for field in fields(Example)}


def test_a_declared_class_is_a_plain_one_with_defaults() -> None:
    assert Example() == Example(plain="", least=3, few=())
    assert not hasattr(Example(), "__dict__")


@pytest.mark.parametrize(
    ("name", "wants"),
    [
        ("plain", "text"),
        ("least", "a whole number, at least 1"),
        ("between", "a number, from 0.1 to 3600"),
        ("above", "a number, above 0"),
        ("inside", "a number, above 0 and at most 60"),
        ("few", "a comma-separated list"),
    ],
)
def test_bounds_are_told(name: str, wants: str) -> None:
    assert DECLARED[name].wants == wants


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("least", "1", 1),
        ("least", str(LARGEST), LARGEST),
        ("between", "0.1", 0.1),
        ("between", "3600", 3600.0),
        ("inside", "60", 60.0),
        ("few", "a,b", ("a", "b")),
    ],
)
def test_bounds_themselves_are_inside(name: str, text: str, value: object) -> None:
    assert DECLARED[name].read(text) == value


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        ("least", "0", "a smaller one"),
        ("least", str(LARGEST + 1), "a larger one"),
        ("between", "0.05", "a smaller one"),
        ("between", "3601", "a larger one"),
        ("above", "0", "a smaller one"),
        ("few", "a,b,c", "more of them than allowed"),
        ("plain", "x\udcff", "2 characters, not all of them UTF-8"),
    ],
)
def test_what_is_outside_is_refused(name: str, text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        DECLARED[name].read(text)


def test_a_secret_does_not_stand_in_what_is_printed() -> None:
    assert "hunter2" not in repr(Example(password="hunter2"))
    assert "plain='hunter2'" in repr(Example(plain="hunter2"))
