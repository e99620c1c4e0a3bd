"""Sends messages and checks the answers, by CPython's blocking TLS sockets, a thread a connection."""

import socket
import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import answer, read_line, request

PORT, CA, CONNECTIONS, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def talk(token: int) -> None:
    context = ssl.create_default_context(cafile=CA)
    context.minimum_version = context.maximum_version = VERSIONS[token % 2]
    plain = socket.create_connection(("127.0.0.1", PORT))
    with context.wrap_socket(plain, server_hostname="localhost") as tls, tls.makefile("rb") as stream:
        local, remote = tls.getsockname()[1], tls.getpeername()[1]
        for sequence in range(ROUNDS):
            asked = request(local, remote, token, sequence)
            tls.sendall(asked.encode())
            got = read_line(stream.readline())
            assert got == answer(remote, local, asked)
            stream.read(got.size)


print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(CONNECTIONS) as pool:
    list(pool.map(talk, range(CONNECTIONS)))
