# SPDX-License-Identifier: Apache-2.0
"""Which protocols there are, in the order in which they are asked."""

from collections.abc import Callable

from otel_qtap.protocols.base import ProtocolSpec
from otel_qtap.protocols.http1 import HttpOptions, new_http1

PROTOCOLS: tuple[Callable[[HttpOptions], ProtocolSpec], ...] = (new_http1,)


def new_protocols(http: HttpOptions) -> tuple[ProtocolSpec, ...]:
    """All protocols, with these allow-lists: what Dispatcher wants."""
    return tuple(new_protocol(http) for new_protocol in PROTOCOLS)
