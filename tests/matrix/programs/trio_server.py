"""Answers messages, by trio."""

import ssl
import sys
from pathlib import Path

import trio

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import answer, read_line


async def serve(stream: trio.SSLStream) -> None:
    socket, held = stream.transport_stream.socket, bytearray()
    local, remote = socket.getsockname()[1], socket.getpeername()[1]
    while True:
        while (end := held.find(b"\n") + 1) == 0:
            data = await stream.receive_some()
            if not data:
                return
            held += data
        asked = read_line(bytes(held[:end]))
        while len(held) < end + asked.size:
            held += await stream.receive_some()
        del held[: end + asked.size]
        await stream.send_all(answer(local, remote, asked).encode())


async def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    (listener,) = await trio.open_ssl_over_tcp_listeners(
        0, context, host="127.0.0.1", backlog=512, https_compatible=True
    )
    print(listener.transport_listener.socket.getsockname()[1], flush=True)
    await trio.serve_listeners(serve, [listener])


trio.run(main)
