"""Answers messages, by Twisted and pyOpenSSL."""

import sys
from pathlib import Path

from twisted.internet import protocol, reactor, ssl

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import answer, read_line


class Answering(protocol.Protocol):
    def connectionMade(self) -> None:  # noqa: N802
        self.held = bytearray()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self.held += data
        while end := self.held.find(b"\n") + 1:
            asked = read_line(bytes(self.held[:end]))
            if len(self.held) < end + asked.size:
                return
            del self.held[: end + asked.size]
            ports = self.transport.getHost().port, self.transport.getPeer().port
            self.transport.write(answer(*ports, asked).encode())


certificate, key = (Path(path).read_text() for path in sys.argv[1:3])
options = ssl.PrivateCertificate.loadPEM(certificate + key).options()
port = reactor.listenSSL(
    0, protocol.Factory.forProtocol(Answering), options, backlog=512, interface="127.0.0.1"
)
print(port.getHost().port, flush=True)
reactor.run()
