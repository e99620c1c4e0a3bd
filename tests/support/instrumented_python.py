# SPDX-License-Identifier: Apache-2.0
"""A Python with OpenTelemetry's own instrumentation, as its users install it, and programs run under it."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from tests.support.cache import cached_build, fingerprint, run_build_step
from tests.support.clients import PROGRAMS

REQUIREMENTS = (
    "flask==3.1.3",
    "requests==2.34.2",
    "opentelemetry-distro==0.66b1",
    "opentelemetry-exporter-otlp-proto-http==1.45.1",
    "opentelemetry-instrumentation-flask==0.66b1",
    "opentelemetry-instrumentation-requests==0.66b1",
)


def interpreter() -> Path:
    """Path of the interpreter, built on first use: about twenty seconds cold, nothing afterwards."""
    version = fingerprint(*REQUIREMENTS, sys.version)
    return cached_build("instrumented-python", version, _build) / "bin" / "python"


def site_packages() -> Path:
    """Where its packages are."""
    (found,) = (interpreter().parents[1] / "lib").glob("python*/site-packages")
    return found


def _build(directory: Path) -> None:
    run_build_step(sys.executable, "-m", "venv", str(directory), cwd=directory)
    python = str(directory / "bin" / "python")
    run_build_step(python, "-m", "pip", "install", "--quiet", *REQUIREMENTS, cwd=directory)


def command(program: str, *arguments: str, instrumented: bool) -> list[str]:
    """Command line of a program of the tests, under ``opentelemetry-instrument`` where wanted."""
    python = interpreter()
    # By its path: the script's own first line names the directory in which it was built.
    wrapper = [str(python.parent / "opentelemetry-instrument"), str(python)] if instrumented else []
    return [str(python), *wrapper, str(PROGRAMS / program), *arguments]


def environment(service: str, settings: Mapping[str, str]) -> dict[str, str]:
    """What the program gets beside ``PATH``: the SDK's ``settings``, with spans exported at once."""
    return {
        "PATH": os.environ["PATH"],
        "OTEL_SERVICE_NAME": service,
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
        "OTEL_BSP_SCHEDULE_DELAY": "100",
        **settings,
    }
