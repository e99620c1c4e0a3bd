# SPDX-License-Identifier: Apache-2.0
"""What a Compose file says, by the library with which ``docker compose`` reads it."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.cache import cached_build, fingerprint, run_build_step

_SOURCE = Path(__file__).parent / "programs" / "compose_model"
_EXAMPLE = Path(__file__).parents[2] / "docker" / "example.env"


class ComposeError(Exception):
    """The file is refused; the message is the library's."""


def compose_model(file: Path, environment: Mapping[str, str]) -> dict[str, Any]:
    """The whole model, ``environment`` filled in. Raises ComposeError."""
    done = subprocess.run(
        [str(_binary()), str(file)],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], **environment},
        timeout=30,
        check=False,
    )
    if done.returncode != 0:
        raise ComposeError(done.stderr.strip())
    model: dict[str, Any] = json.loads(done.stdout)
    return model


def example_environment() -> dict[str, str]:
    """docker/example.env, its empty secrets filled in."""
    lines = [line for line in _EXAMPLE.read_text().splitlines() if "=" in line]
    pairs = dict(line.split("=", 1) for line in lines)
    return {name: value or "s3cret-of-some-length" for name, value in pairs.items()}


def _binary() -> Path:
    """Built on first use, in about ten seconds."""
    texts = [path.read_text() for path in sorted(_SOURCE.iterdir())]
    return cached_build("compose-model", fingerprint(*texts), _build) / "compose_model"


def _build(directory: Path) -> None:
    source = directory / "source"
    shutil.copytree(_SOURCE, source)
    run_build_step("go", "mod", "tidy", cwd=source)
    run_build_step("go", "build", "-o", str(directory / "compose_model"), ".", cwd=source)
    shutil.rmtree(source)
