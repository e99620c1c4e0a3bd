# SPDX-License-Identifier: Apache-2.0
"""The README as a test reads it: the commands of its sections."""

import re
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def commands(section: str) -> str:
    """The text of the first code block below the heading ``section``: a shell script."""
    text = README.read_text()
    _, found, rest = text.partition(f"\n## {section}\n")
    assert found, f"README.md has no section {section!r}"
    block = re.search(r"^```[a-z]*\n(.*?)^```$", rest.partition("\n## ")[0], re.DOTALL | re.MULTILINE)
    assert block, f"section {section!r} of README.md has no commands"
    return block[1]
