# SPDX-License-Identifier: Apache-2.0
"""What a transport is, and what an attempt to send may come to (OTLP specification, "Failures")."""

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, Protocol

from otel_qtap import __version__
from otel_qtap.telemetry.otlp.wire import fields

USER_AGENT: Final = f"OTel-OTLP-Exporter-otel-qtap/{__version__}"

MAX_RESPONSE_BYTES: Final = 64 * 1024
"""Of a response no more is read: a partial success message is short."""


class Outcome(Enum):
    """What is to be done with a request after an attempt."""

    DELIVERED = auto()
    RETRY = auto()
    TOO_LARGE = auto()
    REFUSED = auto()


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """What one attempt came to.

    ``reason`` is a value for ``error.type``: an HTTP status, a gRPC code name or ``timeout``,
    ``connection_error``, ``tls_error``. ``retry_after`` is what the server asked for, in seconds.
    ``rejected`` and ``message`` are those of a partial success.
    """

    outcome: Outcome
    reason: str = ""
    retry_after: float | None = None
    rejected: int = 0
    message: str = ""


class Transport(Protocol):
    """Sends encoded requests of one signal to one target. Used by one thread at a time."""

    def send(self, body: bytes, timeout_seconds: float | None) -> Attempt:
        """Try once to deliver ``body``, an uncompressed protocol buffer. Never raises for what peers do.

        ``timeout_seconds`` None is no limit.
        """

    def close(self) -> None:
        """Give up connections."""


def read_partial_success(response: bytes) -> tuple[int, str]:
    """Return (rejected items, message) of an Export…ServiceResponse; (0, "") if all was accepted.

    The response is the peer's: one that cannot be read says nothing about rejected items.
    """
    rejected, message = 0, ""
    try:
        for number, partial in fields(response):
            if number != 1 or isinstance(partial, int):
                continue
            for inner, value in fields(partial):
                if inner == 1 and isinstance(value, int):
                    rejected = value
                elif inner == 2 and isinstance(value, bytes):
                    message = value.decode("utf-8", "replace")
    except ValueError:
        return 0, ""
    return rejected, message
