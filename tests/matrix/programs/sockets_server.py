"""Answers messages, by CPython's blocking TLS sockets, a thread a connection."""

import socket
import ssl
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import answer, read_line


def serve(tls: ssl.SSLSocket) -> None:
    with tls, tls.makefile("rb") as stream:
        while line := stream.readline():
            asked = read_line(line)
            stream.read(asked.size)
            tls.sendall(answer(tls.getsockname()[1], tls.getpeername()[1], asked).encode())


def begin(plain: socket.socket, context: ssl.SSLContext) -> None:
    serve(context.wrap_socket(plain, server_side=True))


context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
listener = socket.create_server(("127.0.0.1", 0), backlog=512)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=begin, args=(listener.accept()[0], context), daemon=True).start()
