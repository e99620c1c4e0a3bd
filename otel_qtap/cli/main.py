# SPDX-License-Identifier: Apache-2.0
"""The ``otel-qtap`` command: finds the subcommand, turns every error into one message and an exit code."""

import argparse
import importlib
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from otel_qtap import __version__
from otel_qtap.errors import QtapError
from otel_qtap.terminal import printable_lines

COMMANDS = ("run", "doctor", "health", "payload", "serve", "config", "record", "replay")
"""Each is a module of this package with ``add_parser(subparsers)``, which sets ``func`` to its ``run``."""

_EXAMPLES = """\
examples:
  sudo otel-qtap doctor                              is everything here that capture needs?
  sudo otel-qtap run                                 capture to a collector on localhost:4318 and to
                                                     /var/lib/otel-qtap/objects
  sudo OTEL_QTAP_OBJECTS_URL=s3://bucket/prefix \\
       OTEL_EXPORTER_OTLP_ENDPOINT=https://collector:4318 otel-qtap run
  otel-qtap payload get 's3://bucket/…warc.gz#bytes=0-812' --body
                                                     the body that a span refers to
  sudo otel-qtap serve                               the same in a browser: prints the address to open
  otel-qtap config                                   every setting and where its value came from

exit codes:
  0  done
  1  failed at run time
  2  bad usage or configuration
  3  missing privilege or kernel feature

Settings come from the environment (the standard OTEL_* variables, and OTEL_QTAP_<ROOM>_<FIELD>) and from a
YAML file of the same settings, which the environment overrides.
Logs go to standard error, results to standard output.
"""

_COLOURED = "\033[31m{}\033[0m"


def build_parser(commands: Sequence[str] = COMMANDS) -> argparse.ArgumentParser:
    """The command line with the given commands; each costs the import of what it needs."""
    parser = argparse.ArgumentParser(
        prog="otel-qtap",
        description="TLS plaintext, captured out of band with eBPF, as OpenTelemetry spans; payloads stay in "
        "your own object store.",
        epilog=_EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"otel-qtap {__version__}")
    subparsers = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for command in commands:
        importlib.import_module(f"otel_qtap.cli.{command}").add_parser(subparsers)
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run one command and return its exit code; usage errors and ``--help`` raise SystemExit."""
    argv = sys.argv[1:] if argv is None else argv
    chosen = [command for command in COMMANDS if argv[:1] == [command]]
    try:
        arguments = build_parser(chosen or COMMANDS).parse_args(argv)
        code: int = arguments.func(arguments)
        sys.stdout.flush()
    except QtapError as error:
        _complain(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader of our output left. Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:
        # An exception's text may quote what was captured: its type and its place must do.
        _complain(
            f"unexpected {type(error).__name__} at {_place(error)}: a defect of otel-qtap, please report it"
        )
        return 1
    return code


def _place(error: BaseException) -> str:
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(frame.filename).name}:{frame.lineno}"


def _complain(message: str) -> None:
    label = "otel-qtap:"
    if sys.stderr.isatty() and "NO_COLOR" not in os.environ:
        label = _COLOURED.format(label)
    for line in printable_lines(message).split("\n"):
        print(label, line, file=sys.stderr)
