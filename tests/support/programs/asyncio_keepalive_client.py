# SPDX-License-Identifier: Apache-2.0
"""As keepalive_client.py, by asyncio: the TLS object never sees its socket."""

import asyncio
import ssl
import sys


async def main() -> None:
    port, ca = int(sys.argv[1]), sys.argv[2]
    context = ssl.create_default_context(cafile=ca)
    reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
    print("connected", flush=True)
    while line := await asyncio.to_thread(sys.stdin.readline):
        writer.write(f"GET {line.strip()} HTTP/1.1\r\nHost: localhost:{port}\r\n\r\n".encode())
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length:")[2].split()[0])
        await reader.readexactly(length)
        print(head.split()[1].decode(), flush=True)


asyncio.run(main())
