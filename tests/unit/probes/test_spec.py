# SPDX-License-Identifier: Apache-2.0
import re
import struct
from pathlib import Path

import pytest

from otel_qtap.probes.spec import (
    MAX_FILES,
    Count,
    Hook,
    ObjectLayout,
    ProbeFunction,
    Shape,
    with_file,
)

EVENTS_HEADER = Path(__file__).parents[3] / "bpf" / "include" / "qtap_events.h"


PROBE = ProbeFunction(symbol="f", hook=Hook.WRITE, count=Count.ARG5, nargs=5, needs_return=True)


def test_a_cookie_holds_hook_count_library_and_file():
    assert with_file(PROBE.cookie(7), 0xABC) == 0x0ABC_0007_0202


@pytest.mark.parametrize(
    ("layout", "fields"),
    [
        (ObjectLayout(), (0, 0, 0, 0, 0, 0)),
        (ObjectLayout(role=0x38), (0x39, 0, 0, 0, 0, 0)),
        (ObjectLayout(role=0x78, type=0), (0x79, 1, 0, 0, 0, 0)),
        (ObjectLayout(role=0xA4, role_mask=1), (0xA5, 0, 0, 0, 0, 1)),
        (ObjectLayout(role=0xFFFE, type=0x1_0000), (0, 0, 0, 0, 0, 0)),  # does not fit: not known
        (ObjectLayout(role=0xA4, role_mask=1 << 31), (0, 0, 0, 0, 0, 0)),
        (ObjectLayout(randoms=48, client_random=48, server_random=16), (0, 0, 49, 49, 17, 0)),
        (ObjectLayout(role=0, client_random=0x160, server_random=0x1_0000), (1, 0, 0, 0, 0, 0)),
    ],
)
def test_a_layout_tells_the_kernel_side_what_is_known(layout, fields):
    assert struct.unpack("<HHHHHH4x", layout.pack()) == fields


def test_there_are_as_many_files_as_on_the_kernel_side():
    config = EVENTS_HEADER.with_name("qtap_config.h").read_text()
    assert re.search(r"#define QTAP_MAX_FILES (\d+)", config)[1] == str(MAX_FILES)


@pytest.mark.parametrize(
    ("prefix", "enum"), [("QTAP_HOOK_", Hook), ("QTAP_COUNT_", Count), ("QTAP_SHAPE_", Shape)]
)
def test_the_values_are_those_of_the_kernel_side(prefix, enum):
    declared = dict(re.findall(rf"\b{prefix}(\w+) = (\d+)", EVENTS_HEADER.read_text()))
    assert {name: int(value) for name, value in declared.items()} == {
        member.name: member.value for member in enum
    }
