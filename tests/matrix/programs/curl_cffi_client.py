"""Sends messages as bodies of POST requests, by curl over BoringSSL, a thread a connection."""

import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from curl_cffi import CurlOpt, requests

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import read_messages, request

PORT, CA, CONNECTIONS, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
VERSIONS = (6 << 16 | 6, 7 << 16 | 7)  # CURL_SSLVERSION_TLSv1_2 and _MAX_; and of 1.3


def talk(token: int) -> None:
    options = {CurlOpt.SSLVERSION: VERSIONS[token % 2]}
    with requests.Session(verify=CA, http_version="v1", curl_options=options) as session:
        for sequence in range(ROUNDS):
            asked = request(0, 0, token, sequence)
            response = session.post(f"https://localhost:{PORT}/", data=asked.encode(), timeout=30)
            (got,) = read_messages(response.content)
            assert (got.token, got.sequence, got.size) == (token, sequence, asked.answer)


print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(CONNECTIONS) as pool:
    list(pool.map(talk, range(CONNECTIONS)))
