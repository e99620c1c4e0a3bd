# SPDX-License-Identifier: Apache-2.0
"""Builds real OpenTelemetry collectors with the collector's own builder."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.cache import cached_build, fingerprint, run_build_step

_CORE = "go.opentelemetry.io/collector"
_CONTRIB = "github.com/open-telemetry/opentelemetry-collector-contrib"


@dataclass(frozen=True, slots=True)
class Distribution:
    """A collector to build: ``stable`` is the version of the stable modules that belong to ``version``.

    ``components`` lists modules by kind, as ``path`` or ``path@version`` where theirs is another one.
    """

    name: str
    version: str
    stable: str
    components: Mapping[str, Sequence[str]]

    def manifest(self) -> str:
        """What the builder reads."""
        lines = [
            "dist:",
            f"  name: {self.name}",
            f"  module: example.test/{self.name}",
            f"  version: {self.version}",
            "  output_path: ./source",
        ]
        for kind, modules in self.components.items():
            lines.append(f"{kind}:")
            for module in modules:
                path, _, version = module.partition("@")
                lines.append(f"  - gomod: {path} v{version or self.version}")
        lines.append("providers:")
        lines += [
            f"  - gomod: {_CORE}/confmap/provider/{provider}provider v{self.stable}"
            for provider in ("file", "env", "yaml")
        ]
        return "\n".join(lines) + "\n"

    def binary(self) -> Path:
        """Path of the collector, built on first use, nothing afterwards."""
        version = f"{self.version}-{fingerprint(self.manifest())}"
        return cached_build(self.name, version, self._build) / self.name

    def _build(self, directory: Path) -> None:
        work = directory / "work"
        work.mkdir()
        run_build_step(
            "go",
            "install",
            f"{_CORE}/cmd/builder@v{self.version}",
            cwd=work,
            env={"GOBIN": str(work), "GOFLAGS": "-mod=mod"},
        )
        (work / "manifest.yaml").write_text(self.manifest())
        # The builder's own `go mod tidy` stops at one module that only the tests of a dependency want and
        # that is not always to be had; by then it has written the sources, and -e passes over that module.
        run_build_step(
            str(work / "builder"), "--config=manifest.yaml", "--skip-compilation", cwd=work, may_fail=True
        )
        source = work / "source"
        run_build_step("go", "mod", "tidy", "-e", cwd=source)
        binary = str(directory / self.name)
        run_build_step("go", "build", "-trimpath", "-ldflags=-s -w", "-o", binary, ".", cwd=source)
        shutil.rmtree(work)


CORE = Distribution(
    name="otelcol",
    version="0.165.0",
    stable="1.71.0",
    components={
        "receivers": [f"{_CORE}/receiver/otlpreceiver"],
        "processors": [f"{_CORE}/processor/batchprocessor"],
        "exporters": [
            f"{_CORE}/exporter/debugexporter",
            f"{_CORE}/exporter/otlpexporter",
            f"{_CORE}/exporter/otlphttpexporter",
            f"{_CONTRIB}/exporter/fileexporter",
        ],
    },
)
"""What the agent exports to in most tests: about two minutes cold."""

CONTRIB = Distribution(
    name="otelcol-contrib",
    version="0.159.0",  # the newest that the module proxy has whole
    stable="1.65.0",
    components={
        "extensions": [f"{_CONTRIB}/extension/healthcheckextension"],
        "receivers": [f"{_CORE}/receiver/otlpreceiver"],
        "processors": [
            f"{_CORE}/processor/batchprocessor",
            f"{_CORE}/processor/memorylimiterprocessor",
            f"{_CONTRIB}/processor/filterprocessor",
            f"{_CONTRIB}/processor/k8sattributesprocessor",
            f"{_CONTRIB}/processor/tailsamplingprocessor",
        ],
        "exporters": [
            f"{_CORE}/exporter/debugexporter",
            f"{_CORE}/exporter/otlpexporter",
            f"{_CORE}/exporter/otlphttpexporter",
            f"{_CONTRIB}/exporter/clickhouseexporter",
            f"{_CONTRIB}/exporter/fileexporter",
            f"{_CONTRIB}/exporter/loadbalancingexporter",
        ],
        "connectors": [
            f"{_CORE}/connector/forwardconnector",
            f"{_CONTRIB}/connector/servicegraphconnector@0.158.0",  # as above
            f"{_CONTRIB}/connector/spanmetricsconnector",
        ],
    },
)
"""What collector-config/ and the tests of span metrics use, of what the contrib distribution has."""


def collector_binary() -> Path:
    """Path of the ``CORE`` collector."""
    return CORE.binary()


def contrib_collector_binary() -> Path:
    """Path of the ``CONTRIB`` collector."""
    return CONTRIB.binary()
