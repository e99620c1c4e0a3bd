# SPDX-License-Identifier: Apache-2.0
"""The configurations of ``collector-config/``, checked and run by a real collector that has all they need."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.collector_build import contrib_collector_binary
from tests.support.ports import wait_listening
from tests.support.subprocesses import running

CONFIGS = Path(__file__).parents[2] / "collector-config"

COMBINATIONS: Sequence[Sequence[str]] = (
    ("minimal.yaml",),
    ("gateway.yaml",),
    ("gateway.yaml", "sampling.yaml"),
    ("node-agent.yaml",),
    ("node-agent.yaml", "kubernetes.yaml"),
)
"""Which files go together, in the order of ``--config``."""


_ENVIRONMENT = {"K8S_NODE_NAME": "node-1"}
"""What has no default in the configurations."""


def validate(*files: Path) -> "subprocess.CompletedProcess[str]":
    """The collector's own verdict: exit code 0, or what is wrong on standard error."""
    return subprocess.run(
        [str(contrib_collector_binary()), "validate", *_arguments(files)],
        capture_output=True,
        text=True,
        env={**os.environ, **_ENVIRONMENT},
        timeout=60,
        check=False,
    )


@contextmanager
def running_configured(
    directory: Path,
    names: Sequence[str],
    *,
    listen: int,
    overlay: Mapping[str, object] | None = None,
    env: Mapping[str, str] | None = None,
) -> Iterator["subprocess.Popen[bytes]"]:
    """Run these configurations until the block ends; ``overlay`` is merged last, as users do it.

    Returns once the collector listens on the port ``listen``, which ``env`` must tell it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    last = directory / "overlay.json"
    quiet = {"service": {"telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}}}}
    last.write_text(json.dumps(_merged(quiet, overlay or {})))
    files = [*(CONFIGS / name for name in names), last]
    command = [str(contrib_collector_binary()), *_arguments(files)]
    with running(command, directory / "collector.log", {**os.environ, **(env or {})}) as process:
        wait_listening(listen, process)
        yield process


def _arguments(files: Sequence[Path]) -> list[str]:
    return [argument for file in files for argument in ("--config", str(file))]


def _merged(below: Mapping[str, object], above: Mapping[str, object]) -> dict[str, object]:
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        both = isinstance(under, Mapping) and isinstance(value, Mapping)
        merged[key] = _merged(under, value) if both else value  # type: ignore[arg-type]
    return merged
