# SPDX-License-Identifier: Apache-2.0
"""Supervisor and pipeline over a real socket pair, with facts as hostile processes make them."""

import os
import socket
from collections.abc import Iterator
from dataclasses import replace

import pytest

from otel_qtap.agent.coverage.judging import Judgement, Reason, State
from otel_qtap.agent.coverage.speakers import Judged
from otel_qtap.agent.messages import (
    Channel,
    coverage_message,
    log_message,
    probes_message,
    process_message,
    read_facts,
    selectors_message,
)
from otel_qtap.discovery.environment import MAX_DECLARED, MAX_KEY, MAX_VALUE
from otel_qtap.discovery.selectors import Selectors
from otel_qtap.model.identity import ContainerFacts, PodFacts, ProcessFacts, ProcessId
from otel_qtap.settings import load_settings

Pair = tuple[Channel, Channel]

FACTS = ProcessFacts(
    process=ProcessId(42, 1_234_567_890),
    command="curl",
    executable="/usr/bin/curl",
    command_line=("curl", "--user", "alice:secret"),
    parent_pid=7,
    user_id=1000,
    user_name="alice",
    container_id="0" * 64,
    service_name="shop",
    service_namespace="eu",
    service_version="1.2",
    declared=(("region", "eu"),),
    container=ContainerFacts(name="web", image_digests=("a", "b"), labels=(("team", "shop"),)),
    pod=PodFacts(uid="u", owners=(("deployment", "web"),)),
)


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channels = Channel(ours), Channel(theirs)
    yield channels
    for channel in channels:
        channel.close()


def test_facts_arrive_without_the_command_line(pair: Pair) -> None:
    pair[0].send(process_message(FACTS, allowed=True))
    (message,), _, alive = pair[1].receive()

    received = read_facts(message)
    assert alive
    assert message["allowed"] is True
    assert "secret" not in str(message)
    assert received == replace(FACTS, command_line=())


@pytest.mark.parametrize("character", ["a", "\x01", "\udcff", "\U0001f600", '"'])
def test_texts_that_a_process_chose_fit_a_message_and_are_unicode(pair: Pair, character: str) -> None:
    text = character * (1 << 20)
    pairs = tuple((text, text) for _ in range(MAX_DECLARED))
    hostile = ProcessFacts(
        process=FACTS.process,
        command=text,
        executable=text,
        user_name=text,
        unit=text,
        container_id=text,
        container=ContainerFacts(
            runtime=text, name=text, image=text, image_id=text, image_digests=(text,) * 4, labels=pairs[:16]
        ),
        pod=PodFacts(uid=text, name=text, namespace=text, node=text, container=text, owners=pairs[:6]),
        declared=tuple((key[:MAX_KEY], value[:MAX_VALUE]) for key, value in pairs),
        service_name=text,
        service_namespace=text,
        service_version=text,
        service_instance_id=text,
    )
    pair[0].send(process_message(hostile, allowed=True))
    (message,), _, alive = pair[1].receive()

    assert alive
    received = read_facts(message)
    for name in ("command", "executable", "service_name", "service_version"):
        value = getattr(received, name)
        assert value.encode()  # raises for what is no Unicode
        assert len(value) <= 2048
    assert len(received.declared) == MAX_DECLARED
    assert received.container
    assert "\x01" not in received.container.name


def test_facts_of_an_older_recording_are_read() -> None:
    old = {"process": [42, 7], "command": "curl", "service_name": "shop", "container_id": ""}
    facts = read_facts({"facts": old})
    assert (facts.process, facts.declared, facts.container, facts.pod) == (ProcessId(42, 7), (), None, None)


def test_descriptors_ride_along(pair: Pair) -> None:
    reading, writing = os.pipe()
    pair[0].send({"kind": "rings"}, [writing])
    os.close(writing)
    (message,), descriptors, _ = pair[1].receive()

    os.write(descriptors[0], b"through the other end")
    assert message == {"kind": "rings"}
    assert os.read(reading, 100) == b"through the other end"
    os.close(descriptors[0])
    os.close(reading)


def test_what_a_slow_reader_leaves_waits_its_turn(pair: Pair) -> None:
    for number in range(2000):
        pair[0].send({"kind": "process", "number": number, "padding": "x" * 1000})

    numbers: list[int] = []
    while len(numbers) < 2000:
        messages, _, alive = pair[1].receive()
        assert alive
        assert messages, "nothing came although something waits"
        numbers += [message["number"] for message in messages]
        pair[0].flush()
    assert numbers == list(range(2000))


def test_an_end_that_is_gone_is_noticed_by_its_reader_and_harms_no_sender(pair: Pair) -> None:
    pair[0].close()

    pair[1].send({"kind": "running"})
    assert pair[1].receive() == ([], [], False)


def test_what_was_sent_before_the_end_is_still_received(pair: Pair) -> None:
    pair[0].send({"kind": "stop"})
    pair[0].close()

    assert pair[1].receive() == ([{"kind": "stop"}], [], False)


@pytest.mark.parametrize("said", [b"\xff not JSON", b"[" * 100_000, b'{"kind": "running"}'])
def test_the_supervisor_hears_that_the_pipeline_spoke_whatever_it_said(said: bytes) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    channel = Channel(ours)
    assert not channel.has_spoken()
    theirs.send(said)

    assert channel.has_spoken()
    assert not channel.has_spoken()
    theirs.close()
    assert not channel.has_spoken()
    channel.close()


def test_descriptors_that_the_pipeline_sends_do_not_pile_up_in_the_supervisor(pair: Pair) -> None:
    before = len(os.listdir("/proc/self/fd"))  # noqa: PTH208
    for _ in range(20):
        pair[1].send({"kind": "running"}, [0, 1, 2])

    assert pair[0].has_spoken()
    assert len(os.listdir("/proc/self/fd")) == before  # noqa: PTH208


def test_a_flood_from_the_pipeline_keeps_the_supervisor_for_a_moment_only(pair: Pair) -> None:
    for _ in range(100):
        pair[1].send({"kind": "running"})

    assert pair[0].has_spoken()
    assert pair[0].has_spoken(), "the rest was left for the next turn"


def test_selectors_are_the_same_on_the_other_side() -> None:
    chosen = {"OTEL_QTAP_CAPTURE_INCLUDE": "curl,user=alice", "OTEL_QTAP_CAPTURE_EXCLUDE": "comm=x"}
    message = selectors_message(load_settings(chosen))

    assert Selectors.parse(message["include"], message["exclude"]) == Selectors.parse(
        "exe=curl,user=alice", "comm=x"
    )


def test_reasons_that_a_file_name_makes_long_are_cut(pair: Pair) -> None:
    pair[0].send(probes_message(probes="x" * 1_000_000, tracepoints=""))
    pair[0].send(log_message("debug", "json"))
    messages, _, alive = pair[1].receive()

    assert alive
    assert len(messages[0]["probes"]) < 10_000
    assert messages[1] == {"kind": "log", "level": "debug", "form": "json"}


def test_a_judgement_about_hostile_names_is_bounded_and_arrives(pair: Pair) -> None:
    judged = Judged(
        pid=3,
        start_time_ns=4,
        command="\x1b[31m\udcff",
        user_id=5,
        judgement=Judgement(State.UNCAPTURED, Reason.REFUSED, "openssl", "\udcff\n" * 50_000),
    )
    pair[0].send(coverage_message(judged, is_news=True))
    (message,), _, _ = pair[1].receive()
    assert (message["process"], message["state"], message["reason"]) == ([3, 4], "uncaptured", "refused")
    assert (message["is_news"], message["has_ended"], message["library"]) == (True, False, "openssl")
    assert len(message["detail"]) == 2048
    assert set(message["detail"]) == {"?"}
    assert message["command"] == "?[31m?"
