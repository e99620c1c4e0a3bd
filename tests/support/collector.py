# SPDX-License-Identifier: Apache-2.0
"""A real OpenTelemetry collector on loopback ports, and what it received."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.collector_build import collector_binary, contrib_collector_binary
from tests.support.otlp_records import Span, Telemetry
from tests.support.pki import Pki
from tests.support.ports import free_port, wait_listening
from tests.support.subprocesses import running
from tests.support.waiting import eventually


@dataclass(slots=True)
class Collector:
    """A running collector that writes all it receives to a file."""

    grpc_endpoint: str
    http_endpoint: str
    output: Path
    log: Path
    _received: Telemetry = field(default_factory=Telemetry, repr=False)
    _read_up_to: int = 0

    def telemetry(self) -> Telemetry:
        """Everything received so far."""
        if self.output.exists():
            with self.output.open("rb") as lines:
                lines.seek(self._read_up_to)
                for line in lines:
                    if not line.endswith(b"\n"):  # it is still in the writing
                        break
                    self._received.add(json.loads(line))
                    self._read_up_to += len(line)
        return self._received

    def wait_for_spans(
        self, count: int, chosen: Callable[[Span], bool], *, seconds: float = 15
    ) -> list[Span]:
        """Wait for at least ``count`` spans that are ``chosen``, and return those, oldest first."""
        found: list[Span] = []

        def enough() -> bool:
            found[:] = sorted((s for s in self.telemetry().spans if chosen(s)), key=lambda s: s.start)
            return len(found) >= count

        try:
            eventually(enough, f"{count} spans in the collector", seconds=seconds, pause=0.1)
        except AssertionError as late:
            raise AssertionError(f"{late}; there are {len(found)}") from None
        return found

    def wait_for_port(self, port: int, count: int, *, seconds: float = 15) -> list[Span]:
        """Wait for at least ``count`` spans of conversations with a server on ``port``."""
        return self.wait_for_spans(count, lambda span: span.port == port, seconds=seconds)


COUNTING_FLUSH = "300ms"


@contextmanager
def running_collector(
    directory: Path,
    *,
    tls: Pki | None = None,
    mutual: bool = False,
    counting: bool = False,
    http_port: int | None = None,
) -> Iterator[Collector]:
    """Run a collector; with ``tls`` it serves with that certificate, ``mutual`` asks clients for theirs.

    One that is ``counting`` also makes span metrics and a service graph of all spans, and keeps them.
    """
    directory.mkdir(parents=True, exist_ok=True)
    grpc_port, http_port = free_port(), http_port or free_port()
    output = directory / "telemetry.jsonl"
    config = directory / "collector.json"
    settings = _config(grpc_port, http_port, output, tls, mutual)
    if counting:
        _add_counting(settings)
    config.write_text(json.dumps(settings))
    binary = contrib_collector_binary() if counting else collector_binary()
    scheme = "https" if tls else "http"
    log = directory / "collector.log"
    with running([str(binary), "--config", str(config)], log) as process:
        wait_listening(http_port, process)
        wait_listening(grpc_port, process)
        yield Collector(
            grpc_endpoint=f"{scheme}://127.0.0.1:{grpc_port}",
            http_endpoint=f"{scheme}://127.0.0.1:{http_port}",
            output=output,
            log=log,
        )


def _add_counting(config: dict[str, Any]) -> None:
    pipelines = config["service"]["pipelines"]
    connectors = ["span_metrics", "service_graph"]
    config["connectors"] = {name: {"metrics_flush_interval": COUNTING_FLUSH} for name in connectors}
    config["connectors"]["service_graph"]["store"] = {"ttl": "60s"}
    pipelines["traces"] = {"receivers": ["otlp"], "exporters": ["file", *connectors]}
    pipelines["metrics"] = {"receivers": ["otlp", *connectors], "exporters": ["file"]}


def _config(grpc_port: int, http_port: int, output: Path, tls: Pki | None, mutual: bool) -> dict[str, Any]:
    security: dict[str, object] = {}
    if tls:
        security["tls"] = {"cert_file": str(tls.server.certificate), "key_file": str(tls.server.key)} | (
            {"client_ca_file": str(tls.ca)} if mutual else {}
        )
    pipeline = {"receivers": ["otlp"], "exporters": ["file"]}
    return {
        "receivers": {
            "otlp": {
                "protocols": {
                    "grpc": {"endpoint": f"127.0.0.1:{grpc_port}", **security},
                    "http": {"endpoint": f"127.0.0.1:{http_port}", **security},
                }
            }
        },
        "exporters": {"file": {"path": str(output), "flush_interval": "100ms"}},
        "service": {
            "telemetry": {"metrics": {"level": "none"}, "logs": {"level": "warn"}},
            "pipelines": {"traces": pipeline, "logs": pipeline, "metrics": pipeline},
        },
    }
