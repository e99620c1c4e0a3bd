# SPDX-License-Identifier: Apache-2.0
"""Requests on connections of their own, by http.client: plain_requests.py URL CA CONNECTIONS."""

import ssl
import sys
from http.client import HTTPSConnection
from urllib.parse import urlsplit

url, ca, connections = urlsplit(sys.argv[1]), sys.argv[2], int(sys.argv[3])
context = ssl.create_default_context(cafile=ca)
for number in range(connections):
    connection = HTTPSConnection("localhost", url.port, context=context)
    for sequence in range(3):
        padding = {"X-Padding": "x" * (1, 300, 20000)[sequence]}
        connection.request("GET", f"/{number}/{sequence}", headers=padding)
        assert connection.getresponse().read()
    connection.close()
