"""Sends messages and checks the answers, by trio."""

import ssl
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import read_messages, request

PORT, CA, CONNECTIONS, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


async def talk(token: int) -> None:
    context = ssl.create_default_context(cafile=CA)
    context.minimum_version = context.maximum_version = VERSIONS[token % 2]
    plain = await trio.open_tcp_stream("127.0.0.1", PORT)
    stream = trio.SSLStream(plain, context, server_hostname="localhost", https_compatible=True)
    local, remote = plain.socket.getsockname()[1], plain.socket.getpeername()[1]
    for sequence in range(ROUNDS):
        asked = request(local, remote, token, sequence)
        await stream.send_all(asked.encode())
        held = bytearray()
        while held.count(b"\n") == 0 or len(held) < held.index(b"\n") + 1 + asked.answer:
            held += await stream.receive_some()
        (got,) = read_messages(bytes(held))
        assert got == (remote, local, token, sequence, asked.answer, 0)
    await stream.aclose()


async def main() -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    async with trio.open_nursery() as nursery:
        for token in range(CONNECTIONS):
            nursery.start_soon(talk, token)


trio.run(main)
