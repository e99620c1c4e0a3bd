# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.0 and HTTP/1.1 (RFC 9110, RFC 9112). See README.md beside this file.

inference     is this HTTP/1, where does a message begin
heads         start line and fields, by llhttp
framing       how long is the body
chunked       the chunked coding
reader        one direction: bytes to messages
conversation  both directions: messages to pairs
exchanges     pairs to Exchanges
attributes    semantic conventions; target: URLs and their redaction; options: allow-lists
"""

from otel_qtap.protocols.base import Conversation, Opening, ProtocolSpec
from otel_qtap.protocols.http1.attributes import AttributeBuilder
from otel_qtap.protocols.http1.conversation import Http1Conversation
from otel_qtap.protocols.http1.exchanges import PROTOCOL, ExchangeBuilder
from otel_qtap.protocols.http1.inference import infer, search
from otel_qtap.protocols.http1.options import HttpOptions

__all__ = ["HttpOptions", "new_http1"]


def new_http1(options: HttpOptions) -> ProtocolSpec:
    """HTTP/1 with these allow-lists."""
    attributes = AttributeBuilder(options)

    def new_conversation(opening: Opening) -> Conversation:
        return Http1Conversation(opening, ExchangeBuilder(attributes))

    return ProtocolSpec(name=PROTOCOL, infer=infer, search=search, new_conversation=new_conversation)
