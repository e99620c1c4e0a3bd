# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap replay FILE``: a recording through the same chain, without a kernel."""

import argparse
from pathlib import Path

from otel_qtap.agent.log_output import set_up_logging
from otel_qtap.cli import configuration


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "replay",
        help="send a recording through the chain, without a kernel",
        description="Send the raw kernel events of a recording through the same chain as 'otel-qtap run', "
        "with the settings of the environment. Needs no privilege.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="recording made by 'otel-qtap record'")
    configuration.add_option(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Replay a recording."""
    settings = configuration.settings(arguments)
    set_up_logging(settings.log_level, settings.log.format)
    from otel_qtap.agent.replay import replay  # noqa: PLC0415  # heavy: only this command pays

    return replay(settings, arguments.file)
