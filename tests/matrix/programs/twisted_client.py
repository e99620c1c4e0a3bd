"""Sends messages and checks the answers, by Twisted and pyOpenSSL."""

import sys
from pathlib import Path

from twisted.internet import _sslverify, protocol, reactor, ssl

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import read_messages, request

PORT, CA, CONNECTIONS, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
VERSIONS = (_sslverify.TLSVersion.TLSv1_2, _sslverify.TLSVersion.TLSv1_3)
left = set(range(CONNECTIONS))


class Asking(protocol.Protocol):
    def __init__(self, token: int) -> None:
        self.token, self.sequence, self.held = token, 0, bytearray()

    def connectionMade(self) -> None:  # noqa: N802
        self.ask()

    def ask(self) -> None:
        ports = self.transport.getHost().port, self.transport.getPeer().port
        self.asked = request(*ports, self.token, self.sequence)
        self.transport.write(self.asked.encode())

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.held += data
        end = self.held.find(b"\n") + 1
        if not end or len(self.held) < end + self.asked.answer:
            return
        (got,) = read_messages(bytes(self.held))
        assert got[2:5] == (self.token, self.sequence, self.asked.answer)
        self.held.clear()
        self.sequence += 1
        if self.sequence < ROUNDS:
            self.ask()
        else:
            self.transport.loseConnection()

    def connectionLost(self, reason: object = None) -> None:  # noqa: N802
        assert self.sequence == ROUNDS, reason
        left.discard(self.token)
        if not left:
            reactor.stop()


def start(token: int) -> None:
    root = ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(Path(CA).read_text())])
    version = VERSIONS[token % 2]
    options = ssl.optionsForClientTLS(
        "localhost",
        root,
        extraCertificateOptions={"insecurelyLowerMinimumTo": version, "lowerMaximumSecurityTo": version},
    )
    factory = protocol.ClientFactory()
    factory.buildProtocol = lambda _: Asking(token)
    reactor.connectSSL("127.0.0.1", PORT, factory, options)


print("ready", flush=True)
sys.stdin.readline()
for number in range(CONNECTIONS):
    start(number)
reactor.run()
