# SPDX-License-Identifier: Apache-2.0
"""Bytes in order in, exchanges out. Sans-IO: no clock, no socket, no thread.

base       ProtocolSpec and Conversation: what a protocol is to the rest of the agent
registry   PROTOCOLS: which protocols there are, in the order in which they are asked
dispatch   Dispatcher: which protocol a connection speaks, and when that changes
semconv    names of span attributes by OpenTelemetry semantic conventions
http1/     HTTP/1.0 and HTTP/1.1

A protocol is one folder and one line in the registry. Bytes stay bytes until its ``attributes``
module, which alone decides what may be said of them; bad bytes never raise out of this room.
"""
