# SPDX-License-Identifier: Apache-2.0
"""Records become OTLP: spans, log events, own metrics. The only room that talks to a collector.

names       every name this agent may emit; catalogue describes them, docs/telemetry.md is rendered from it
resource    whose telemetry it is: the observed workload's resource, the agent's own
spans       Record -> encoded span; uploads: UploadOutcome -> encoded span; logs: log events
otlp        the wire: own encoder, transports, retries, the spool
batching    encoded items wait here until a request is full or due
exporting   Telemetry, the facade that the agent builds

Importing this package costs nothing; the SDK (own metrics), gRPC and JSON are imported when asked for.
"""
