# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap record FILE``: what the kernel says, into a file and nowhere else."""

import argparse
from pathlib import Path

from otel_qtap.cli import configuration
from otel_qtap.cli.run import start_agent


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "record",
        help="write raw kernel events to a file",
        description="Capture as 'run' does, and write raw kernel events to FILE, for 'otel-qtap replay'; "
        "nothing is exported or stored. The file holds captured plaintext, unredacted: keep it as you keep "
        "your payloads.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="recording to write; must not exist yet")
    configuration.add_option(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Record until told to stop."""
    return start_agent(arguments, record_to=arguments.file)
