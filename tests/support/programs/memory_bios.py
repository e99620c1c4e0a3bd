# SPDX-License-Identifier: Apache-2.0
"""TLS over memory BIOs, in every way that could lead an observer to the wrong socket.

    memory_bios.py MODE CERTIFICATE KEY CA [NUMBER]

Whatever an end says begins with the ports of its own socket, ``P<local>,<remote>;``.
"""

import os
import socket
import ssl
import sys
import threading
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")
MODE, CERTIFICATE, KEY, CA = sys.argv[1:5]
NUMBER = int(sys.argv[5]) if sys.argv[5:] else 1


def make_context(*, server: bool, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    if server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(CERTIFICATE, KEY)
    else:
        context = ssl.create_default_context(cafile=CA)
    context.minimum_version = context.maximum_version = version
    return context


class End:
    """One end of a TLS connection: the TLS object never sees the socket."""

    def __init__(self, plain: socket.socket, context: ssl.SSLContext, *, server: bool) -> None:
        self.plain, self._in, self._out = plain, ssl.MemoryBIO(), ssl.MemoryBIO()
        name = None if server else "localhost"
        self.tls = context.wrap_bio(self._in, self._out, server_side=server, server_hostname=name)
        self.tag = b"P%d,%d;" % (plain.getsockname()[1], plain.getpeername()[1])

    def flush(self) -> None:
        if data := self._out.read():
            self.plain.sendall(data)

    def run(self, call: Callable[..., Result], *arguments: object) -> Result:
        while True:
            try:
                result = call(*arguments)
            except ssl.SSLWantReadError:
                self.flush()
                data = self.plain.recv(65536)
                if not data:
                    raise
                self._in.write(data)
            else:
                self.flush()
                return result

    def say(self, words: bytes = b"") -> None:
        self.run(self.tls.write, self.tag + words)

    def hear(self) -> bytes:
        return self.run(self.tls.read, 65536)


def connected() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        return near, listener.accept()[0]


def shake(*ends: End) -> None:
    """Handshakes at the same time."""
    threads = [threading.Thread(target=end.run, args=(end.tls.do_handshake,)) for end in ends]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def pair(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[End, End]:
    near, far = connected()
    client = End(near, make_context(server=False, version=version), server=False)
    server = End(far, make_context(server=True, version=version), server=True)
    shake(client, server)
    return client, server


def converse(client: End, server: End) -> None:
    for _ in range(2):
        client.say(b"question")
        server.hear()
        server.say(b"answer")
        client.hear()


def both_ends() -> None:
    pairs = [pair((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)[n % 2]) for n in range(NUMBER)]
    for _ in range(3):
        for client, server in pairs:
            converse(client, server)


def serve() -> None:
    """Each connection in a thread, until there is no more input."""
    context, listener = make_context(server=True), socket.create_server(("127.0.0.1", 0), backlog=128)

    def talk(plain: socket.socket) -> None:
        end = End(plain, context, server=True)
        try:
            end.run(end.tls.do_handshake)
            while end.hear():
                end.say(b"answer")
        except (ssl.SSLError, OSError):
            plain.close()

    def accept() -> None:
        while True:
            threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


def one_after_the_other() -> None:
    """Short connections to the server at port NUMBER: objects come to lie where others were."""
    context = make_context(server=False)
    places = set()
    for _ in range(100):
        plain = socket.create_connection(("127.0.0.1", NUMBER))
        end = End(plain, context, server=False)
        end.run(end.tls.do_handshake)
        for _ in range(2):
            end.say()
            end.hear()
        places.add(id(end.tls))
        plain.close()
        del end, plain
    assert len(places) < 50, "objects were not placed anew"


def fork_after_the_handshake() -> None:
    client, server = pair()
    child = os.fork()
    if child == 0:
        for _ in range(3):
            server.hear()
            server.say(b"the child")
        os._exit(0)
    for _ in range(3):
        client.say()
        client.hear()
    assert os.waitpid(child, 0)[1] == 0
    print(child)


def relayed_pair() -> tuple[End, End]:
    """What the client sends goes through two more sockets of this very process before the server has it."""
    (near, entry), (way_out, far) = connected(), connected()

    def pump(source: socket.socket, target: socket.socket) -> None:
        while data := source.recv(65536):
            target.sendall(data)

    for ends in (entry, way_out), (way_out, entry):
        threading.Thread(target=pump, args=ends, daemon=True).start()
    client = End(near, make_context(server=False), server=False)
    server = End(far, make_context(server=True), server=True)
    shake(client, server)
    return client, server


def relay() -> None:
    converse(*relayed_pair())


def talk_to_another_in_a_callback() -> None:
    """While TLS functions run, callbacks of theirs write to some other TCP connection."""
    other_near, other_far = connected()
    near, far = connected()
    contexts = make_context(server=False), make_context(server=True)
    for context in contexts:
        context._msg_callback = lambda *_: other_near.sendall(b"a message went by")  # type: ignore[attr-defined]
    client, server = End(near, contexts[0], server=False), End(far, contexts[1], server=True)
    shake(client, server)
    assert other_far.recv(100)
    converse(client, server)


def close_before_the_last_words() -> None:
    """Objects outlive their sockets, whose memory goes to other connections meanwhile."""
    kept = [pair() for _ in range(NUMBER)]
    for client, server in kept:
        converse(client, server)
        client.plain.close()
        server.plain.close()
    after = [pair() for _ in range(NUMBER)]
    for client, server in kept:
        client.tls.write(client.tag + b"nobody reads this")
        server.tls.write(server.tag + b"nor this")
    for client, server in after:
        converse(client, server)


def read_after_the_end() -> None:
    """Two messages have come; one is read, then the socket is closed, then the other is read."""
    for _ in range(NUMBER):
        client, server = pair()
        client.say()
        server.hear()
        server.tls.write(server.tag + b"first")
        server.tls.write(server.tag + b"second")
        server.flush()
        assert client.run(client.tls.read, 65536).endswith(b"first")
        client.plain.close()
        assert client.tls.read(65536).endswith(b"second")


def when_told(pairs: list[tuple[End, End]]) -> None:
    """A round of each pair for each line of input."""
    print("ready", flush=True)
    for _ in sys.stdin:
        for client, server in pairs:
            converse(client, server)
        print("done", flush=True)


def meet_before() -> None:
    """Connected before anybody looks."""
    when_told([pair((ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)[n % 2]) for n in range(NUMBER)])


def meet_before_with_relays() -> None:
    when_told([relayed_pair() for _ in range(NUMBER)])


def resume() -> None:
    """Sessions are resumed: other randoms, the same secrets."""
    near_context, far_context = make_context(server=False), make_context(server=True)
    session = None
    for _ in range(5):
        near, far = connected()
        client = End(near, near_context, server=False)
        if session:
            client.tls = near_context.wrap_bio(
                client._in, client._out, server_hostname="localhost", session=session
            )
        server = End(far, far_context, server=True)
        shake(client, server)
        converse(client, server)
        session = client.tls.session
    assert client.tls.session_reused


MODES: dict[str, Callable[[], None]] = {
    mode.__name__: mode
    for mode in (
        both_ends, serve, one_after_the_other, fork_after_the_handshake, relay, talk_to_another_in_a_callback,
        close_before_the_last_words, meet_before, meet_before_with_relays,
        read_after_the_end, resume,
    )
}  # fmt: skip
if __name__ == "__main__":
    MODES[MODE]()
