# SPDX-License-Identifier: Apache-2.0
"""The console exporter: one line of JSON for each span, log record and metric, to be read by people."""

import json
from collections.abc import Iterator
from typing import Any, TextIO

from otel_qtap.telemetry.otlp.json_form import to_objects
from otel_qtap.telemetry.otlp.requests import Signal
from otel_qtap.telemetry.otlp.transport import Attempt, Outcome
from otel_qtap.terminal import printable_json


class ConsoleTransport:
    """Writes the items of requests to ``stream``. Its lines are for people: their form may change."""

    def __init__(self, signal: Signal, stream: TextIO) -> None:
        self._signal = signal
        self._stream = stream

    def send(self, body: bytes, timeout_seconds: float | None) -> Attempt:
        """Write one line per item; see ``Transport.send``."""
        try:
            for item in _items(to_objects(self._signal, body)):
                self._stream.write(printable_json(json.dumps(item, ensure_ascii=False)) + "\n")
            self._stream.flush()
        except (OSError, ValueError):  # the reader is gone, or the stream was closed
            return Attempt(outcome=Outcome.REFUSED, reason="stream_closed")
        return Attempt(outcome=Outcome.DELIVERED)

    def close(self) -> None:
        """Do nothing: the stream is the caller's."""


def _items(request: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the items of a request, attributes as plain mappings, each with its resource and scope."""
    for entry in next(iter(request.values()), []):
        resource = _plain(entry.get("resource", {}).get("attributes", []))
        scopes = next(value for key, value in entry.items() if key.startswith("scope"))
        for scope in scopes:
            for items in scope.values():
                if isinstance(items, list):
                    for item in items:
                        yield {**_flatten(item), "scope": scope["scope"]["name"], "resource": resource}


def _flatten(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _plain(value) if key == "attributes" else _flatten(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_flatten(child) for child in node]
    return node


def _plain(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {attribute["key"]: _value(attribute["value"]) for attribute in attributes}


def _value(any_value: dict[str, Any]) -> Any:
    kind, value = next(iter(any_value.items()))
    if kind == "arrayValue":
        return [_value(item) for item in value.get("values", [])]
    return int(value) if kind == "intValue" else value
