# SPDX-License-Identifier: Apache-2.0
"""Pages link to files that are there."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def pages() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "*.md"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return listed.stdout.split()


@pytest.mark.parametrize("page", pages())
def test_relative_links_lead_somewhere(page: str) -> None:
    file = ROOT / page
    targets = {link for link in _LINK.findall(file.read_text()) if "://" not in link}

    assert [target for target in sorted(targets) if not (file.parent / target).exists()] == []
