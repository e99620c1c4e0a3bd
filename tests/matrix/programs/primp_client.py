"""Sends messages as bodies of POST requests, by primp, which has rustls, a thread a connection."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import primp

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import read_messages, request

PORT, CA, CONNECTIONS, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])


def talk(token: int) -> None:
    client = primp.Client(ca_cert_file=CA)
    for sequence in range(ROUNDS):
        asked = request(0, 0, token, sequence)
        (got,) = read_messages(client.post(f"https://localhost:{PORT}/", content=asked.encode()).content)
        assert (got.token, got.sequence, got.size) == (token, sequence, asked.answer)


print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(8) as pool:
    list(pool.map(talk, range(CONNECTIONS)))
