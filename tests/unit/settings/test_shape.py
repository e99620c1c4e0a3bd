# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.settings.shape import shape


@pytest.mark.parametrize(
    ("value", "description"),
    [
        ("12", "a whole number"),
        ("-12", "a negative whole number"),
        ("12.5", "a number with a fraction"),
        ("x", "1 character"),
        ("hunter2", "7 characters"),
        (" 5s", "3 characters with white space around"),
        ("-", "1 character"),
        (".", "1 character"),
    ],
)
def test_describes_without_repeating(value: str, description: str) -> None:
    assert shape(value) == description
