# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap payload get URI``: the message behind a reference on a span."""

import argparse
import os
import stat
import sys
from pathlib import Path

from otel_qtap.errors import QtapError, StoreError
from otel_qtap.model.exchange import Part
from otel_qtap.objectstore.reader import Reference, read_part
from otel_qtap.objectstore.registry import locate
from otel_qtap.terminal import printable, printable_lines


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser("payload", help="read stored payloads by the references on spans")
    actions = parser.add_subparsers(title="actions", metavar="ACTION", required=True)
    get = actions.add_parser(
        "get",
        help="print the message that a reference names",
        description="Print the message that a reference names, head and body as they were stored. Only the "
        "bytes of that message are read from the store. On a terminal control characters are shown as "
        "escapes; a pipe or a file gets the bytes as they are.",
    )
    get.add_argument(
        "uri",
        metavar="URI",
        help="value of qtap.payload.uri or http.*.body.content_ref, such as s3://bucket/key#bytes=0-812",
    )
    get.add_argument(
        "--part",
        choices=[part.value for part in Part],
        help="this half of the exchange, whichever one URI names",
    )
    get.add_argument(
        "--body",
        action="store_true",
        help="the body alone, as the application saw it: without chunked framing, with its content coding",
    )
    get.add_argument(
        "--decode", action="store_true", help="the body alone, with its content coding (gzip, ...) undone"
    )
    get.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write to FILE, which only you may read"
    )
    get.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Fetch, take apart and print; returns the exit code."""
    try:
        reference = Reference.parse(arguments.uri)
        store, key = locate(reference.object_url)
    except ValueError as error:
        return _complain(str(error), 2)
    part = Part(arguments.part) if arguments.part else None
    try:
        record = read_part(store, key, reference.first, reference.last, part)
        if arguments.decode:
            content = record.decoded_body()
        else:
            content = record.body if arguments.body else record.block
    except StoreError as error:
        return _complain(str(error), error.exit_code)
    return _write(content, arguments.output)


def _write(content: bytes, output: Path | None) -> int:
    if output is None:
        if sys.stdout.isatty():
            # Whoever spoke to the observed process chose these bytes.
            shown = printable_lines(content.decode(errors="backslashreplace"))
            content = shown.encode(sys.stdout.encoding, "backslashreplace")
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
        return 0
    try:
        descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                os.fchmod(descriptor, 0o600)  # a file that was there may have been open to others
            file.write(content)
    except OSError as error:
        return _complain(f"cannot write {output}: {error.strerror}", QtapError.exit_code)
    return 0


def _complain(message: str, exit_code: int) -> int:
    print(f"otel-qtap: {printable(message)}", file=sys.stderr)
    return exit_code
