# SPDX-License-Identifier: Apache-2.0
"""How much memory facts take: what strangers say decides it."""

from collections.abc import Iterator
from sys import getsizeof
from typing import Final

from otel_qtap.handshake.ciphers import CIPHER_NAMES
from otel_qtap.model.handshake import HandshakeFacts

_OVERHEAD_BYTES: Final = 640
"""The object itself and its fingerprints."""
_REFERENCE_BYTES: Final = 8
_SHARED: Final = frozenset(CIPHER_NAMES.values())


def size_of(facts: HandshakeFacts) -> int:
    """About how many bytes of memory ``facts`` take, if nothing else has the same strings."""
    items = len(facts.offered_ciphers) + len(facts.offered_protocols)
    return _OVERHEAD_BYTES + items * _REFERENCE_BYTES + sum(map(getsizeof, _own(facts)))


def _own(facts: HandshakeFacts) -> Iterator[str]:
    yield facts.server_name
    yield from facts.offered_protocols
    yield from (name for name in facts.offered_ciphers if name not in _SHARED)
    for each in (facts.client_certificate, facts.server_certificate):
        if each is not None:
            yield from (each.sha256, each.subject, each.issuer, each.not_before, each.not_after)
