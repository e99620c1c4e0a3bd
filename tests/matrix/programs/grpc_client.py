"""Sends messages and checks the answers, by gRPC, a channel a connection."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import read_messages, request

PORT, CA, CONNECTIONS, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
OPTIONS = [("grpc.ssl_target_name_override", "localhost"), ("grpc.use_local_subchannel_pool", 1)]


def talk(token: int) -> None:
    credentials = grpc.ssl_channel_credentials(Path(CA).read_bytes())
    with grpc.secure_channel(f"127.0.0.1:{PORT}", credentials, OPTIONS) as channel:
        call = channel.unary_unary("/qtap.Matrix/Say")
        for sequence in range(ROUNDS):
            asked = request(0, 0, token, sequence)
            (got,) = read_messages(call(asked.encode(), timeout=30))
            assert (got.token, got.sequence, got.size) == (token, sequence, asked.answer)


print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(CONNECTIONS) as pool:
    list(pool.map(talk, range(CONNECTIONS)))
