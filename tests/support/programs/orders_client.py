# SPDX-License-Identifier: Apache-2.0
"""POST to the orders service with ``requests``: each line of standard input a body, its answer a line."""

import sys

import requests


def main() -> None:
    url, ca = sys.argv[1:]
    with requests.Session() as session:
        session.verify = ca
        for line in sys.stdin.buffer:
            answer = session.post(url, data=line.rstrip(b"\n"), timeout=30)
            answer.raise_for_status()
            sys.stdout.buffer.write(answer.content + b"\n")
            sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
