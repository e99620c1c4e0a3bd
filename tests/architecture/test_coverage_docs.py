# SPDX-License-Identifier: Apache-2.0
"""docs/coverage.md says what the matrix of tests found, all of it and nothing else."""

from pathlib import Path

from tests.matrix import page, results
from tests.matrix.rows import ROWS

DOCUMENT = Path(__file__).parents[2] / "docs" / "coverage.md"


def test_the_page_is_made_from_the_results() -> None:
    assert DOCUMENT.read_text() == page.render(results.read()), "run `make matrix`, or `make docs`"


def test_every_row_has_its_result_and_every_result_its_row() -> None:
    assert list(results.read()) == [row.name for row in ROWS], "run `make matrix`"


def test_what_is_not_exact_has_its_reason() -> None:
    for row in ROWS:
        found = results.read()[row.name]
        assert found.reason == (row.refused or row.unbound)
        for verdict, program in ((found.client, row.client), (found.server, row.server)):
            wanted = "not tested" if program is None else "refused" if row.refused else "exact"
            assert verdict == wanted, row.name
