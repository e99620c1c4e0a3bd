"""Sends messages in pieces and checks the answers, on s2n, a thread a connection."""

import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import read_messages, request
from tests.support.programs.s2n_end import CLIENT, End, configuration

PORT, CONNECTIONS, ROUNDS = int(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4])


def talk(token: int) -> None:
    plain = socket.create_connection(("127.0.0.1", PORT))
    local, remote = plain.getsockname()[1], plain.getpeername()[1]
    end = End(plain, configuration(12 + token % 2), CLIENT)
    for sequence in range(ROUNDS):
        asked = request(local, remote, token, sequence)
        message = asked.encode()
        end.write([message[:7], b"", message[7:]])
        held = b""
        while b"\n" not in held or len(held) < held.index(b"\n") + 1 + asked.answer:
            held += end.read(65536)
        (got,) = read_messages(held)
        assert got == (remote, local, token, sequence, asked.answer, 0)
    end.close()


print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(CONNECTIONS) as pool:
    list(pool.map(talk, range(CONNECTIONS)))
