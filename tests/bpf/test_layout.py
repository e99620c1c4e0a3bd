# SPDX-License-Identifier: Apache-2.0
"""The compiler's view of bpf/include/qtap_events.h against the mirrors in capture/records.py."""

import re
import subprocess
from pathlib import Path
from struct import Struct

import pytest

from otel_qtap.capture import records
from otel_qtap.capture.ring import Counters
from otel_qtap.probes.spec import Count, Hook

BPF = Path(__file__).parents[2] / "bpf"
HEADER = (BPF / "include/qtap_events.h").read_text()


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, ...]]:
    binary = tmp_path_factory.mktemp("layout") / "layout"
    source = Path(__file__).with_name("layout.c")
    flags = ["-Wall", "-Werror", "-Wpadded", f"-I{BPF / 'include'}"]
    subprocess.run(["gcc", *flags, str(source), "-o", str(binary)], check=True)
    lines = subprocess.run([binary], check=True, capture_output=True, text=True).stdout.splitlines()
    return {name: tuple(map(int, numbers)) for name, *numbers in (line.split() for line in lines)}


def fields(structure: Struct) -> list[tuple[int, int]]:
    """Offset and size of each field of a struct format (padding left out)."""
    found, offset = [], 0
    for count, code in re.findall(r"(\d*)([a-zA-Z])", structure.format):
        width = {"B": 1, "H": 2, "I": 4, "Q": 8, "s": 1, "x": 1}[code]
        if code == "x":
            offset += int(count or 1)
        elif code == "s":
            found.append((offset, int(count)))
            offset += int(count)
        else:
            for _ in range(int(count or 1)):
                found.append((offset, width))
                offset += width
    return found


@pytest.mark.parametrize(
    ("name", "structure"),
    [
        ("qtap_connection", records.CONNECTION),
        ("qtap_process_event", records.PROCESS),
        ("qtap_speaker", records.SPEAKER),
        ("qtap_hello", records.HELLO),
    ],
)
def test_structs_match(layout: dict[str, tuple[int, ...]], name: str, structure: Struct) -> None:
    expected = [place for key, place in layout.items() if key.startswith(f"{name}.")]

    assert fields(structure) == expected
    assert structure.size == layout[name][0]


@pytest.mark.parametrize(
    ("name", "header"),
    [("qtap_data_event", records.DATA_HEADER), ("qtap_connection_event", records.CONNECTION_HEADER)],
)
def test_headers_match(layout: dict[str, tuple[int, ...]], name: str, header: Struct) -> None:
    before_connection = [
        place
        for key, place in layout.items()
        if key.startswith(f"{name}.") and place[0] < records.CONNECTION_OFFSET
    ]

    assert fields(header) == before_connection
    assert layout[f"{name}.connection"] == (records.CONNECTION_OFFSET, records.CONNECTION_BYTES)


def test_data_follows_the_connection(layout: dict[str, tuple[int, ...]]) -> None:
    assert layout["qtap_data_event.data"][0] == records.DATA_OFFSET == layout["qtap_data_event"][0]


def test_each_loss_has_a_name(layout: dict[str, tuple[int, ...]]) -> None:
    assert layout["losses"] == (len(Counters.REASONS),)


@pytest.mark.parametrize(
    ("enum", "prefix"), [(Hook, "QTAP_HOOK_"), (Count, "QTAP_COUNT_"), (records.Kind, "QTAP_")]
)
def test_enums_match(enum: type[Hook] | type[Count] | type[records.Kind], prefix: str) -> None:
    for member in enum:
        assert re.search(rf"\b{prefix}{member.name} = {member.value}\b", HEADER), member
