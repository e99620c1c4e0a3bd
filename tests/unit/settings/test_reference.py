# SPDX-License-Identifier: Apache-2.0
from otel_qtap.settings.catalog import qtap_variables
from otel_qtap.settings.reference import render


def test_every_variable_of_the_agent_has_one_row() -> None:
    page = render()

    for variable in qtap_variables():
        assert page.count(f"| `{variable.name}` |") == 1


def test_the_page_does_not_depend_on_the_machine() -> None:
    assert "`otel-qtap`, else 60913" in render()


def test_cells_do_not_break_the_table() -> None:
    rows = [line for line in render().splitlines() if line.startswith("| `")]

    assert {row.count(" | ") for row in rows} == {4}
