# SPDX-License-Identifier: Apache-2.0
"""Sends each line of standard input (in hex) as a message on one TLS connection; reads each answer."""

import http.client
import socket
import ssl
import sys


def main() -> None:
    port, ca = int(sys.argv[1]), sys.argv[2]
    context = ssl.create_default_context(cafile=ca)
    with (
        socket.create_connection(("127.0.0.1", port)) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as connection,
    ):
        for line in sys.stdin:
            connection.sendall(bytes.fromhex(line))
            response = http.client.HTTPResponse(connection)
            response.begin()
            response.read()


if __name__ == "__main__":
    main()
