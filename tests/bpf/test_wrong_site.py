# SPDX-License-Identifier: Apache-2.0
"""A library that was located wrongly: what comes out of its functions is what goes over the wire."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from otel_qtap.agent.plaintext.page import Mark, PlaintextPage
from otel_qtap.agent.plaintext.watch import RANDOM_CONVERSATIONS, PlaintextWatch
from otel_qtap.agent.probed_files import ProbedFiles
from otel_qtap.capture.attach import Tracepoints
from otel_qtap.capture.decode import Decoder
from otel_qtap.capture.ring import RingBuffer
from otel_qtap.capture.session import KernelSession
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.plan import Cause, FilePlan, FileVerdict, LibraryPlan
from otel_qtap.discovery.scan import LibraryScanner
from otel_qtap.discovery.sites import probe_site
from otel_qtap.probes.registry import LIBRARIES
from otel_qtap.probes.spec import Hook, ProbeFunction
from tests.bpf.conftest import LIBSSL, new_session
from tests.bpf.test_openssl import start
from tests.support.pki import Pki, make_pki
from tests.support.tls_servers import running_raw_echo

pytestmark = pytest.mark.bpf

LIBCRYPTO = "/usr/lib/x86_64-linux-gnu/libcrypto.so.3"
OPENSSL = next(library for library in LIBRARIES if library.name == "openssl")

CLIENT = """
message = b"plain text of an application"
for _ in range(int(sys.argv[3])):
    with connect(sys.argv[1], sys.argv[2]) as tls:
        tls.sendall(message)
        assert receive(tls, len(message)) == message
"""


class OneFile(LibraryScanner):
    """Finds one file with a given plan."""

    def __init__(self, plan: LibraryPlan) -> None:
        super().__init__(LibraryLocator(None), roots=())
        self.plan = plan
        self.verdict = FileVerdict(path=plan.path, identity=plan.identity, libraries=(plan.library,))

    def ahead_of_need(self, take: Callable[[FilePlan], None]) -> None:
        take(FilePlan(path=self.plan.path, verdict=self.verdict, libraries=(self.plan,)))

    def verdicts(self, pid: int) -> tuple[FileVerdict, ...]:
        return (self.verdict,)


def right() -> LibraryPlan:
    return LibraryLocator(None).locate(LIBSSL)


def wrong() -> LibraryPlan:
    """What is written to a socket, taken for what SSL_write is given."""
    with ElfFile(LIBCRYPTO) as elf:
        function = elf.functions(["BIO_write"])["BIO_write"]
        probe = ProbeFunction(symbol="BIO_write", hook=Hook.WRITE, nargs=3, needs_return=True)
        site = probe_site(elf, function, probe, probe.cookie(OPENSSL.library_id), force_classic=True)
        assert site is not None
        return LibraryPlan(path=LIBCRYPTO, identity=elf.identity, library="openssl", sites=(site,))


class Watch:
    """A file that is probed and watched, as agent and pipeline do between them."""

    def __init__(self, session: KernelSession, plan: LibraryPlan) -> None:
        self.page = PlaintextPage()
        scanner = OneFile(replace(plan, by_code=True))
        self.files = ProbedFiles(session, scanner, plaintext=self.page)
        scanner.ahead_of_need(self.files._attach)
        self._watch = PlaintextWatch(self.page)
        maps = session.maps
        self._rings = (
            RingBuffer(maps["control_ring"], session.control_ring_bytes),
            RingBuffer(maps["data_ring"], session.data_ring_bytes),
        )
        self._decoder = Decoder()

    def read(self) -> None:
        for ring in self._rings:
            end = ring.producer_position
            while ring.consumer_position < end:
                ring.drain(self._decoder.decode, ring.size)
        self._watch.look(self._decoder.events)
        self._decoder.events = []


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return make_pki(tmp_path_factory.mktemp("pki"))


@pytest.mark.parametrize(
    ("plan", "expected"),
    [(right, Mark.PLAIN), (wrong, Mark.CIPHERTEXT)],
    ids=["right", "wrong"],
)
def test_only_what_brings_ciphertext_is_left(
    plan: Callable[[], LibraryPlan], expected: Mark, pki: Pki
) -> None:
    session = new_session("multi")
    tracepoints = Tracepoints(session)
    watch = Watch(session, plan())
    try:
        with running_raw_echo(pki) as server:
            client = start(CLIENT, server.port, pki.ca, RANDOM_CONVERSATIONS + 2)
            assert client.wait(60) == 0
        watch.read()
        assert watch.page.mark(1) == expected
        assert watch.files.leave_ciphertext() == (expected is Mark.CIPHERTEXT)
        (verdict,) = watch.files.verdicts(0)
        if expected is Mark.CIPHERTEXT:
            assert len(watch.files) == 0
            (left_out,) = verdict.left_out
            assert left_out.cause is Cause.PLAINTEXT
            assert "random" in left_out.reason
            assert verdict.libraries == ()
        else:
            assert len(watch.files) == 1
            assert verdict.libraries == ("openssl",)
    finally:
        watch.files.detach()
        tracepoints.detach()
        session.close()
