# SPDX-License-Identifier: Apache-2.0
"""TLS handshakes, as far as they are in clear (RFC 5246, RFC 8446): bytes of a send or receive to facts.

table         which handshake belongs to which connection; bounded, with ages
facts         all that a handshake tells
sizes         how much memory that takes
records       records to handshake messages
wire          numbers and vectors within a message
extensions    the extensions of a hello
client_hello, server_hello, key_exchange, certificate   the messages
ja3, ja4      fingerprints of both ends
versions, ciphers, groups, grease, protocols   numbers and names

Whatever the bytes are, nothing raises: what cannot be read is absent.
"""
