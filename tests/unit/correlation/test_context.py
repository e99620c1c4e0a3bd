# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.correlation.context import identifier


def test_either_case() -> None:
    assert identifier("0aFF", 2) == b"\x0a\xff"


@pytest.mark.parametrize("text", ["", "0a", "0a0a0a", "0000", "0a 0", "  0a", "0g0a", "0a0é", "\uff110a1"])
def test_what_is_no_identifier(text: str) -> None:
    assert identifier(text, 2) == b""
