# SPDX-License-Identifier: Apache-2.0
"""What the rows came to, kept in the repository: docs/coverage.md is made from it."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

FILE = Path(__file__).with_name("results.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What one row came to."""

    runtime: str
    library: str
    protocol: str
    client: str
    """``exact``, ``not tested`` or ``refused``."""
    server: str
    bound_by: str
    """What bound connections to their sockets; of several, all."""
    reason: str = ""
    """Why it is refused, or stays unbound."""


def read() -> dict[str, Result]:
    """All results by the names of their rows."""
    return {name: Result(**fields) for name, fields in json.loads(FILE.read_text()).items()}


def write(new: Mapping[str, Result], names: list[str]) -> None:
    """Take new results over, in the order of the rows; those of rows that are no more are dropped."""
    results = {**(read() if FILE.exists() else {}), **new}
    kept = {name: asdict(results[name]) for name in names if name in results}
    FILE.write_text(json.dumps(kept, indent=1) + "\n")
