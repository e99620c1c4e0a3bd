# SPDX-License-Identifier: Apache-2.0
"""Requests by curl over BoringSSL: curl_cffi_client.py URL CA CONNECTIONS."""

import sys

from curl_cffi import requests

url, ca, connections = sys.argv[1], sys.argv[2], int(sys.argv[3])
for number in range(connections):
    with requests.Session(verify=ca, http_version="v1") as session:
        for size in (1, 300, 20000):
            body = f"<{number}:".encode() + b"x" * size + b">"
            answer = session.post(f"{url}/echo", data=body)
            assert answer.content == body, answer.content[:80]
