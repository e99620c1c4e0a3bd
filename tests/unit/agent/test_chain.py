# SPDX-License-Identifier: Apache-2.0
"""Real rooms from the ring's bytes on; only what stands in for disk and collector is the test's own."""

import gc
import tracemalloc
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import pytest

from otel_qtap.agent.chain import BATCH_EXCHANGES, FACTS_WAIT_NS, Chain
from otel_qtap.agent.workloads import Workloads
from otel_qtap.capture.decode import Decoder
from otel_qtap.classification.engine import ClassificationEngine
from otel_qtap.correlation.correlator import Correlator, TraceMode
from otel_qtap.correlation.derivation import derive
from otel_qtap.correlation.sampling import new_sampler
from otel_qtap.handshake.facts import summary_of
from otel_qtap.handshake.table import HandshakeTable
from otel_qtap.model.classified import ClassifiedExchange
from otel_qtap.model.events import ProcessExited
from otel_qtap.model.handshake import HandshakeFacts
from otel_qtap.model.identity import ConnectionContext, Direction, ProcessFacts, Role
from otel_qtap.model.record import Record, UploadOutcome
from otel_qtap.objectstore.own_requests import OwnRequests
from otel_qtap.protocols.dispatch import Dispatcher
from otel_qtap.protocols.http1 import HttpOptions
from otel_qtap.protocols.registry import new_protocols
from otel_qtap.reassembly.tracker import ConnectionTracker
from tests.support import tls_wire
from tests.support.kernel_records import KernelConnection

START_NS = 2_000_000_000
HELLO = tls_wire.record(tls_wire.message(1, tls_wire.client_hello([tls_wire.server_name(b"shop.example")])))
ANSWER = tls_wire.record(tls_wire.message(2, tls_wire.server_hello([])))
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Store:
    """Notes what it was given, in which portions, and what had been exported by then."""

    log: list[str]
    portions: list[int] = field(default_factory=list)

    def submit(self, exchanges: Iterable[ClassifiedExchange]) -> list[Record]:
        records = [
            Record(**{name: getattr(one, name) for name in Record.__slots__ if hasattr(one, name)})
            for one in exchanges
        ]
        self.portions.append(len(records))
        self.log.append("stored")
        return records

    def tick(self, now_ns: int) -> None:
        self.log.append("tick")

    def outcomes(self) -> list[UploadOutcome]:
        return []


@dataclass
class Exported:
    log: list[str]
    records: list[Record] = field(default_factory=list)
    closed: list[tuple[ConnectionContext, int, int]] = field(default_factory=list)
    handshakes: list[tuple[ConnectionContext, int | None, int]] = field(default_factory=list)
    told_facts: list[HandshakeFacts | None] = field(default_factory=list)

    def write(self, record: Record) -> None:
        self.records.append(record)
        self.log.append("exported")

    def write_outcome(self, outcome: UploadOutcome) -> None:
        raise AssertionError("nothing was uploaded")

    def handshake(
        self,
        context: ConnectionContext,
        started_ns: int | None,
        ended_ns: int,
        facts: HandshakeFacts | None,
    ) -> None:
        self.handshakes.append((context, started_ns, ended_ns))
        self.told_facts.append(facts)

    def connection_closed(
        self, context: ConnectionContext, timestamp_ns: int, reason: str, egress: int, ingress: int
    ) -> None:
        self.closed.append((context, egress, ingress))


class Agent:
    """A chain that is fed with records of the rings."""

    def __init__(
        self,
        tracker: ConnectionTracker | None = None,
        *,
        keep_otlp: bool = False,
        own: OwnRequests | None = None,
    ) -> None:
        log: list[str] = []
        self.log = log
        self.store = Store(log)
        self.exported = Exported(log)
        self.workloads = Workloads(lambda facts: facts.command != "excluded")
        self.decoder = Decoder()
        self.chain = Chain(
            now_ns=START_NS,
            workloads=self.workloads,
            handshakes=HandshakeTable(),
            tracker=tracker or ConnectionTracker(),
            dispatcher=Dispatcher(new_protocols(HttpOptions())),
            correlator=Correlator(
                propagators=["tracecontext"],
                mode=TraceMode.AUTO,
                sampler=new_sampler("always_on"),
                ignore_parent_sampling=False,
                adoption_limit=10,
                adoption_ns=1,
                random_bytes=lambda size: bytes(range(1, 26)) * size,
            ),
            classifier=ClassificationEngine(()),
            payloads=self.store,
            telemetry=self.exported,
            keep_otlp=keep_otlp,
            own=own,
        )

    def receive(self, *records: bytes) -> None:
        for record in records:
            self.decoder.decode(memoryview(record), 0, len(record))
        events, self.decoder.events = self.decoder.events, []
        self.chain.receive(events)

    def learn(self, connection: KernelConnection, service: str, *, allowed: bool = True) -> None:
        self.chain.learn(ProcessFacts(process=connection.process, service_name=service), allowed=allowed)

    @property
    def services(self) -> list[str]:
        return [record.connection.facts.service_name for record in self.exported.records]


@pytest.fixture
def agent() -> Agent:
    return Agent()


def exchange(connection: KernelConnection, body: bytes = b"") -> list[bytes]:
    request = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
    return [connection.data(Direction.INGRESS, request), connection.data(Direction.EGRESS, RESPONSE)]


def test_exchanges_of_one_read_are_stored_together_and_exported_in_order(agent: Agent) -> None:
    first, second = KernelConnection(1), KernelConnection(2)
    agent.learn(first, "web")
    agent.receive(*exchange(first), *exchange(second), *exchange(first))
    assert agent.log == ["stored", "exported", "exported", "exported"]
    assert [record.connection.id for record in agent.exported.records] == [first.id, second.id, first.id]
    assert agent.chain.exchanges == 3


def test_nothing_is_kept_beyond_the_read(agent: Agent) -> None:
    connection = KernelConnection(1)
    agent.learn(connection, "web")
    for number in range(3):
        agent.receive(*exchange(connection))
        assert len(agent.exported.records) == number + 1


def test_batches_are_bounded_by_number_and_by_bytes(agent: Agent) -> None:
    connection = KernelConnection(1)
    agent.learn(connection, "web")
    agent.receive(*(record for _ in range(BATCH_EXCHANGES + 1) for record in exchange(connection)))
    assert agent.store.portions == [BATCH_EXCHANGES, 1]
    agent.store.portions.clear()
    agent.receive(*(record for _ in range(4) for record in exchange(connection, b"x" * 600_000)))
    assert agent.store.portions == [2, 2]


def test_an_exchange_waits_for_the_facts_of_its_process(agent: Agent) -> None:
    connection = KernelConnection(1)
    agent.receive(*exchange(connection))
    agent.chain.tick(START_NS + FACTS_WAIT_NS // 2)
    assert agent.exported.records == []
    assert agent.chain.statistics().waiting == 1
    agent.learn(connection, "web")
    assert agent.services == ["web"]
    agent.receive(*exchange(connection))
    assert agent.services == ["web", "web"]


def test_an_exchange_whose_facts_never_come_goes_on_with_what_the_kernel_said(agent: Agent) -> None:
    connection = KernelConnection(1)
    agent.receive(*exchange(connection))
    agent.chain.tick(START_NS + FACTS_WAIT_NS + 1)
    assert agent.services == ["nginx"]
    assert agent.log == ["stored", "exported", "tick"]


def test_an_excluded_process_is_never_let_through(agent: Agent) -> None:
    connection = KernelConnection(1)
    agent.receive(*exchange(connection))
    agent.learn(connection, "web", allowed=False)
    agent.receive(*exchange(connection), connection.closed())
    assert agent.log == []
    assert agent.exported.closed == []
    assert agent.chain.statistics().excluded == 3


@pytest.mark.parametrize("allowed", [False, True])
def test_a_verdict_that_changes_holds_from_then_on(agent: Agent, allowed: bool) -> None:
    connection = KernelConnection(1)
    agent.learn(connection, "web", allowed=not allowed)
    agent.receive(*exchange(connection))
    agent.learn(connection, "renamed", allowed=allowed)
    agent.receive(*exchange(connection))
    assert agent.services == (["renamed"] if allowed else ["web"])


def test_a_handle_that_is_used_again_is_judged_again(agent: Agent) -> None:
    connection = KernelConnection(1)
    agent.learn(connection, "web")
    agent.receive(*exchange(connection), connection.closed())
    other = replace(KernelConnection(1), tgid=9)
    agent.learn(other, "other", allowed=False)
    agent.receive(*exchange(other))
    assert agent.services == ["web"]
    [(context, egress, ingress)] = agent.exported.closed
    assert (context.id, egress, ingress) == (
        connection.id,
        len(RESPONSE),
        connection.positions[Direction.INGRESS],
    )


def test_what_is_open_when_the_agent_stops_is_exported(agent: Agent) -> None:
    connection, unknown = KernelConnection(1), replace(KernelConnection(2), tgid=9)
    agent.learn(connection, "web")
    agent.receive(connection.data(Direction.INGRESS, b"GET / HTTP/1.1\r\n\r\n"), *exchange(unknown))
    assert agent.exported.records == []
    agent.chain.finish(START_NS + 1)
    assert sorted(agent.services) == ["nginx", "web"]
    assert agent.chain.open_connections == 0


def test_what_is_open_when_the_agent_stops_ends_with_its_totals(agent: Agent) -> None:
    connection = KernelConnection(1)
    agent.learn(connection, "web")
    agent.receive(*exchange(connection, b"abc"))
    agent.chain.finish(START_NS + 1)

    [(_, egress, ingress)] = agent.exported.closed
    assert egress == len(RESPONSE)
    assert ingress == connection.positions[Direction.INGRESS] > 0


def test_a_process_that_ends_takes_its_connections_along_and_no_others(agent: Agent) -> None:
    first, second = KernelConnection(1), KernelConnection(2)
    other = replace(KernelConnection(3), tgid=9)
    for connection in (first, other):
        agent.learn(connection, "web")
    for connection in (first, second, other):
        agent.receive(*exchange(connection))
    agent.chain.receive([ProcessExited(first.process, START_NS + 1)])

    assert agent.chain.open_connections == 1
    assert {context.id for context, _, _ in agent.exported.closed} == {first.id, second.id}
    agent.chain.receive([ProcessExited(first.process, START_NS + 2)])
    assert len(agent.exported.closed) == 2


def test_a_connection_that_was_idle_for_long_is_captured_again() -> None:
    agent = Agent(ConnectionTracker(idle_ns=1000))
    connection = KernelConnection(1)
    agent.learn(connection, "web")
    agent.receive(*exchange(connection))
    agent.chain.tick(START_NS + 10**12)
    assert agent.exported.closed == [], "the connection is still there"
    agent.receive(*exchange(connection, b"later"))

    assert agent.services == ["web", "web"]
    assert agent.exported.records[1].incomplete == ()


@pytest.mark.parametrize("keep", [False, True])
def test_telemetry_on_its_way_is_no_traffic_unless_it_is_wanted(keep: bool) -> None:
    agent = Agent(keep_otlp=keep)
    connection = KernelConnection(1)
    agent.learn(connection, "collector")
    export = b"POST /v1/traces HTTP/1.1\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"
    agent.receive(connection.data(Direction.INGRESS, export), connection.data(Direction.EGRESS, RESPONSE))
    assert len(agent.exported.records) == agent.chain.exchanges == keep
    assert agent.chain.statistics().otlp == (not keep)


@pytest.mark.parametrize(("own", "kept"), [(OwnRequests("store", "", "https://s3:9000"), 0), (None, 1)])
def test_another_agents_upload_makes_no_upload_and_is_counted(own: OwnRequests | None, kept: int) -> None:
    agent = Agent(own=own)
    connection = KernelConnection(1)
    agent.learn(connection, "s3")
    upload = (
        b"PUT /store/service.name%3Dshop/0001.warc.gz HTTP/1.1\r\nHost: s3:9000\r\n"
        b"User-Agent: Boto3/1.42 otel-qtap/0.0.1\r\nContent-Length: 4\r\n\r\nsome"
    )
    agent.receive(connection.data(Direction.INGRESS, upload), connection.data(Direction.EGRESS, RESPONSE))
    assert len(agent.exported.records) == agent.chain.exchanges == kept
    assert agent.chain.statistics().own == 1 - kept


def secret(number: int = 1) -> KernelConnection:
    """A connection whose client random is known, of a known process."""
    return KernelConnection(number, client_random=bytes([number]) * 16)


def names(agent: Agent) -> list[str]:
    """The servers' names that exchanges know of, as their connections tell them."""
    contexts = [record.connection for record in agent.exported.records]
    return [context.handshake.server_name if context.handshake else "" for context in contexts]


def test_a_handshake_that_a_call_was_about_is_told_with_what_it_agreed_on(agent: Agent) -> None:
    connection = secret()
    agent.learn(connection, "web")
    agent.receive(
        connection.handshake_bytes(Direction.INGRESS, HELLO),
        connection.handshake_bytes(Direction.EGRESS, ANSWER),
        connection.handshake(),
        *exchange(connection),
    )
    agent.chain.tick(connection.now_ns)
    agent.receive(connection.closed())

    [(context, started_ns, ended_ns)] = agent.exported.handshakes
    assert started_ns is not None
    assert ended_ns - started_ns == 2000
    assert context.handshake
    assert (context.handshake.server_name, context.handshake.version) == ("shop.example", "1.2")
    [facts] = agent.exported.told_facts
    assert facts
    assert summary_of(facts) == context.handshake
    assert facts.client_ja4
    assert names(agent) == ["shop.example"]
    assert agent.chain.open_connections == 0


def test_a_handshake_on_the_way_of_a_read_is_told_once_there_is_data(agent: Agent) -> None:
    connection = secret()
    agent.learn(connection, "web")
    agent.receive(connection.handshake_bytes(Direction.INGRESS, HELLO), *exchange(connection))
    assert agent.exported.handshakes == []
    for _ in range(3):
        agent.chain.tick(connection.now_ns)
    agent.receive(connection.closed())

    [(context, started_ns, ended_ns)] = agent.exported.handshakes
    assert (context.id, started_ns) == (connection.id, None)
    assert START_NS < ended_ns < connection.now_ns
    [facts] = agent.exported.told_facts
    assert facts
    assert facts.offered_ciphers == ("TLS_AES_128_GCM_SHA256",)


def test_a_short_connection_tells_its_handshake_before_its_end(agent: Agent) -> None:
    connection, empty = secret(1), secret(2)
    for one in (connection, empty):
        agent.learn(one, "web")
        agent.receive(one.handshake_bytes(Direction.INGRESS, HELLO))
    agent.receive(*exchange(connection), connection.closed(), empty.closed())
    assert [context.id for context, _, _ in agent.exported.handshakes] == [connection.id]
    assert len(agent.exported.closed) == 2


def test_what_comes_late_of_a_handshake_is_known_from_then_on(agent: Agent) -> None:
    connection = secret()
    agent.learn(connection, "web")
    agent.receive(*exchange(connection))
    agent.receive(connection.handshake_bytes(Direction.INGRESS, HELLO))
    assert names(agent) == [""], "nothing was seen of it when it was announced"

    other = secret(2)
    agent.receive(other.handshake_bytes(Direction.INGRESS, HELLO), *exchange(other))
    agent.receive(other.handshake_bytes(Direction.EGRESS, ANSWER), *exchange(other))
    contexts = [record.connection for record in agent.exported.records[1:]]
    assert [context.handshake and context.handshake.version for context in contexts] == ["", "1.2"]


def test_more_is_known_of_a_connection_and_its_handshake_stays(agent: Agent) -> None:
    connection = secret()
    agent.receive(connection.handshake_bytes(Direction.INGRESS, HELLO), *exchange(connection))
    agent.chain.tick(START_NS + 60 * 10**9)
    agent.learn(connection, "web")
    connection.role = Role.UNKNOWN  # told again
    agent.receive(*exchange(connection))
    assert names(agent) == ["shop.example"] * 2
    assert len(agent.exported.handshakes) == 1


def held_by_connections(hello: bytes, *, count: int) -> int:
    """Bytes of memory that open connections hold once their handshakes were told and are long ago."""
    agent = Agent()
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1, count + 1):
            connection = secret(number)
            agent.learn(connection, "web")
            agent.receive(connection.handshake_bytes(Direction.INGRESS, hello), connection.handshake())
        agent.chain.tick(connection.now_ns + 40_000_000_000)
        assert [facts and bool(facts.offered_ciphers) for facts in agent.exported.told_facts] == [
            True
        ] * count
        agent.exported.told_facts.clear()
        assert agent.chain.open_connections == count
        gc.collect()
        return tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()


def test_what_a_client_offers_is_kept_until_it_is_told() -> None:
    large = tls_wire.client_hello([tls_wire.server_name(b"shop.example")], ciphers=range(0x6000, 0x6700))
    held_by_connections(HELLO, count=2)  # what is made once
    small = held_by_connections(HELLO, count=50)
    assert held_by_connections(tls_wire.record(tls_wire.message(1, large)), count=50) < small + 50 * 100


def test_an_excluded_process_tells_no_handshake(agent: Agent) -> None:
    connection = secret()
    agent.learn(connection, "web", allowed=False)
    agent.receive(
        connection.handshake_bytes(Direction.INGRESS, HELLO), connection.handshake(), *exchange(connection)
    )
    agent.chain.tick(connection.now_ns)
    assert agent.exported.handshakes == []


@pytest.mark.parametrize(
    ("instrumentation", "allowed", "below_client"),
    [("", True, True), ("java_agent", True, False), ("java_agent", False, True)],
)
def test_what_is_known_of_a_client_here_says_below_what_its_server_stands(
    agent: Agent, instrumentation: str, allowed: bool, below_client: bool
) -> None:
    """One that is left out counts as one elsewhere: the address tells."""
    known = {"client_random": b"r" * 16, "from_handshake": True}
    client = KernelConnection(1, tgid=1, role=Role.CLIENT, **known)  # type: ignore[arg-type]
    server = KernelConnection(2, tgid=2, **known)  # type: ignore[arg-type]
    context = f"{1:032x}-{2:016x}"
    request = b"GET / HTTP/1.1\r\nHost: h\r\ntraceparent: 00-%s-01\r\n\r\n" % context.encode()
    agent.receive(client.data(Direction.EGRESS, request))
    facts = ProcessFacts(process=client.process, instrumentation=instrumentation)
    agent.chain.learn(facts, allowed=allowed)
    agent.learn(server, "web")
    agent.receive(server.data(Direction.INGRESS, request), server.data(Direction.EGRESS, RESPONSE))

    (record,) = agent.exported.records
    ids = derive(b"r" * 16, Role.CLIENT, 0)
    assert record.identity.trace_id == bytes.fromhex(context[:32])
    assert record.identity.span_id == ids.server_span_id
    assert (record.identity.parent_span_id == ids.client_span_id) == below_client
