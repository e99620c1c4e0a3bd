# SPDX-License-Identifier: Apache-2.0
import re
from pathlib import Path

import pytest

from otel_qtap.probes.spec import Count, Hook, ProbeFunction

EVENTS_HEADER = Path(__file__).parents[3] / "bpf" / "include" / "qtap_events.h"


PROBE = ProbeFunction(symbol="f", hook=Hook.WRITE, count=Count.ARG5, nargs=5, needs_return=True)


@pytest.mark.parametrize(
    ("arguments", "cookie"),
    [
        ((1,), 0x0000_0000_0001_0202),
        ((1, 0x78), 0x0000_0078_0001_0202),
        ((1, 0x78, 0), 0x0001_0078_0001_0202),
        ((1, 0xFFFF, 0xFFFE), 0xFFFF_FFFF_0001_0202),
        ((1, 0x1_0000, 0), 0x0000_0000_0001_0202),  # does not fit: not known
        ((1, 0x78, 0xFFFF), 0x0000_0000_0001_0202),
        ((1, None, 0), 0x0000_0000_0001_0202),
    ],
)
def test_a_cookie_holds_hook_count_library_and_the_place_of_the_role(arguments, cookie):
    assert PROBE.cookie(*arguments) == cookie


@pytest.mark.parametrize(("prefix", "enum"), [("QTAP_HOOK_", Hook), ("QTAP_COUNT_", Count)])
def test_the_values_are_those_of_the_kernel_side(prefix, enum):
    declared = dict(re.findall(rf"\b{prefix}(\w+) = (\d+)", EVENTS_HEADER.read_text()))
    assert {name: int(value) for name, value in declared.items()} == {
        member.name: member.value for member in enum
    }
