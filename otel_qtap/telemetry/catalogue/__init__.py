# SPDX-License-Identifier: Apache-2.0
"""Everything that this agent may emit, described; ``docs/telemetry.md`` is rendered from it.

types       what a description says
attributes  of resources, spans and links
tls         attributes about TLS, of spans and of the event of a handshake
events      log events and their attributes
metrics     the agent's own; one that is not described cannot be registered
markdown    the document

A test holds the document, and every name in the code, to what stands here.
"""
