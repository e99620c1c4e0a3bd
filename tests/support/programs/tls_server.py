# SPDX-License-Identifier: Apache-2.0
"""HTTPS server on CPython's ``ssl``, with threads or with a process a connection.

The TLS handshake is made by the accepting (parent) process in both modes; with ``--fork`` a child
then does all reading and writing. Prints its port when it listens.

POST /echo answers with the request's body; /chunked with the same in chunks and a trailer;
GET /sized/N with N bytes; /status/N with that status. A request's X-Answer-Wanted comes back as a
cookie and a header field, its X-Trailer-Wanted as the trailer of a chunked answer.
"""

import argparse
import ssl
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from socketserver import ForkingMixIn, ThreadingMixIn
from urllib.parse import urlsplit

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from tests.support.payloads import text_of_entropy


class EchoHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = 1 << 16

    def do_GET(self) -> None:
        head, _, argument = urlsplit(self.path).path.lstrip("/").partition("/")
        if head == "sized":
            self.answer(200, text_of_entropy(int(argument.split("/")[0])))
        elif head == "status":
            self.answer(int(argument), b"" if argument in {"204", "304"} else b"status\n")
        else:
            self.answer(200, b"hello from cpython\n")

    def do_POST(self) -> None:
        body = self.read_body()
        if self.path.startswith("/chunked"):
            self.answer_chunked(body)
        else:
            self.answer(200, body)

    do_PUT = do_POST  # noqa: N815

    def read_body(self) -> bytes:
        if "chunked" not in self.headers.get("transfer-encoding", ""):
            return self.rfile.read(int(self.headers.get("content-length", 0)))
        body = bytearray()
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            """The trailer fields."""
        return bytes(body)

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        if status not in {204, 304}:
            self.send_header("Content-Type", "application/octet-stream")
            self.send_header("Content-Length", str(len(body)))
        if wanted := self.headers.get("x-answer-wanted"):
            self.send_header("Set-Cookie", f"session={wanted}; Secure")
            self.send_header("X-Answer", wanted)
        self.end_headers()
        self.wfile.write(body)

    def answer_chunked(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.send_header("Trailer", "X-Trailer")
        self.end_headers()
        trailer = self.headers.get("x-trailer-wanted", "none")
        for start in range(0, len(body), 1000):
            piece = body[start : start + 1000]
            self.wfile.write(b"%x;ext=1\r\n%s\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\nX-Trailer: %s\r\n\r\n" % trailer.encode())

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


class ThreadingServer(ThreadingMixIn, HTTPServer):
    daemon_threads = True
    request_queue_size = 128


class ForkingServer(ForkingMixIn, HTTPServer):
    max_children = 400
    request_queue_size = 128


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("certificate")
    parser.add_argument("key")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--fork", action="store_true")
    options = parser.parse_args()
    server = (ForkingServer if options.fork else ThreadingServer)((options.host, options.port), EchoHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
