"""Answers messages, on s2n, a thread a connection."""

import socket
import sys
import threading
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import answer, read_line
from tests.support.programs.s2n_end import SERVER, End, configuration

config = configuration(0, sys.argv[1], sys.argv[2])


def serve(plain: socket.socket) -> None:
    end, held = End(plain, config, SERVER), bytearray()
    while data := end.read(65536):
        held += data
        while stop := held.find(b"\n") + 1:
            asked = read_line(bytes(held[:stop]))
            if len(held) < stop + asked.size:
                break
            del held[: stop + asked.size]
            end.write_one(answer(plain.getsockname()[1], plain.getpeername()[1], asked).encode())
    end.close()


listener = socket.create_server(("127.0.0.1", 0), backlog=512)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
