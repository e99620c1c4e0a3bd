# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap health``: asks the running agent, or the viewer, how it is; for container engines."""

import argparse

from otel_qtap.cli import configuration
from otel_qtap.errors import HealthError, SettingsError
from otel_qtap.settings.values import HostPort
from otel_qtap.terminal import printable_lines

_SECONDS = 2.0
"""Longest wait for the answer: below the usual limit of a health check."""
_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - where to knock, not where to listen


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "health",
        help="ask the running agent, or the viewer, whether it is ready",
        description="Ask the agent that runs with these settings, at OTEL_QTAP_HEALTH_ADDRESS, whether it is "
        "ready: probes attached, exporters running, collector and store within reach. Exit code 0 when it "
        "is, 1 when it is not or does not answer.",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--live", action="store_true", help="ask only whether it lives")
    what.add_argument(
        "--viewer", action="store_true", help="ask the viewer at OTEL_QTAP_SERVE_ADDRESS whether it runs"
    )
    configuration.add_option(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print what the agent says, and return its exit code."""
    settings = configuration.settings(arguments)
    if arguments.viewer:
        tls = settings.serve.tls_certificate is not None
        status, text = _ask("OTEL_QTAP_SERVE_ADDRESS", settings.serve.address, "/healthz", tls=tls)
    else:
        path = "/livez" if arguments.live else "/readyz"
        status, text = _ask("OTEL_QTAP_HEALTH_ADDRESS", settings.health.address, path)
    print(printable_lines(text), end="")  # whoever holds the address may say anything
    return 0 if status == 200 else 1


def _ask(variable: str, address: HostPort, path: str, *, tls: bool = False) -> tuple[int, str]:
    """Status and text of a page of whoever has the address. Raises HealthError when nobody answers."""
    import http.client  # noqa: PLC0415 - thirty milliseconds that only this command pays

    if address.port == 0:
        raise SettingsError(f"{variable}: port 0 cannot be asked; name the port itself")
    host = _ANY_ADDRESS.get(address.host, address.host)
    if tls:
        # Whose certificate it is does not matter: nothing is sent, and only the status is believed.
        import ssl  # noqa: PLC0415

        context = ssl._create_unverified_context()  # noqa: S323
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            host, address.port, timeout=_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(host, address.port, timeout=_SECONDS)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode(errors="replace")
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise HealthError(
            f"nobody answers at {address}: {reason}. Does it run, with the same {variable}?"
        ) from error
    finally:
        connection.close()
