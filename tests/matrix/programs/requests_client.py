"""Sends messages as bodies of POST requests and checks the answers, by requests, a thread a connection."""

import ssl
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests
from requests.adapters import HTTPAdapter

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from tests.matrix.messages import read_messages, request

PORT, CA, CONNECTIONS, ROUNDS = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


class OneVersion(HTTPAdapter):
    def __init__(self, version: ssl.TLSVersion) -> None:
        self.context = ssl.create_default_context(cafile=CA)
        self.context.minimum_version = self.context.maximum_version = version
        super().__init__()

    def init_poolmanager(self, *args: object, **kwargs: object) -> None:
        super().init_poolmanager(*args, **kwargs, ssl_context=self.context)


def talk(token: int) -> None:
    with requests.Session() as session:
        session.verify = CA
        session.mount("https://", OneVersion(VERSIONS[token % 2]))
        for sequence in range(ROUNDS):
            asked = request(0, 0, token, sequence)
            if sys.argv[5:] == ["empty"]:  # for servers that cannot make up a body
                asked = asked._replace(answer=0)
            target = f"https://localhost:{PORT}/?token={token}&sequence={sequence}"
            response = session.post(target, data=asked.encode(), timeout=30)
            (got,) = read_messages(response.content)
            assert (got.token, got.sequence, got.size) == (token, sequence, asked.answer)


print("ready", flush=True)
sys.stdin.readline()
with ThreadPoolExecutor(CONNECTIONS) as pool:
    list(pool.map(talk, range(CONNECTIONS)))
