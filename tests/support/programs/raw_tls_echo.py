# SPDX-License-Identifier: Apache-2.0
"""TLS server that sends back whatever it gets, one connection at a time. Prints its port."""

import socket
import ssl
import sys


def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    while True:
        plain, _ = listener.accept()
        try:
            with context.wrap_socket(plain, server_side=True) as connection:
                while data := connection.recv(65536):
                    connection.sendall(data)
        except OSError:
            continue


if __name__ == "__main__":
    main()
