# SPDX-License-Identifier: Apache-2.0
"""The nouns that cross a door between two rooms: data only, no logic, no I/O.

identity    who talks to whom: processes, connections, endpoints, roles
events      what the kernel said: KernelEvent
stream      what was said in order: StreamEvent
exchange    one request and its response, raw: Exchange, Payload
trace       where a span stands in its trace: SpanIdentity
classified  what may leave the process: ClassifiedExchange, ClearedPayload, Finding
record      what telemetry may see: Record, ObjectRef (no payload byte can be named from here on)
"""
