# SPDX-License-Identifier: Apache-2.0
"""What the protocols count, as a snapshot."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProtocolStatistics:
    """Counters since start, and the present state. Mappings are by protocol name."""

    connections: int
    """Connections known now."""
    conversations: int
    """Connections that speak a known protocol now."""
    buffered_body_bytes: int
    """Body bytes kept now for messages and exchanges that are not over."""
    exchanges: Mapping[str, int]
    unpaired_responses: Mapping[str, int]
    """Responses to requests that were not seen (among ``exchanges``)."""
    malformed_messages: Mapping[str, int]
    truncated_heads: Mapping[str, int]
    """Heads beyond the limit of length."""
    skipped_bytes: Mapping[str, int]
    """Bytes that belong to no message: looked through for the next one after loss or broken input."""
    cut_body_bytes: Mapping[str, int]
    """Content bytes not kept because of a limit or behind a gap (counted in ``size`` all the same)."""
    refused_body_bytes: int
    """Of those, what the limit of all conversations together cut."""
    opaque_bytes: int
    """Bytes of connections that no protocol claims; not stored."""
    opaque_connections: int
    protocol_switches: int
    """Connections that went on in another protocol (Upgrade, CONNECT)."""
    forgotten_connections: int
    """Connections dropped here because too many were known."""
