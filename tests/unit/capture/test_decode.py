# SPDX-License-Identifier: Apache-2.0
import socket

from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.capture.decode import Decoder
from otel_qtap.capture.records import CONNECTION, CONNECTION_HEADER, DATA_HEADER, DATA_OFFSET, Kind
from otel_qtap.model.events import (
    ConnectionClosed,
    ConnectionObserved,
    DataCaptured,
    DirectionClosed,
    HandshakeCaptured,
    HandshakeCompleted,
    KernelEvent,
    ProcessExited,
)
from otel_qtap.model.identity import ConnectionId, Direction, Endpoint, PeerSource, ProcessId, Role

ID = ConnectionId(7, 1000, 0xABC, 5)


def connection(
    *,
    family: int = socket.AF_INET,
    role: int = 1,
    source: int = 1,
    flags: int = 1,
    library: int = 1,
    file: int = 0,
    client_random: bytes = bytes(16),
) -> bytes:
    local, remote = socket.inet_aton("10.0.0.1"), socket.inet_aton("10.0.0.2")
    if family == socket.AF_INET6:
        local = socket.inet_pton(family, "::ffff:10.0.0.1")
        remote = socket.inet_pton(family, "2001:db8::2")
    return CONNECTION.pack(
        1000, 0xABC, 5, 7, 33, local, remote, 40000, 443, family, file, role, source, library, flags,
        client_random, b"curl\0junk",
    )  # fmt: skip


def data(payload: bytes, *, position: int = 0, size: int | None = None, facts: bytes = b"") -> bytes:
    length = len(payload) if size is None else size
    header = DATA_HEADER.pack(Kind.DATA, 1, 200, 100, position, length, len(payload))
    return header + (facts or connection()) + payload + b"stale bytes of the ring"


def control(kind: Kind, reason: int = 0) -> bytes:
    return CONNECTION_HEADER.pack(kind, reason, 300, 250, 11, 22) + connection()


def decode(*records: bytes) -> list[KernelEvent]:
    decoder = Decoder()
    for record in records:
        decoder.decode(memoryview(b"\0" * 3 + record), 3, len(record))
    return decoder.events


def test_a_connection_is_announced_before_its_first_data_and_only_then() -> None:
    observed, first, second = decode(data(b"hello"), data(b"world", position=5))

    assert observed == ConnectionObserved(
        ID, 200, Role.CLIENT, Endpoint("10.0.0.1", 40000), Endpoint("10.0.0.2", 443),
        PeerSource.NESTED_SYSCALL, True, "curl", 33,
    )  # fmt: skip
    assert first == DataCaptured(ID, Direction.INGRESS, 0, 5, b"hello", 100, 200)
    assert second == DataCaptured(ID, Direction.INGRESS, 5, 5, b"world", 100, 200)


def test_what_becomes_known_later_is_announced_again() -> None:
    unbound = connection(family=0, role=0, source=0, flags=0)

    kinds = [type(event) for event in decode(data(b"a", facts=unbound), data(b"b"))]

    assert kinds == [ConnectionObserved, DataCaptured, ConnectionObserved, DataCaptured]


def test_a_connection_says_which_library_and_file_it_is_of_and_its_client_random() -> None:
    observed = decode(data(b"a", facts=connection(file=7, client_random=b"r" * 16)))[0]

    assert isinstance(observed, ConnectionObserved)
    assert (observed.tls_library, observed.file, observed.client_random) == ("openssl", 7, b"r" * 16)


def test_handshake_records_tell_whose_they_are_and_on_which_socket() -> None:
    facts = connection(client_random=b"r" * 16)
    header = DATA_HEADER.pack(Kind.HANDSHAKE_BYTES, 0, 200, 200, 17, 600, 5)

    assert decode(header + facts + b"\x16\x03\x01\x02\x00stale") == [
        HandshakeCaptured(
            ProcessId(7, 1000), 200, Role.CLIENT, Endpoint("10.0.0.1", 40000), Endpoint("10.0.0.2", 443),
            b"r" * 16, Direction.EGRESS, b"\x16\x03\x01\x02\x00", "curl", 33, 17,
        )
    ]  # fmt: skip


def test_an_unbound_connection_has_no_endpoints() -> None:
    observed = decode(data(b"a", facts=connection(family=0, role=0, source=0)))[0]

    assert isinstance(observed, ConnectionObserved)
    assert (observed.local, observed.remote, observed.peer_source) == (None, None, PeerSource.NONE)


def test_ipv4_in_ipv6_is_shown_as_ipv4() -> None:
    observed = decode(data(b"a", facts=connection(family=socket.AF_INET6)))[0]

    assert isinstance(observed, ConnectionObserved)
    assert (observed.local, observed.remote) == (Endpoint("10.0.0.1", 40000), Endpoint("2001:db8::2", 443))


def test_a_cut_copy_keeps_its_true_size() -> None:
    event = decode(data(b"abc", size=65536))[1]

    assert isinstance(event, DataCaptured)
    assert (event.size, event.data) == (65536, b"abc")


def test_control_events() -> None:
    events = decode(
        control(Kind.HANDSHAKE),
        control(Kind.DIRECTION_CLOSED, Direction.EGRESS),
        control(Kind.CONNECTION_CLOSED, 1),
    )[1:]

    assert events == [
        HandshakeCompleted(ID, 300, 250),
        DirectionClosed(ID, Direction.EGRESS, 11, 300),
        ConnectionClosed(ID, 300, "ssl_free", 11, 22),
    ]


def test_an_exit_names_the_process() -> None:
    assert decode(control(Kind.PROCESS_EXITED)) == [ProcessExited(ProcessId(7, 1000), 300)]


def test_a_closed_connection_is_forgotten() -> None:
    kinds = [type(event) for event in decode(data(b"a"), control(Kind.CONNECTION_CLOSED, 2), data(b"b"))]

    assert kinds.count(ConnectionObserved) == 2


@given(st.binary(min_size=0, max_size=400))
def test_any_record_is_decoded_or_counted(record: bytes) -> None:
    decoder = Decoder()

    decoder.decode(memoryview(record), 0, len(record))

    assert decoder.events or decoder.malformed == 1


@given(st.binary(min_size=DATA_OFFSET, max_size=DATA_OFFSET + 64), st.integers(0, 8))
def test_a_record_of_any_kind_never_raises(record: bytes, kind: int) -> None:
    decoder = Decoder()
    record = kind.to_bytes(4, "little") + record[4:]

    decoder.decode(memoryview(record), 0, len(record))

    assert decoder.events or decoder.malformed == 1


def test_what_was_said_of_positions_can_be_taken_back() -> None:
    """Facts that were seen before are not told again, so it takes a flag of its own."""
    records = [data(b"x", facts=connection(flags=flags)) for flags in (1, 3, 7)]
    observed = [event for event in decode(*records) if isinstance(event, ConnectionObserved)]

    assert [event.from_handshake for event in observed] == [False, True, False]
    assert all(event.handshake_seen for event in observed)
