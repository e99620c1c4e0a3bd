# SPDX-License-Identifier: Apache-2.0
"""Many connections of one process at once, each with bodies that describe themselves.

Each of N threads holds one connection and POSTs M bodies to /echo/<key>; an answer that is not the
body that was sent ends the program with an error.
"""

import argparse
import http.client
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.support.payloads import self_describing


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("ca")
    parser.add_argument("--connections", type=int, default=50)
    parser.add_argument("--requests", type=int, default=10)
    parser.add_argument("--prefix", default="c")
    options = parser.parse_args()
    context = ssl.create_default_context(cafile=options.ca)

    def converse(number: int) -> None:
        connection = http.client.HTTPSConnection("localhost", options.port, context=context, timeout=60)
        for request in range(options.requests):
            key = f"{options.prefix}{number}-{request}"
            body = self_describing(key, 100 + 97 * number + 1013 * request)
            connection.request("POST", f"/echo/{key}", body)
            if connection.getresponse().read() != body:
                raise AssertionError(f"the answer to {key} is not its body")
        connection.close()

    with ThreadPoolExecutor(options.connections) as pool:
        list(pool.map(converse, range(options.connections)))


if __name__ == "__main__":
    main()
