# SPDX-License-Identifier: Apache-2.0
"""A Flask service over TLS: ``POST /orders`` answers with what it was sent, backwards.

Prints its port when it listens. With ``--sdk`` it sets up the SDK in code, and the instrumentation of Flask;
``--traces-endpoint`` then says in code, not in the environment, where spans go.
"""

import argparse
import ssl

from flask import Flask, request
from werkzeug.serving import WSGIRequestHandler, make_server


class QuietHandler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_request(self, *_: object) -> None:
        """Stay silent."""


def new_app() -> Flask:
    app = Flask("orders")

    @app.post("/orders")
    def orders() -> bytes:
        return request.get_data()[::-1]

    return app


def set_up_sdk(app: Flask, endpoint: str | None) -> None:
    from opentelemetry import trace
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.instrumentation.flask import FlaskInstrumentor
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint)))
    trace.set_tracer_provider(provider)
    FlaskInstrumentor().instrument_app(app)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("certificate")
    parser.add_argument("key")
    parser.add_argument("--sdk", action="store_true")
    parser.add_argument("--traces-endpoint")
    options = parser.parse_args()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(options.certificate, options.key)
    app = new_app()
    if options.sdk:
        set_up_sdk(app, options.traces_endpoint)
    server = make_server(
        "127.0.0.1", 0, app, threaded=True, ssl_context=context, request_handler=QuietHandler
    )
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
