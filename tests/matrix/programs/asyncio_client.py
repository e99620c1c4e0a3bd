"""Sends messages and checks the answers, by asyncio; with `uvloop` as fifth argument by that loop."""

import asyncio
import os
import ssl
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import answer, read_line, request

PORT, CA, CONNECTIONS, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


async def talk(token: int) -> None:
    context = ssl.create_default_context(cafile=CA)
    context.minimum_version = context.maximum_version = VERSIONS[token % 2]
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", PORT, ssl=context, server_hostname="localhost"
    )
    local, remote = (writer.get_extra_info(name)[1] for name in ("sockname", "peername"))
    for sequence in range(ROUNDS):
        asked = request(local, remote, token, sequence)
        writer.write(asked.encode())
        got = read_line(await reader.readline())
        assert got == answer(remote, local, asked)
        await reader.readexactly(got.size)
    writer.close()
    await writer.wait_closed()


async def main() -> None:
    print("ready", flush=True)
    sys.stdin.readline()
    tokens = iter(range(CONNECTIONS))

    async def one_after_the_other() -> None:
        for token in tokens:
            await talk(token)

    at_once = int(os.environ.get("MATRIX_AT_ONCE", CONNECTIONS))
    await asyncio.gather(*(one_after_the_other() for _ in range(at_once)))


if sys.argv[5:] == ["uvloop"]:
    import uvloop

    uvloop.run(main())
else:
    asyncio.run(main())
