# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap config``: every setting, its value in force, and what decided it."""

import argparse
import json
import sys
from dataclasses import asdict

from otel_qtap.cli import configuration
from otel_qtap.settings.effective import EffectiveSetting, as_text, effective_settings
from otel_qtap.terminal import printable


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "config",
        help="show every setting, its value in force and where it came from",
        description="Show every setting, its value in force, and what decided it: the environment, a line of "
        "the configuration file, or the default. Secrets are masked. Exit code 2 when the agent would refuse "
        "to start with these settings.",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--changed", action="store_true", help="leave out what is at its default")
    configuration.add_option(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Print the settings that environment and file make."""
    settings = configuration.settings(arguments)
    rows = [
        row
        for row in effective_settings(settings)
        if not arguments.changed or row.origin != "default"
    ]  # fmt: skip
    if arguments.json:
        print(json.dumps({"settings": [asdict(row) for row in rows], "ignored": settings.ignored}, indent=2))
        return 0
    _print_table(rows)
    if settings.ignored:
        ignored = printable(", ".join(settings.ignored))
        print(f"Set, but not read by otel-qtap: {ignored}", file=sys.stderr)
    return 0


def _print_table(rows: list[EffectiveSetting]) -> None:
    cells = [(row.name, printable(as_text(row.value)) or "-", printable(_origin(row))) for row in rows]
    name_width = max((len(name) for name, _, _ in cells), default=0)
    # A long value pushes only its own origin aside.
    value_width = min(max((len(value) for _, value, _ in cells), default=0), 40)
    for name, value, origin in cells:
        print(f"{name:{name_width}}  {value:{value_width}}  {origin}")


def _origin(row: EffectiveSetting) -> str:
    if row.origin == row.name:
        return row.source
    return row.origin if row.source in ("default", "environment") else f"{row.origin} ({row.source})"
