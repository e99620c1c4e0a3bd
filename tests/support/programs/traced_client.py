# SPDX-License-Identifier: Apache-2.0
"""HTTPS client that traces itself with the OpenTelemetry SDK, as an instrumented service does.

Makes one request per PATH, each in a CLIENT span of its own whose context it sends as ``traceparent``,
and exports to OTEL_EXPORTER_OTLP_ENDPOINT by OTLP over HTTP.
"""

import http.client
import os
import ssl
import sys
import urllib.request
from collections.abc import Sequence
from urllib.parse import urlsplit

from opentelemetry.exporter.otlp.proto.common.trace_encoder import encode_spans
from opentelemetry.propagate import inject
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanKind, Status, StatusCode


class Exporter(SpanExporter):
    """Posts protobuf; any failure ends the program with a traceback."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        request = urllib.request.Request(
            os.environ["OTEL_EXPORTER_OTLP_ENDPOINT"] + "/v1/traces",
            data=encode_spans(spans).SerializeToString(),
            headers={"content-type": "application/x-protobuf"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 200
        return SpanExportResult.SUCCESS


def main(url: str, ca: str, *paths: str) -> None:
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Exporter()))
    tracer = provider.get_tracer("traced_client")
    server = urlsplit(url)
    context = ssl.create_default_context(cafile=ca)
    connection = http.client.HTTPSConnection(server.hostname or "", server.port, context=context, timeout=30)
    for path in paths:
        with tracer.start_as_current_span("GET", kind=SpanKind.CLIENT) as span:
            fields: dict[str, str] = {}
            inject(fields)
            connection.request("GET", path, headers=fields)
            response = connection.getresponse()
            response.read()
            if response.status >= 400:
                span.set_status(Status(StatusCode.ERROR))
    provider.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
