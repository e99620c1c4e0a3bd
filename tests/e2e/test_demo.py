# SPDX-License-Identifier: Apache-2.0
"""The README's first command shows what it promises."""

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

DEMO = Path(__file__).parents[2] / "docs" / "demo" / "demo.py"


def test_the_demo_shows_exchanges_their_spans_and_a_payload() -> None:
    done = subprocess.run(
        [sys.executable, DEMO],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )

    assert done.returncode == 0, done.stderr
    _, told, shown = done.stdout.partition("spans arrived over OTLP")
    assert told
    assert shown.count("  client  ") == shown.count("  server  ") == 3
    assert "customer=REDACTED" in shown
    assert "ada@example.com" not in shown
    assert '"deliver_to": "12 Analytical Row"' in shown.partition("otel-qtap payload get 'file://")[2]
