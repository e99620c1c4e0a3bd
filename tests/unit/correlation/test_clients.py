# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.correlation.clients import Join, ObservedClients
from otel_qtap.model.identity import ConnectionContext, ConnectionId, Endpoint, Role

RANDOM = b"r" * 16


def connection(
    role: Role,
    *,
    local: str = "10.0.0.2",
    remote: str | None = "10.0.0.1",
    client_random: bytes = RANDOM,
    from_handshake: bool = True,
    tgid: int = 1,
) -> ConnectionContext:
    return ConnectionContext(
        id=ConnectionId(tgid, 2, 3, 4),
        role=role,
        local=Endpoint(local, 443),
        remote=Endpoint(remote, 50_000) if remote is not None else None,
        client_random=client_random,
        from_handshake=from_handshake,
    )


def expects(
    subject: ObservedClients, server: ConnectionContext, *, has_context: bool = False, evidence: str = ""
) -> bool:
    return subject.expects_span(server, lambda _: evidence, has_context=has_context)


@pytest.mark.parametrize(
    ("remote", "auto", "always"),
    [
        ("10.0.0.1", True, True),
        ("192.168.7.7", True, True),
        ("100.64.0.1", True, True),
        ("fd00::1", True, True),
        ("fe80::1", True, True),
        ("8.8.8.8", False, True),
        ("2606:4700::1111", False, True),
        ("127.0.0.1", False, False),
        ("::1", False, False),
        ("10.0.0.2", False, False),
        ("no address", False, False),
        (None, False, False),
    ],
)
def test_of_a_client_elsewhere_the_address_tells(remote: str | None, auto: bool, always: bool) -> None:
    server = connection(Role.SERVER, remote=remote)

    assert expects(ObservedClients(Join.AUTO), server) is auto
    assert expects(ObservedClients(Join.ALWAYS), server) is always
    assert expects(ObservedClients(Join.HEADERLESS), server) is auto


def test_of_a_client_here_its_own_connection_tells() -> None:
    subject = ObservedClients(Join.AUTO)
    server = connection(Role.SERVER, local="127.0.0.1", remote="127.0.0.1")
    assert not expects(subject, server)

    subject.observe(connection(Role.CLIENT, tgid=2))
    assert expects(subject, server)
    assert expects(subject, server, has_context=True)


def test_the_context_of_a_client_that_makes_spans_is_that_of_its_span() -> None:
    subject = ObservedClients(Join.AUTO)
    subject.observe(connection(Role.CLIENT, tgid=2))
    server = connection(Role.SERVER)

    assert not expects(subject, server, has_context=True, evidence="java_agent")
    assert expects(subject, server, evidence="java_agent"), "it did not know of this call, so ours is made"


def test_a_client_that_is_not_counted_from_its_handshake_has_no_derived_id() -> None:
    subject = ObservedClients(Join.AUTO)
    subject.observe(connection(Role.CLIENT, from_handshake=False))
    assert not expects(subject, connection(Role.SERVER))

    subject.observe(connection(Role.CLIENT, from_handshake=True))
    assert expects(subject, connection(Role.SERVER))


def test_headerless_leaves_contexts_alone() -> None:
    subject = ObservedClients(Join.HEADERLESS)
    subject.observe(connection(Role.CLIENT))
    assert expects(subject, connection(Role.SERVER))
    assert not expects(subject, connection(Role.SERVER), has_context=True)


def test_servers_and_what_has_no_random_are_no_clients() -> None:
    subject = ObservedClients(Join.AUTO)
    subject.observe(connection(Role.SERVER))
    subject.observe(connection(Role.CLIENT, client_random=b""))
    assert not expects(subject, connection(Role.SERVER, remote="127.0.0.1"))
    assert not expects(subject, connection(Role.SERVER, remote="127.0.0.1", client_random=b""))


def test_clients_in_use_are_remembered_longest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("otel_qtap.correlation.clients._MAX_CLIENTS", 2)
    subject = ObservedClients(Join.AUTO)
    first, second, third = (
        connection(Role.SERVER, remote="127.0.0.1", client_random=bytes([n]) * 16) for n in (1, 2, 3)
    )
    for n in (1, 2):
        subject.observe(connection(Role.CLIENT, client_random=bytes([n]) * 16))
    assert expects(subject, first)
    subject.observe(connection(Role.CLIENT, client_random=bytes([3]) * 16))

    assert expects(subject, first)
    assert expects(subject, third)
    assert not expects(subject, second)
