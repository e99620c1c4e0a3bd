# SPDX-License-Identifier: Apache-2.0
"""HTTPS client on ``http.client``: one request; the body comes from and the answer goes to a file."""

import argparse
import http.client
import ssl
from pathlib import Path
from urllib.parse import urlsplit


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("method")
    parser.add_argument("url")
    parser.add_argument("ca")
    parser.add_argument("answer", type=Path)
    parser.add_argument("--body", type=Path)
    parser.add_argument("--header", action="append", default=[])
    options = parser.parse_args()
    url = urlsplit(options.url)
    context = ssl.create_default_context(cafile=options.ca)
    connection = http.client.HTTPSConnection(url.hostname or "", url.port, context=context, timeout=60)
    target = url.path + (f"?{url.query}" if url.query else "")
    fields = dict(field.split(": ", 1) for field in options.header)
    body = options.body.read_bytes() if options.body else None
    connection.request(options.method, target, body, fields)
    response = connection.getresponse()
    options.answer.write_bytes(response.read())
    print(response.status)
    connection.close()


if __name__ == "__main__":
    main()
