# SPDX-License-Identifier: Apache-2.0
"""docs/operations.md lists the events of the log, all of them and nothing else."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
EVENT = re.compile(r"otel_qtap(?:\.[a-z_]+)+")


def test_events_in_the_code_are_those_on_the_page() -> None:
    written: set[str] = set()
    for path in (ROOT / "otel_qtap").rglob("*.py"):
        found = re.findall(rf'"({EVENT.pattern})"', path.read_text(encoding="utf-8"))
        written |= {name for name in found if not _is_module(name)}
    table = [
        line for line in (ROOT / "docs/operations.md").read_text().splitlines() if line.startswith("| `")
    ]
    listed = {name for line in table for name in EVENT.findall(line)}

    assert written == listed


def _is_module(name: str) -> bool:
    place = ROOT / Path(*name.split("."))
    return place.with_suffix(".py").exists() or place.is_dir()
