# SPDX-License-Identifier: Apache-2.0
"""Invariant: whatever stands in a handshake, nothing raises, no fact grows beyond what was sent, and what
is cut off is never described as something else.
"""

from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.handshake.facts import handshake_facts
from otel_qtap.model.handshake import HandshakeFacts
from tests.support.tls_wire import client_hello, message, record, server_hello, vector

MOST = 4096
NUMBERS = st.integers(0, 0xFFFF)
KINDS = st.sampled_from([0, 10, 11, 13, 16, 35, 41, 43, 51, 0x0A0A, 0xFF01]) | NUMBERS
# What an extension of the known ones may look like, or not.
CONTENT = (
    st.binary(max_size=60)
    | st.lists(NUMBERS, max_size=20).map(lambda all_: vector(2, b"".join(n.to_bytes(2) for n in all_)))
    | st.binary(max_size=20).map(lambda name: vector(2, b"\0" + vector(2, name)))
    | st.lists(st.binary(max_size=9), max_size=4).map(
        lambda all_: vector(2, b"".join(vector(1, n) for n in all_))
    )
)
EXTENSIONS = st.none() | st.lists(st.tuples(KINDS, CONTENT), max_size=12)
CLIENT = st.builds(
    client_hello,
    EXTENSIONS,
    ciphers=st.lists(NUMBERS, max_size=40),
    session_id=st.binary(max_size=32),
    version=NUMBERS,
)
SERVER = st.builds(
    server_hello, EXTENSIONS, cipher=NUMBERS, session_id=st.binary(max_size=32), version=NUMBERS
)
CERTIFICATE = st.binary(max_size=80).map(lambda der: vector(3, vector(3, der)))
MESSAGES = st.one_of(
    CLIENT.map(lambda body: message(1, body)),
    SERVER.map(lambda body: message(2, body)),
    CERTIFICATE.map(lambda body: message(11, body)),
    st.binary(max_size=40).map(lambda body: message(12, body)),
    st.binary(max_size=40),
)


@st.composite
def pieces(draw: st.DrawFn) -> bytes:
    data = b"".join(draw(st.lists(MESSAGES, min_size=1, max_size=4)))
    if draw(st.booleans()):
        step = draw(st.integers(1, len(data) or 1))
        data = b"".join(record(data[at : at + step]) for at in range(0, len(data), step))
    if draw(st.booleans()):
        at = draw(st.integers(0, len(data)))
        data = data[:at] + draw(st.binary(max_size=4)) + data[at + draw(st.integers(0, 4)) :]
    return data[: draw(st.integers(0, MOST))]


FLIGHTS = st.lists(pieces(), max_size=3)


def check_bounds(facts: HandshakeFacts, sent: int) -> None:
    offered = len(facts.offered_ciphers) + len(facts.offered_protocols)
    assert offered + facts.ciphers_omitted + facts.protocols_omitted <= sent
    assert len(facts.offered_ciphers) <= 128
    assert len(facts.offered_protocols) <= 16
    assert all(len(name) <= 64 for name in (facts.next_protocol, *facts.offered_protocols))
    assert len(facts.server_name) <= 255
    for certificate in (facts.client_certificate, facts.server_certificate):
        if certificate:
            assert len(certificate.sha256) == 64
            assert max(len(certificate.subject), len(certificate.issuer)) <= 1024
    texts = (facts.server_name, facts.next_protocol, *facts.offered_protocols)
    assert all(text.isprintable() for text in texts)


@given(FLIGHTS, FLIGHTS)
def test_nothing_raises_and_facts_are_bounded(from_client: list[bytes], from_server: list[bytes]):
    check_bounds(handshake_facts(from_client, from_server), sum(map(len, from_client)))


@given(st.binary(max_size=400), st.binary(max_size=400))
def test_noise_tells_nothing_that_it_does_not_say(from_client: bytes, from_server: bytes):
    check_bounds(handshake_facts([from_client], [from_server]), len(from_client))


@given(CLIENT, SERVER, st.data())
def test_what_is_cut_off_is_not_described_as_something_else(
    client: bytes, server: bytes, data: st.DataObject
):
    offer, answer = record(message(1, client)), record(message(2, server))
    whole = handshake_facts([offer], [answer])
    cut = handshake_facts(
        [offer[: data.draw(st.integers(0, len(offer) - 1))]],
        [answer[: data.draw(st.integers(0, len(answer) - 1))]],
    )
    assert (cut.client_ja3, cut.client_ja4, cut.server_ja3s, cut.server_ja4s) == ("", "", "", "")
    assert cut.offered_ciphers in {(), whole.offered_ciphers}
    assert cut.cipher in {"", whole.cipher}
    assert cut.resumed is None
