# SPDX-License-Identifier: Apache-2.0
"""The agent's own log: standard error, text on a terminal, one JSON object a line otherwise."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warn": logging.WARNING, "error": logging.ERROR}
_NAMES = {"WARNING": "warn", "CRITICAL": "error"}


def set_up_logging(
    level: Literal["debug", "info", "warn", "error"],
    form: Literal["auto", "text", "json"],
    stream: TextIO | None = None,
) -> None:
    """Send every log record of ``level`` and above to ``stream``, standard error by default.

    Other libraries are held to warnings: at debug level an HTTP client would log what it sends.
    """
    stream = stream if stream is not None else sys.stderr
    as_text = form == "text" or (form == "auto" and stream.isatty())
    handler = logging.StreamHandler(stream)
    handler.setFormatter(_TextFormatter() if as_text else _JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(_LEVELS[level], logging.WARNING))
    logging.getLogger("otel_qtap").setLevel(_LEVELS[level])


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


def _level(record: logging.LogRecord) -> str:
    return _NAMES.get(record.levelname, record.levelname.lower())


def _exception_type(record: logging.LogRecord) -> str:
    """The exception's type and no more: its text and its frames may quote what was captured."""
    if record.exc_info is None or record.exc_info[0] is None:
        return ""
    return record.exc_info[0].__name__


class _TextFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        exception = _exception_type(record)
        tail = f" ({exception})" if exception else ""
        return f"{_time(record)} {_level(record):5} {record.name} {_printable(record.getMessage())}{tail}"


def _printable(message: str) -> str:
    """Control characters escaped: a message may name a file of a process that would write on a terminal."""
    if message.isprintable():
        return message
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)


class _JsonFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
            "level": _level(record),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if exception := _exception_type(record):
            line["exception"] = exception
        return json.dumps(line, ensure_ascii=False)
