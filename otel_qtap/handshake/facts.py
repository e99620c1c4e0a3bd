# SPDX-License-Identifier: Apache-2.0
"""All that a handshake tells, from the pieces of it that were seen."""

from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from otel_qtap.handshake.certificate import certificate_facts, first_certificate
from otel_qtap.handshake.ciphers import CIPHER_NAMES, cipher_label
from otel_qtap.handshake.client_hello import ClientHello, read_client_hello
from otel_qtap.handshake.grease import without_grease
from otel_qtap.handshake.groups import GROUP_NAMES
from otel_qtap.handshake.ja3 import ja3, ja3s
from otel_qtap.handshake.ja4 import ja4, ja4s
from otel_qtap.handshake.key_exchange import curve_of
from otel_qtap.handshake.protocols import protocol_label
from otel_qtap.handshake.records import (
    CERTIFICATE,
    CLIENT_HELLO,
    SERVER_HELLO,
    SERVER_KEY_EXCHANGE,
    Message,
    handshake_messages,
)
from otel_qtap.handshake.server_hello import ServerHello, read_server_hello
from otel_qtap.handshake.versions import TLS_1_3, VERSION_NAMES
from otel_qtap.model.handshake import HandshakeFacts, HandshakeSummary

_MOST_CIPHERS: Final = 128
_MOST_PROTOCOLS: Final = 16
_MOST_REMEMBERED: Final = 256
"""Numbers, and bytes of names, in an offer that is remembered: few clients have half of it."""


class _Offer(NamedTuple):
    ja3: str
    ja4: str
    protocols: tuple[str, ...]
    protocols_omitted: int
    ciphers: tuple[str, ...]
    ciphers_omitted: int


class Opening(NamedTuple):
    """What the first ClientHello tells: the second answers a HelloRetryRequest."""

    offer: _Offer
    session_id: bytes
    server_name: str
    has_ticket: bool
    settled: bool
    """Nothing that comes later can change it."""


def read_opening(from_client: Iterable[bytes]) -> Opening | None:
    """The first ClientHello in pieces, of which each is the start of one send or receive, in order."""
    return _opening(_read(from_client))


def handshake_facts(
    from_client: Iterable[bytes],
    from_server: Iterable[bytes],
    *,
    timestamp_ns: int = 0,
    opening: Opening | None = None,
) -> HandshakeFacts:
    """The facts of one handshake; pieces are as above.

    ``timestamp_ns`` is when the last of them was seen, and ``opening`` what is known of the client's hello;
    None: read it.
    """
    client, server = _read(from_client), _read(from_server)
    opening, choice = opening or _opening(client), _server_hello(server)
    offer = opening.offer if opening else None
    their_certificate = _certificate(server)
    protocol, version = VERSION_NAMES.get(choice.version, ("", "")) if choice else ("", "")
    return HandshakeFacts(
        timestamp_ns=timestamp_ns,
        protocol=protocol,
        version=version,
        cipher=CIPHER_NAMES.get(choice.cipher, "") if choice and choice.cipher is not None else "",
        curve=_curve(choice, server),
        next_protocol=protocol_label(choice.protocols[0]) if choice and choice.protocols else "",
        resumed=_resumed(
            opening, choice, has_certificate=any(message.type == CERTIFICATE for message in server)
        ),
        server_name=opening.server_name if opening else "",
        offered_protocols=offer.protocols if offer else (),
        protocols_omitted=offer.protocols_omitted if offer else 0,
        offered_ciphers=offer.ciphers if offer else (),
        ciphers_omitted=offer.ciphers_omitted if offer else 0,
        client_ja3=offer.ja3 if offer else "",
        client_ja4=offer.ja4 if offer else "",
        server_ja3s=ja3s(choice) if choice else "",
        server_ja4s=ja4s(choice) if choice else "",
        client_certificate=certificate_facts(own) if (own := _certificate(client)) else None,
        server_certificate=certificate_facts(their_certificate) if their_certificate else None,
    )


def summary_of(facts: HandshakeFacts) -> HandshakeSummary:
    """The part that spans tell."""
    return HandshakeSummary(
        timestamp_ns=facts.timestamp_ns,
        protocol=facts.protocol,
        version=facts.version,
        cipher=facts.cipher,
        next_protocol=facts.next_protocol,
        resumed=facts.resumed,
        server_name=facts.server_name,
    )


def _offer(hello: ClientHello) -> _Offer:
    offered = hello._replace(session_id=b"", server_name="", has_ticket=False)
    is_usual = sum(map(len, (*_lists(hello), hello.protocols, *hello.protocols))) <= _MOST_REMEMBERED
    return _remembered_offer(offered) if is_usual else _read_offer(offered)


def _lists(hello: ClientHello) -> tuple[tuple[int, ...], ...]:
    return (
        hello.ciphers,
        hello.extensions,
        hello.groups,
        hello.point_formats,
        hello.signature_algorithms,
        hello.versions,
    )


def _read_offer(hello: ClientHello) -> _Offer:
    """Fingerprints of all that is offered, and names of as much of it as anybody offers in earnest."""
    ciphers = without_grease(hello.ciphers)
    return _Offer(
        ja3=ja3(hello),
        ja4=ja4(hello),
        protocols=tuple(map(protocol_label, hello.protocols[:_MOST_PROTOCOLS])),
        protocols_omitted=max(0, len(hello.protocols) - _MOST_PROTOCOLS),
        ciphers=tuple(map(cipher_label, ciphers[:_MOST_CIPHERS])),
        ciphers_omitted=max(0, len(ciphers) - _MOST_CIPHERS),
    )


# Clients of one kind offer the same each time: it is worked out and kept once.
_remembered_offer = lru_cache(maxsize=256)(_read_offer)


def _read(pieces: Iterable[bytes]) -> list[Message]:
    return [message for piece in pieces for message in handshake_messages(piece)]


def _opening(messages: list[Message]) -> Opening | None:
    for message in messages:
        if message.type == CLIENT_HELLO:
            hello = read_client_hello(message.body, whole=message.whole)
            return Opening(
                _offer(hello), hello.session_id, hello.server_name, hello.has_ticket, settled=message.whole
            )
    return None


def _server_hello(messages: list[Message]) -> ServerHello | None:
    for message in messages:
        if (
            message.type == SERVER_HELLO
            and not (hello := read_server_hello(message.body, whole=message.whole)).is_retry
        ):
            return hello
    return None


def _certificate(messages: list[Message]) -> bytes:
    for message in messages:
        if message.type == CERTIFICATE and (der := first_certificate(message.body)):
            return der
    return b""


def _curve(choice: ServerHello | None, messages: list[Message]) -> str:
    if choice is None:
        return ""
    group = choice.group
    if not group and "_ECDH" in CIPHER_NAMES.get(choice.cipher or 0, ""):
        group = next((curve_of(each.body) for each in messages if each.type == SERVER_KEY_EXCHANGE), 0)
    return GROUP_NAMES.get(group, "")


def _resumed(opening: Opening | None, choice: ServerHello | None, *, has_certificate: bool) -> bool | None:
    """Whether a session was taken up again (RFC 8446 section 2.2, RFC 5246 section 7.3, RFC 5077)."""
    if choice is None or not choice.whole:
        return None
    if choice.version >= TLS_1_3:
        return choice.has_pre_shared_key
    if has_certificate:
        return False
    if opening is None:
        return None
    if opening.session_id:
        return opening.session_id == choice.session_id
    # A ticket without a session id: what the server thinks of it shows in its next message.
    return None if opening.has_ticket else False
