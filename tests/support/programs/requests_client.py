# SPDX-License-Identifier: Apache-2.0
"""HTTPS client on ``requests``: one request; the body comes from and the answer goes to a file."""

import argparse
from pathlib import Path

import requests


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("method")
    parser.add_argument("url")
    parser.add_argument("ca")
    parser.add_argument("answer", type=Path)
    parser.add_argument("--body", type=Path)
    parser.add_argument("--header", action="append", default=[])
    options = parser.parse_args()
    response = requests.request(
        options.method,
        options.url,
        data=options.body.read_bytes() if options.body else None,
        headers=dict(field.split(": ", 1) for field in options.header),
        verify=options.ca,
        timeout=60,
    )
    options.answer.write_bytes(response.content)
    print(response.status_code)


if __name__ == "__main__":
    main()
