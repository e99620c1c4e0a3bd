# SPDX-License-Identifier: Apache-2.0
"""Sends each line of standard input (in hex) over TLS to an echoing server and wants it back."""

import socket
import ssl
import sys


def main() -> None:
    port, ca = int(sys.argv[1]), sys.argv[2]
    context = ssl.create_default_context(cafile=ca)
    for line in sys.stdin:
        data = bytes.fromhex(line)
        with (
            socket.create_connection(("127.0.0.1", port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            connection.sendall(data)
            back = b""
            while len(back) < len(data):
                back += connection.recv(65536)
            assert back == data


if __name__ == "__main__":
    main()
