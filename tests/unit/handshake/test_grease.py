# SPDX-License-Identifier: Apache-2.0
from otel_qtap.handshake.grease import is_grease, without_grease


def test_the_sixteen_reserved_values_are_grease() -> None:
    assert [value for value in range(1 << 16) if is_grease(value)] == [0x0A0A + 0x1010 * n for n in range(16)]


def test_what_means_something_stays_in_order() -> None:
    assert without_grease([0x1A1A, 3, 0x0A0A, 1, 0x0A1A]) == [3, 1, 0x0A1A]
