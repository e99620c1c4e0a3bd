# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys

from otel_qtap.telemetry.catalogue.markdown import render


def rows(document):
    """Cells of every table row."""
    return [line.strip("| ").split(" | ") for line in document.splitlines() if line.startswith("|")]


def test_every_table_is_well_formed():
    block = []
    tables = []
    for line in [*render().splitlines(), ""]:
        if line.startswith("|"):
            block.append(line)
        elif block:
            tables.append(block)
            block = []
    assert len(tables) == 9
    for table in tables:
        assert len({line.count("|") for line in table}) == 1, table[0]
        assert set(table[1]) <= set("|- ")


def test_an_attribute_is_told_with_type_place_and_meaning():
    [row] = [row for row in rows(render()) if row[0] == "`qtap.capture.complete`"]
    assert row[1:] == ["boolean", "exchanges", "Whether all bytes of the exchange were captured."]


def test_module_prints_the_document():
    printed = subprocess.run(
        [sys.executable, "-m", "otel_qtap.telemetry.catalogue.markdown"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert printed.stdout == render()
