# SPDX-License-Identifier: Apache-2.0
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.correlation.derivation import RANDOM_BYTES, Derivation, derive
from otel_qtap.model.exchange import Exchange, SpanKind
from otel_qtap.model.identity import ConnectionContext, ConnectionId, Role

CLIENT, SERVER, INTERNAL = SpanKind.CLIENT, SpanKind.SERVER, SpanKind.INTERNAL
RANDOM = bytes(range(RANDOM_BYTES))

randoms = st.binary(min_size=RANDOM_BYTES, max_size=RANDOM_BYTES)
senders = st.sampled_from([Role.CLIENT, Role.SERVER])
offsets = st.integers(0, 2**63)


def exchange(
    kind: SpanKind,
    role: Role,
    *,
    client_random: bytes = RANDOM,
    offset: int = 0,
    from_handshake: bool = True,
    tgid: int = 1,
) -> Exchange:
    connection = ConnectionContext(
        id=ConnectionId(tgid, 2, 3, 4), role=role, client_random=client_random, from_handshake=from_handshake
    )
    return Exchange(
        connection=connection,
        protocol="http",
        protocol_version="1.1",
        kind=kind,
        name="GET",
        start_ns=0,
        end_ns=1,
        attributes={},
        request=None,
        response=None,
        request_offset=offset,
    )


def test_the_scheme_is_what_the_documentation_says() -> None:
    """Other implementations rely on this: it changes with the label, or never."""
    said = b"otel-qtap/1\x00" + RANDOM + b"\x01" + b"\x00" + (300).to_bytes(8, "big")
    digest = hashlib.sha256(said).digest()

    assert derive(RANDOM, Role.CLIENT, 300) == (digest[:16], digest[16:24], digest[24:])
    assert derive(RANDOM, Role.CLIENT, 300).trace_id.hex() == "582c85fb4b48866f99c465d5148ad928"


@given(client_random=randoms, sender=senders, offset=offsets)
def test_both_ends_derive_the_same(client_random: bytes, sender: Role, offset: int) -> None:
    other = Role.SERVER if sender is Role.CLIENT else Role.CLIENT
    at_client = Derivation().ids(exchange(CLIENT, sender, client_random=client_random, offset=offset))
    at_server = Derivation().ids(exchange(SERVER, other, client_random=client_random, offset=offset))

    assert at_client == at_server == derive(client_random, sender, offset)
    assert at_client is not None
    trace_id, client_span_id, server_span_id = at_client
    assert (len(trace_id), len(client_span_id), len(server_span_id)) == (16, 8, 8)
    assert client_span_id != server_span_id


@given(
    one=st.tuples(randoms, senders, offsets),
    other=st.tuples(randoms, senders, offsets),
)
def test_what_differs_in_anything_differs_in_all_ids(
    one: tuple[bytes, Role, int], other: tuple[bytes, Role, int]
) -> None:
    if one != other:
        assert not set(derive(*one)) & set(derive(*other))


def test_neighbours_differ() -> None:
    ids = [derive(RANDOM, sender, offset) for sender in (Role.CLIENT, Role.SERVER) for offset in range(1000)]
    assert len({each for triple in ids for each in triple}) == 3 * len(ids)


@pytest.mark.parametrize(
    "unknown",
    [
        exchange(CLIENT, Role.CLIENT, client_random=b""),
        exchange(CLIENT, Role.CLIENT, client_random=b"short"),
        exchange(CLIENT, Role.CLIENT, offset=-1),
        exchange(CLIENT, Role.CLIENT, from_handshake=False),
        exchange(CLIENT, Role.UNKNOWN),
        exchange(SERVER, Role.UNKNOWN),
        exchange(INTERNAL, Role.CLIENT),
    ],
)
def test_nothing_is_derived_from_what_is_not_known(unknown: Exchange) -> None:
    assert Derivation().ids(unknown) is None


def test_a_connection_keeps_its_random_and_another_one_does_not_get_it() -> None:
    subject = Derivation()
    first, second = exchange(CLIENT, Role.CLIENT, tgid=1), exchange(CLIENT, Role.CLIENT, tgid=2)

    assert subject.ids(first) is not None
    assert subject.ids(second) is None
    assert subject.ids(first) is not None
    assert subject.reused == 1


def test_both_ends_of_a_connection_may_be_observed_by_one_agent() -> None:
    subject = Derivation()
    assert subject.ids(exchange(CLIENT, Role.CLIENT, tgid=1)) == subject.ids(
        exchange(SERVER, Role.SERVER, tgid=2)
    )


def test_what_is_remembered_of_connections_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_qtap.correlation.derivation._MAX_CONNECTIONS", 2)
    subject = Derivation()
    for number in range(3):
        subject.ids(exchange(CLIENT, Role.CLIENT, client_random=bytes([number + 1]) * RANDOM_BYTES))

    assert subject.ids(exchange(CLIENT, Role.CLIENT, client_random=b"\1" * RANDOM_BYTES, tgid=9)) is not None
    assert subject.ids(exchange(CLIENT, Role.CLIENT, client_random=b"\3" * RANDOM_BYTES, tgid=9)) is None
