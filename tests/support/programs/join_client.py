# SPDX-License-Identifier: Apache-2.0
"""Asks for ``PREFIX/<key>`` on many keep-alive connections of one process at once, each key once.

Every other request carries a trace context made of its key. With ``--phases`` that many parts of the requests
each wait for a line of standard input, whose end ends them all; a line of its output tells of the answers.
"""

import argparse
import http.client
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import repeat


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("ca")
    parser.add_argument("prefix")
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--phases", type=int, default=0)
    options = parser.parse_args()
    context = ssl.create_default_context(cafile=options.ca)
    context.check_hostname = False
    connections = [
        http.client.HTTPSConnection(options.host, options.port, context=context, timeout=60)
        for _ in range(options.connections)
    ]

    def converse(number: int, requests: range) -> None:
        connection = connections[number]
        for request in requests:
            key = f"{number:04d}{request:04d}"
            fields = {}
            if request % 2:
                fields["traceparent"] = f"00-{key.rjust(32, 'a')}-{key.rjust(16, 'b')}-01"
            connection.request("GET", f"{options.prefix}/{key}", headers=fields)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise AssertionError(f"{key}: {response.status}")

    phases = max(options.phases, 1)
    with ThreadPoolExecutor(options.connections) as pool:
        for phase in range(phases):
            if options.phases and not sys.stdin.readline():
                break
            first, last = (options.requests * which // phases for which in (phase, phase + 1))
            part = range(first, last)
            list(pool.map(converse, range(options.connections), repeat(part)))
            if options.phases:
                print("answered", flush=True)
    for connection in connections:
        connection.close()


if __name__ == "__main__":
    main()
