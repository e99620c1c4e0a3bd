# SPDX-License-Identifier: Apache-2.0
"""The agent's own log: standard error, text on a terminal, one JSON object a line otherwise.

JSON lines have the fields of OpenTelemetry's log data model: ``timestamp``, ``severity_text``,
``severity_number``, ``body``, ``event_name``, ``instrumentation_scope`` and ``attributes``. A caller names
its event and adds attributes by ``extra={"event_name": ..., "attributes": {...}}``.
"""

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

from otel_qtap.terminal import printable, printable_json

Level = Literal["debug", "info", "warn", "error"]
Form = Literal["auto", "text", "json"]

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
# https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber
_SEVERITIES = (
    (logging.CRITICAL, "FATAL", 21),
    (logging.ERROR, "ERROR", 17),
    (logging.WARNING, "WARN", 13),
    (logging.INFO, "INFO", 9),
    (logging.NOTSET, "DEBUG", 5),
)
_COLOURS = {"FATAL": "1;31", "ERROR": "31", "WARN": "33", "INFO": "32", "DEBUG": "2"}


class _Process:
    """What this process is to the others, which a child that is forked says itself; where its log goes."""

    role = "supervisor"
    stream: TextIO | None = None


def set_up_logging(level: Level, form: Form, stream: TextIO | None = None) -> None:
    """Send every log record of ``level`` and above to ``stream``, by default to where ``redirect`` said.

    Other libraries are held to warnings: at debug level an HTTP client would log what it sends.
    """
    stream = stream or _Process.stream or sys.stderr
    terminal = stream.isatty()
    handler = _Handler(stream)
    if form == "text" or (form == "auto" and terminal):
        handler.setFormatter(_TextFormatter(coloured=terminal and "NO_COLOR" not in os.environ))
    else:
        handler.setFormatter(_JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    logging.getLogger("otel_qtap").setLevel(_LEVELS[level])
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to write elsewhere


def set_role(role: str) -> None:
    """Say which of the agent's processes this one is; its lines tell."""
    _Process.role = role


def redirect(stream: TextIO | None) -> None:
    """Send the log to ``stream`` from now on, in the form that it has; None means standard error."""
    _Process.stream = stream
    for handler in logging.getLogger().handlers:
        if isinstance(handler, _Handler):
            handler.setStream(stream or sys.stderr)


def redirected_to() -> TextIO | None:
    """Where the log goes instead of standard error."""
    return _Process.stream


class _Handler(logging.StreamHandler[TextIO]):
    """Ours, to be told from what a test runner or a library adds."""


def _time(record: logging.LogRecord) -> str:
    return f"{datetime.fromtimestamp(record.created, UTC).isoformat(timespec='milliseconds')[:-6]}Z"


def _severity(record: logging.LogRecord) -> tuple[str, int]:
    return next((text, number) for least, text, number in _SEVERITIES if record.levelno >= least)


def _exception_type(record: logging.LogRecord) -> str:
    """The exception's type and no more: its text and its frames may quote what was captured."""
    if record.exc_info is None or record.exc_info[0] is None:
        return ""
    return record.exc_info[0].__name__


class _TextFormatter(logging.Formatter):
    def __init__(self, *, coloured: bool) -> None:
        super().__init__()
        self._coloured = coloured

    def format(self, record: logging.LogRecord) -> str:
        exception = _exception_type(record)
        tail = f" ({exception})" if exception else ""
        text, _ = _severity(record)
        level = f"{text.lower():5}"
        if self._coloured:
            level = f"\033[{_COLOURS[text]}m{level}\033[0m"
        return f"{_time(record)} {level} {_Process.role} {record.name} {printable(record.getMessage())}{tail}"


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        text, number = _severity(record)
        line: dict[str, Any] = {
            "timestamp": _time(record),
            "severity_text": text,
            "severity_number": number,
            "body": printable(record.getMessage()),
        }
        if event_name := getattr(record, "event_name", ""):
            line["event_name"] = event_name
        line["instrumentation_scope"] = record.name
        line["attributes"] = {
            "qtap.process.role": _Process.role,
            "process.pid": record.process,
            **_attributes(getattr(record, "attributes", {})),
        }
        if exception := _exception_type(record):
            line["attributes"]["exception.type"] = exception
        return printable_json(json.dumps(line, ensure_ascii=False))


def _attributes(given: Mapping[str, Any]) -> dict[str, Any]:
    return {key: printable(value) if isinstance(value, str) else value for key, value in given.items()}
