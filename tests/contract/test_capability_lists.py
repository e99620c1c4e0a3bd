# SPDX-License-Identifier: Apache-2.0
"""Users copy lists of capabilities from the documentation: each is the one that was measured."""

import re

import pytest

from otel_qtap.agent.capabilities import BITS
from tests.support.confinement import NAMED
from tests.support.containers import CHECKOUT

PAGE = (CHECKOUT / "docs" / "capabilities.md").read_text()
SHORT = {name.removeprefix("CAP_") for name in NAMED}


@pytest.mark.parametrize(
    ("form", "pattern"),
    [("flags", r"--cap-add=(\w+)"), ("manifest", r"  add: \[(.*)\]"), ("unit", r"AmbientCapabilities=(.*)")],
)
def test_list(form: str, pattern: str) -> None:
    listed = [name for found in re.findall(pattern, PAGE) for name in re.split(r"[,\s]+", found)]

    assert len(listed) == len(set(listed))
    assert {name.removeprefix("CAP_") for name in listed} == SHORT, form


def test_the_page_tells_of_all_that_the_agent_has_a_use_for() -> None:
    told = set(re.findall(r"`([A-Z_]+)`", PAGE))

    assert told >= {name.removeprefix("CAP_") for name in BITS}
