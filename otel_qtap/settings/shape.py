# SPDX-License-Identifier: Apache-2.0
"""Says what a refused value looks like without saying what it is: it may be a secret in the wrong place."""


def shape(value: str) -> str:
    """Describe ``value`` by its kind and its length.

    >>> shape("12.5")
    'a number with a fraction'
    >>> shape("hunter2")
    '7 characters'
    """
    digits = value.removeprefix("-")
    if digits.isdecimal():
        return "a negative whole number" if value.startswith("-") else "a whole number"
    whole, point, fraction = digits.partition(".")
    if point and (whole + fraction).isdecimal():
        return "a number with a fraction"
    around = " with white space around" if value != value.strip() else ""
    return f"{len(value)} character{'' if len(value) == 1 else 's'}{around}"
