# SPDX-License-Identifier: Apache-2.0
"""OTLP 1.11: bytes in, bytes out.

wire             the protocol buffer wire format
attributes       KeyValue fragments, cached; limits
spans, logs      one Span, one LogRecord
requests         many of them as one Export…ServiceRequest; splitting one
target           where requests go, and how
transport        what an attempt to send came to; transport_http, transport_grpc, transport_console
spool            where encoded requests wait
sender           the thread that takes them there, again and again if need be
"""
