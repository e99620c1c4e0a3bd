# SPDX-License-Identifier: Apache-2.0
"""What agents of earlier tests found out about this host's files: real hosts are met for the first time once.

Kept apart for each state of the code that finds out. Without, each test would have the large programs of the
host analysed anew.
"""

import os
import shutil
from contextlib import suppress
from functools import cache
from pathlib import Path

from tests.support.cache import cache_root, fingerprint

_PACKAGE = Path(__file__).parents[2] / "otel_qtap"


@cache
def kept() -> Path:
    """The directory for this state of the code; it may not be there yet."""
    sources = sorted(path for room in ("discovery", "probes") for path in (_PACKAGE / room).rglob("*.py"))
    return cache_root() / f"plans-{fingerprint(*(path.read_text() for path in sources))}"


def recall(state: Path) -> None:
    """Let an agent with this state directory know what those before it found out."""
    if os.geteuid() == 0 and not state.exists() and kept().is_dir():
        plans = state / "plans"
        shutil.copytree(kept(), plans)
        plans.chmod(0o700)
        state.chmod(0o711)


def keep(state: Path) -> None:
    """Keep what an agent found out."""
    plans = state / "plans"
    if os.geteuid() != 0 or not plans.is_dir() or plans.stat().st_uid != 0:
        return
    kept().mkdir(mode=0o700, exist_ok=True)
    for path in plans.glob("*.json"):
        temporary = kept() / f".{path.name}.{os.getpid()}"
        with suppress(FileNotFoundError):  # the agent has just replaced it
            shutil.copy2(path, temporary)
            temporary.replace(kept() / path.name)
