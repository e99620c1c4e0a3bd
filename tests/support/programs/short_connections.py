# SPDX-License-Identifier: Apache-2.0
"""Many short connections of one process in turn, so that descriptors and TLS objects are reused."""

import argparse
import socket
import ssl
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.support.payloads import self_describing


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("ca")
    parser.add_argument("--connections", type=int, default=2000)
    options = parser.parse_args()
    context = ssl.create_default_context(cafile=options.ca)
    descriptors = set()
    for number in range(options.connections):
        key = f"s{number}"
        body = self_describing(key, 200 + number % 50)
        head = f"POST /echo/{key} HTTP/1.1\r\nHost: localhost:{options.port}\r\n"
        head += f"Content-Length: {len(body)}\r\n\r\n"
        with (
            socket.create_connection(("127.0.0.1", options.port)) as plain,
            context.wrap_socket(plain, server_hostname="localhost") as connection,
        ):
            descriptors.add(connection.fileno())
            connection.sendall(head.encode() + body)
            answer = b""
            while not answer.endswith(body):
                piece = connection.recv(65536)
                if not piece:
                    raise AssertionError(f"the answer to {key} is not its body")
                answer += piece
    print(len(descriptors))


if __name__ == "__main__":
    main()
