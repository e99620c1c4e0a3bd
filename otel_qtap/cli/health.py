# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap health``: asks the running agent how it is; for the health checks of container engines."""

import argparse

from otel_qtap.cli import configuration
from otel_qtap.errors import HealthError, SettingsError
from otel_qtap.settings.values import HostPort

_SECONDS = 2.0
"""Longest wait for the answer: below the usual limit of a health check."""
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to knock, not where to listen


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "health",
        help="ask the running agent whether it is ready",
        description="Ask the agent that runs with these settings, at OTEL_QTAP_HEALTH_ADDRESS, whether it is "
        "ready: probes attached, exporters running, collector and store within reach. Exit code 0 when it "
        "is, 1 when it is not or does not answer.",
    )
    parser.add_argument("--live", action="store_true", help="ask only whether it lives")
    configuration.add_option(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what the agent says, and return its exit code."""
    address = configuration.settings(arguments).health.address
    if address.port == 0:
        raise SettingsError("OTEL_QTAP_HEALTH_ADDRESS: port 0 cannot be asked; name the agent's own port")
    status, text = _ask(address, "/livez" if arguments.live else "/readyz")
    print(text, end="")
    return 0 if status == 200 else 1


def _ask(address: HostPort, path: str) -> tuple[int, str]:
    """Status and text of a page. Raises HealthError when nobody answers."""
    import http.client  # noqa: PLC0415 - thirty milliseconds that only this command pays

    connection = http.client.HTTPConnection(
        _ANY_ADDRESS.get(address.host, address.host), address.port, timeout=_SECONDS
    )
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise HealthError(
            f"no agent answers at {address}: {reason}. Does it run, with the same OTEL_QTAP_HEALTH_ADDRESS?"
        ) from error
    finally:
        connection.close()
