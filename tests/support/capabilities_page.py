# SPDX-License-Identifier: Apache-2.0
"""The capabilities that docs/capabilities.md says are enough."""

import re
from pathlib import Path

_PAGE = Path(__file__).parents[2] / "docs" / "capabilities.md"


def measured_capabilities() -> set[str]:
    """Without ``CAP_``, as container platforms spell them."""
    (listed,) = re.findall(r"^ *add: \[([A-Z_, ]+)\]$", _PAGE.read_text(), re.MULTILINE)
    return set(listed.split(", "))
