# SPDX-License-Identifier: Apache-2.0
"""Builds a real OpenTelemetry collector with the collector's own builder."""

import shutil
from pathlib import Path

from tests.support.cache import cached_build, fingerprint, run_build_step

VERSION = "0.165.0"
STABLE_VERSION = "1.71.0"
"""Version of the collector's stable modules that belongs to ``VERSION``."""

MANIFEST = f"""\
dist:
  name: otelcol-qtap-tests
  module: example.test/otelcol-qtap-tests
  description: The collector that the tests of otel-qtap export to
  version: {VERSION}
  output_path: ./source
receivers:
  - gomod: go.opentelemetry.io/collector/receiver/otlpreceiver v{VERSION}
processors:
  - gomod: go.opentelemetry.io/collector/processor/batchprocessor v{VERSION}
exporters:
  - gomod: go.opentelemetry.io/collector/exporter/debugexporter v{VERSION}
  - gomod: go.opentelemetry.io/collector/exporter/otlpexporter v{VERSION}
  - gomod: go.opentelemetry.io/collector/exporter/otlphttpexporter v{VERSION}
  - gomod: github.com/open-telemetry/opentelemetry-collector-contrib/exporter/fileexporter v{VERSION}
providers:
  - gomod: go.opentelemetry.io/collector/confmap/provider/fileprovider v{STABLE_VERSION}
  - gomod: go.opentelemetry.io/collector/confmap/provider/envprovider v{STABLE_VERSION}
  - gomod: go.opentelemetry.io/collector/confmap/provider/yamlprovider v{STABLE_VERSION}
"""


def collector_binary() -> Path:
    """Path of the collector, built on first use: about two minutes cold, nothing afterwards."""
    directory = cached_build("otelcol", f"{VERSION}-{fingerprint(MANIFEST)}", _build)
    return directory / "otelcol"


def _build(directory: Path) -> None:
    work = directory / "work"
    work.mkdir()
    run_build_step(
        "go",
        "install",
        f"go.opentelemetry.io/collector/cmd/builder@v{VERSION}",
        cwd=work,
        env={"GOBIN": str(work), "GOFLAGS": "-mod=mod"},
    )
    (work / "manifest.yaml").write_text(MANIFEST)
    # The builder's own `go mod tidy` stops at one module that only the tests of a dependency want and
    # that is not always to be had; by then it has written the sources, and -e passes over that module.
    run_build_step(
        str(work / "builder"), "--config=manifest.yaml", "--skip-compilation", cwd=work, may_fail=True
    )
    source = work / "source"
    run_build_step("go", "mod", "tidy", "-e", cwd=source)
    binary = str(directory / "otelcol")
    run_build_step("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".", cwd=source)
    shutil.rmtree(work)
