# SPDX-License-Identifier: Apache-2.0
"""Documents name settings that exist, and the generated ones are what `make docs` writes."""

import re
from pathlib import Path

import pytest

from otel_qtap.settings import example
from otel_qtap.settings.catalog import qtap_variables
from otel_qtap.settings.reference import render

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    {*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "otel_qtap" / "cli").glob("*.py")}
)


def test_the_settings_page_is_up_to_date() -> None:
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == render(), "run: make docs"


def test_the_example_of_a_configuration_file_is_up_to_date() -> None:
    path = ROOT / "docs" / "config.example.yaml"

    assert path.read_text(encoding="utf-8") == example.render(), "run: make docs"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_setting_that_a_page_names_exists(page: Path) -> None:
    named = set(re.findall(r"OTEL_QTAP_[A-Z0-9_]*[A-Z0-9]", page.read_text(encoding="utf-8")))

    assert named <= {variable.name for variable in qtap_variables()}
