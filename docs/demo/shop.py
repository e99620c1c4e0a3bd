# SPDX-License-Identifier: Apache-2.0
"""The demo's observed server: a tiny JSON shop over HTTPS, on CPython's ssl. Knows nothing of otel-qtap.

Usage: shop.py CERTIFICATE KEY     Prints its port once it listens on loopback.
"""

import json
import ssl
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

ORDERS = [{"id": 1, "item": "telescope", "deliver_to": "12 Analytical Row"}]


class Shop(BaseHTTPRequestHandler):
    """GET /orders lists, POST /orders adds, everything else is not found."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        """List the orders."""
        if self.path.split("?")[0] == "/orders":
            self.answer(200, ORDERS)
        else:
            self.answer(404, {"error": "no such page"})

    def do_POST(self) -> None:
        """Add an order."""
        order = json.loads(self.rfile.read(int(self.headers["content-length"])))
        ORDERS.append({"id": len(ORDERS) + 1, **order})
        self.answer(201, ORDERS[-1])

    def answer(self, status: int, content: object) -> None:
        """Send JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Stay silent: the spans are the log."""


if __name__ == "__main__":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = ThreadingHTTPServer(("127.0.0.1", 0), Shop)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    print(server.server_address[1], flush=True)
    server.serve_forever()
