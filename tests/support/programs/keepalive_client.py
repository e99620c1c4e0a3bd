# SPDX-License-Identifier: Apache-2.0
"""Holds one TLS connection open: for each line of standard input (a target) one GET; prints the status."""

import http.client
import ssl
import sys


def main() -> None:
    port, ca = int(sys.argv[1]), sys.argv[2]
    context = ssl.create_default_context(cafile=ca)
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
    connection.connect()
    print("connected", flush=True)
    for line in sys.stdin:
        connection.request("GET", line.strip())
        response = connection.getresponse()
        response.read()
        print(response.status, flush=True)


if __name__ == "__main__":
    main()
