"""Sends messages as bodies of POST requests, by curl over the wheel's own OpenSSL, a thread a connection."""

import sys
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path

import pycurl

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import read_messages, request

PORT, CA, CONNECTIONS, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
VERSIONS = (
    pycurl.SSLVERSION_TLSv1_2 | pycurl.SSLVERSION_MAX_TLSv1_2,
    pycurl.SSLVERSION_TLSv1_3 | pycurl.SSLVERSION_MAX_TLSv1_3,
)


def talk(token: int) -> None:
    handle = pycurl.Curl()
    handle.setopt(pycurl.CAINFO, CA)
    handle.setopt(pycurl.SSLVERSION, VERSIONS[token % 2])
    handle.setopt(pycurl.URL, f"https://localhost:{PORT}/")
    handle.setopt(pycurl.HTTPHEADER, ["Expect:", "Content-Type: text/plain"])
    for sequence in range(ROUNDS):
        asked, answer = request(0, 0, token, sequence), BytesIO()
        body = asked.encode()
        handle.setopt(pycurl.POST, 1)
        handle.setopt(pycurl.POSTFIELDSIZE, len(body))
        handle.setopt(pycurl.COPYPOSTFIELDS, body)
        handle.setopt(pycurl.WRITEDATA, answer)
        handle.perform()
        (got,) = read_messages(answer.getvalue())
        assert (got.token, got.sequence, got.size) == (token, sequence, asked.answer)
    handle.close()


print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(CONNECTIONS) as pool:
    list(pool.map(talk, range(CONNECTIONS)))
