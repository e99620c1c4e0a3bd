# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap run`` and ``otel-qtap record``: the agent, in the foreground, until it is told to stop."""

import argparse
import logging
import sys
from functools import partial
from pathlib import Path

from otel_qtap.agent.log_output import set_up_logging
from otel_qtap.cli import configuration
from otel_qtap.errors import QtapError

logger = logging.getLogger(__name__)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "run",
        help="capture, export and store until told to stop",
        description="Capture TLS plaintext on this host, export spans, log events and metrics over OTLP, and "
        "store payloads in the object store. Needs root. SIGTERM drains and stops; a second stops at once.",
    )
    configuration.add_option(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the agent."""
    return start_agent(arguments, record_to=None)


def start_agent(arguments: argparse.Namespace, *, record_to: Path | None) -> int:
    """Run the agent with the settings of environment and file; keep raw kernel events in ``record_to``."""
    settings = configuration.settings(arguments)
    set_up_logging(settings.log_level, settings.log.format)
    from otel_qtap.agent.supervisor import run_agent  # noqa: PLC0415  # heavy: only this command pays

    try:
        return run_agent(settings, record_to, partial(configuration.settings, arguments))
    except QtapError as error:
        if sys.stderr.isatty():
            raise
        for line in str(error).splitlines():  # a line of the log like any other
            logger.critical("%s", line)
        return error.exit_code
