# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap doctor``: is everything here that capture needs, and what to do where it is not."""

import argparse
import json
import os
import shutil
import sys
import textwrap
from itertools import groupby

from otel_qtap.agent.doctor import CHECKS, Host, Report, Result, Status, examine
from otel_qtap.cli import configuration
from otel_qtap.errors import SettingsError
from otel_qtap.settings import Settings
from otel_qtap.terminal import printable, printable_lines

_COLOURS = {Status.OK: "32", Status.WARN: "33", Status.FAIL: "31", Status.SKIP: "2"}

_NARROWEST = 20

_EPILOG = """\
exit codes:
  0  the agent can run here; there may be warnings
  1  it starts, but what it captures would not arrive (collector, store or state directory), or BCC is missing
  2  it refuses to start: a setting is wrong, or the health address is taken
  3  it cannot capture: a privilege or a kernel feature is missing

Of several failures the code is that of the first in the order 2, 3, 1.
"""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "doctor",
        help="check privileges, kernel, libraries, collector and store",
        description="Check all that the agent needs and say what to do where something is missing. Run it as "
        "the user and with the environment that the agent has. Nothing is attached or changed; an S3 store "
        "gets a small object called .otel-qtap-doctor.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of text")
    configuration.add_option(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Examine this machine, print the report, return its exit code."""
    settings: Settings | str
    try:
        settings = configuration.settings(arguments)
    except SettingsError as error:
        settings = str(error)
    report = examine(CHECKS, Host(configuration=settings))
    if arguments.json:
        print(json.dumps(report.as_json(), indent=2))
    else:
        terminal = sys.stdout.isatty()
        print(
            render(
                report,
                coloured=terminal and "NO_COLOR" not in os.environ,
                columns=shutil.get_terminal_size().columns if terminal else sys.maxsize,
            )
        )
    return report.exit_code


def render(report: Report, *, coloured: bool, columns: int) -> str:
    """The report as text at most ``columns`` wide, by group and aligned; the verdict is the last line."""
    width = max((len(_name(result)) for result in report.results), default=0)
    lines = []
    for group, results in groupby(report.results, key=lambda result: result.id.partition(".")[0]):
        lines.append(_paint(group.capitalize(), "1", coloured))
        for result in results:
            lines.extend(_lines(result, width, coloured, columns))
        lines.append("")
    if report.flags:
        together = f"All flags that the container lacks: {' '.join(report.flags)}"
        lines += [*textwrap.wrap(together, max(columns, _NARROWEST), break_on_hyphens=False), ""]
    colour = _COLOURS[report.verdict]
    return "\n".join((*lines, _paint(report.conclusion, f"1;{colour}", coloured)))


def _lines(result: Result, width: int, coloured: bool, columns: int) -> list[str]:
    outcome = result.outcome
    status = _paint(f"{outcome.status:4}", _COLOURS[outcome.status], coloured)
    indent = " " * (2 + 4 + 2 + width + 2)
    room = max(columns - len(indent), _NARROWEST)
    # Where a line of the detail names what others chose, its check made that printable: here is too late to
    # tell a newline of theirs from ours. All else that strangers may have had a hand in is escaped here.
    texts = textwrap.wrap(printable(outcome.summary), room)
    for line in printable_lines(outcome.detail).split("\n") if outcome.detail else ():
        texts.extend(textwrap.wrap(line, room, subsequent_indent="  ", break_long_words=False))
    if outcome.remedy:
        texts.extend(textwrap.wrap(f"→ {printable(outcome.remedy)}", room, subsequent_indent="  "))
    first, *others = texts
    return [f"  {status}  {_name(result):{width}}  {first}", *(indent + text for text in others)]


def _name(result: Result) -> str:
    return result.id.partition(".")[2].replace("_", " ")


def _paint(text: str, colour: str, coloured: bool) -> str:
    return f"\033[{colour}m{text}\033[0m" if coloured else text
