# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap record FILE``: the agent, which also keeps what the kernel said."""

import argparse
from pathlib import Path

from otel_qtap.cli.run import start_agent


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "record",
        help="run, and also write raw kernel events to a file",
        description="Run the agent and write every raw kernel event to FILE as well, for 'otel-qtap replay'. "
        "The file holds captured plaintext, unredacted: keep it as you keep your payloads.",
    )
    parser.add_argument("file", type=Path, metavar="FILE", help="recording to write; must not exist yet")
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Run the agent with a recording."""
    return start_agent(record_to=arguments.file)
