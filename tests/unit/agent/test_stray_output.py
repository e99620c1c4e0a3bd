# SPDX-License-Identifier: Apache-2.0
"""What is written to file descriptor 2 by others, in a process of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = """
import ctypes, os, subprocess, sys
from otel_qtap.agent.log_output import set_up_logging
from otel_qtap.agent.stray_output import StrayOutput
set_up_logging("info", "json")
stray = StrayOutput(show={show})
os.write(2, b"from \\x1b[31mC\\nand the next ")
subprocess.run(["sh", "-c", "echo from a child >&2"])
stray.drain()
{more}
stray.close()
print("from us", file=sys.stderr)
"""


def lines(*, show: bool, more: str = "") -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(show=show, more=more)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        timeout=30,
    )
    return done.stderr.splitlines()


def test_each_line_becomes_one_of_the_log() -> None:
    *logged, last = lines(show=True)

    assert [json.loads(line)["body"] for line in logged] == [
        "standard error: from \\x1b[31mC",
        "standard error: and the next from a child",
    ]
    assert {json.loads(line)["event_name"] for line in logged} == {"otel_qtap.stray_output"}
    assert last == "from us", "it is given back at the end"


def test_where_data_is_at_hand_nothing_is_quoted() -> None:
    *logged, _ = lines(show=False)

    assert [json.loads(line)["body"] for line in logged] == [
        "38 bytes were written to standard error; not shown, for they may quote what was captured"
    ]


@pytest.mark.parametrize("show", [True, False])
def test_a_flood_blocks_nobody(show: bool) -> None:
    flood = """
try:
    while True:
        os.write(2, b"x" * 4000)
except BlockingIOError:
    pass
stray.drain()
"""
    assert len(lines(show=show, more=flood)) >= 3
