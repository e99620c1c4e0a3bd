"""Answers messages, by asyncio; with `uvloop` as third argument by that loop."""

import asyncio
import ssl
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import answer, read_line


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    local, remote = (writer.get_extra_info(name)[1] for name in ("sockname", "peername"))
    while line := await reader.readline():
        asked = read_line(line)
        await reader.readexactly(asked.size)
        writer.write(answer(local, remote, asked).encode())
        await writer.drain()
    writer.close()


async def main() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(sys.argv[1], sys.argv[2])
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context, backlog=512)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if sys.argv[3:] == ["uvloop"]:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
