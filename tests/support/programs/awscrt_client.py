# SPDX-License-Identifier: Apache-2.0
"""One HTTPS request by awscrt: URL CA ANSWER, the file that takes what comes."""

import sys
from pathlib import Path
from urllib.parse import urlsplit

from awscrt import http, io


def main() -> None:
    text, ca, answer = sys.argv[1:]
    url = urlsplit(text)
    host, port = url.hostname or "", url.port or 443
    options = io.TlsContextOptions()
    options.override_default_trust_store_from_path(ca_filepath=ca)
    tls = io.ClientTlsContext(options).new_connection_options()
    tls.set_server_name(host)
    bootstrap = io.ClientBootstrap(loops := io.EventLoopGroup(1), io.DefaultHostResolver(loops))
    connection = http.HttpClientConnection.new(
        host_name=host, port=port, bootstrap=bootstrap, tls_connection_options=tls
    ).result(30)
    statuses = []
    with Path(answer).open("wb") as file:
        stream = connection.request(
            http.HttpRequest("GET", url.path, http.HttpHeaders([("Host", f"{host}:{port}")])),
            lambda http_stream, status_code, headers, **_: statuses.append(status_code),
            lambda http_stream, chunk, **_: file.write(chunk),
        )
        stream.activate()
        stream.completion_future.result(30)
    connection.close().result(30)
    sys.exit(statuses != [200])


if __name__ == "__main__":
    main()
