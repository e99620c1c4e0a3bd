# SPDX-License-Identifier: Apache-2.0
"""Asks for ``PREFIX/<key>`` on many keep-alive connections of one process at once, each key once.

With ``--traceparent`` every other request carries a trace context: the trace id is the key in hexadecimal.
"""

import argparse
import http.client
import ssl
from concurrent.futures import ThreadPoolExecutor


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    parser.add_argument("ca")
    parser.add_argument("prefix")
    parser.add_argument("--connections", type=int, default=10)
    parser.add_argument("--requests", type=int, default=20)
    parser.add_argument("--traceparent", action="store_true")
    options = parser.parse_args()
    context = ssl.create_default_context(cafile=options.ca)
    context.check_hostname = False

    def converse(number: int) -> None:
        connection = http.client.HTTPSConnection(options.host, options.port, context=context, timeout=60)
        for request in range(options.requests):
            key = f"{number:04d}{request:04d}"
            fields = {}
            if options.traceparent and request % 2:
                fields["traceparent"] = f"00-{key.rjust(32, 'a')}-{key.rjust(16, 'b')}-01"
            connection.request("GET", f"{options.prefix}/{key}", headers=fields)
            response = connection.getresponse()
            response.read()
            if response.status != 200:
                raise AssertionError(f"{key}: {response.status}")
        connection.close()

    with ThreadPoolExecutor(options.connections) as pool:
        list(pool.map(converse, range(options.connections)))


if __name__ == "__main__":
    main()
