"""Answers messages in the bodies of HTTP/1.1 requests, by CPython's http.server, a thread a connection."""

import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import answer, read_line


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    wbufsize = 1 << 16

    def do_POST(self) -> None:
        line, _, _ = self.rfile.read(int(self.headers["content-length"])).partition(b"\n")
        local, remote = self.connection.getsockname()[1], self.connection.getpeername()[1]
        body = answer(local, remote, read_line(line + b"\n")).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Stay silent."""


class Server(ThreadingHTTPServer):
    request_queue_size = 512
    daemon_threads = True

    def finish_request(self, request: ssl.SSLSocket, client_address: tuple[str, int]) -> None:
        request.do_handshake()  # in the connection's own thread
        super().finish_request(request, client_address)


server = Server(("127.0.0.1", 0), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[1], sys.argv[2])
server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
print(server.server_address[1], flush=True)
server.serve_forever()
