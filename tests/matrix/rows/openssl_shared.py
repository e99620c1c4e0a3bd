# SPDX-License-Identifier: Apache-2.0
"""OpenSSL as a shared library: the distribution's, and renamed copies in wheels."""

from collections.abc import Mapping, Sequence
from functools import partial

from tests.matrix.messages import request
from tests.matrix.protocols import Protocol
from tests.matrix.row import Place, Program, Row
from tests.matrix.runtimes import PROGRAMS, installed, python, wheels

SYSTEM = "OpenSSL 3.0, shared"


def _ruby(program: str) -> Sequence[str]:
    return [installed("ruby"), str(PROGRAMS / program)]


def _uvloop() -> Mapping[str, str]:
    return wheels("uvloop==0.22.1")


def _trio() -> Mapping[str, str]:
    return wheels("trio==0.35.0")


def _pycurl() -> Mapping[str, str]:
    return wheels("pycurl==7.49.0")


def _curl(place: Place, token: int) -> Sequence[str]:
    """A request for each message, one after the other on one connection."""
    arguments = [] if token % 2 else ["--tls-max", "1.2"]
    for sequence in range(place.rounds):
        asked = request(0, 0, token, sequence)
        body = place.scratch / f"body-{token}-{sequence}"
        body.write_bytes(asked.encode())
        arguments += ["--silent", "--show-error", "--fail", "--http1.1", "--cacert", str(place.pki.ca)]
        arguments += ["--header", "Expect:", "--header", "Content-Type: text/plain"]
        arguments += [
            "--data-binary",
            f"@{body}",
            "--output",
            str(place.scratch / f"answer-{token}-{sequence}"),
        ]
        arguments += [
            f"https://localhost:{place.port}/",
            *(["--next"] if sequence < place.rounds - 1 else []),
        ]
        arguments += ["--tls-max", "1.2"] if not token % 2 and sequence < place.rounds - 1 else []
    return arguments


_NGINX = """
user root; daemon off; worker_processes 1; pid {directory}/pid; error_log {directory}/log;
events {{ worker_connections 512; }}
http {{
    access_log off; client_body_temp_path {directory}; proxy_temp_path {directory};
    fastcgi_temp_path {directory}; uwsgi_temp_path {directory}; scgi_temp_path {directory};
    server {{
        listen 127.0.0.1:{port} ssl;
        ssl_protocols TLSv1.2 TLSv1.3; ssl_certificate {certificate}; ssl_certificate_key {key};
        location / {{ return 200 "m $server_port $remote_port $arg_token $arg_sequence 0 0\\n"; }}
    }}
}}
"""


def _nginx(place: Place) -> Sequence[str]:
    configuration = place.scratch / "nginx.conf"
    pair, directory = place.pki.server, place.scratch
    configuration.write_text(
        _NGINX.format(directory=directory, port=place.port, certificate=pair.certificate, key=pair.key)
    )
    return ["-c", str(configuration), "-p", str(directory), "-e", str(directory / "log")]


HTTP_SERVER = Program(command=partial(python, "http_server.py"))
REQUESTS = Program(command=partial(python, "requests_client.py"))

ROWS = (
    Row(
        runtime="CPython ssl sockets",
        library=SYSTEM,
        client=Program(command=partial(python, "sockets_client.py")),
        server=Program(command=partial(python, "sockets_server.py")),
    ),
    Row(
        runtime="CPython http.server",
        library=SYSTEM,
        protocol=Protocol.HTTP1,
        server=HTTP_SERVER,
    ),
    Row(runtime="requests (urllib3)", library=SYSTEM, protocol=Protocol.HTTP1, client=REQUESTS),
    Row(
        runtime="asyncio",
        library=SYSTEM,
        client=Program(command=partial(python, "asyncio_client.py")),
        server=Program(command=partial(python, "asyncio_server.py")),
    ),
    Row(
        runtime="uvloop",
        library=SYSTEM,
        client=Program(
            command=partial(python, "asyncio_client.py"), arguments=("uvloop",), environment=_uvloop
        ),
        server=Program(
            command=partial(python, "asyncio_server.py"), arguments=("uvloop",), environment=_uvloop
        ),
    ),
    Row(
        runtime="trio",
        library=SYSTEM,
        client=Program(command=partial(python, "trio_client.py"), environment=_trio),
        server=Program(command=partial(python, "trio_server.py"), environment=_trio),
    ),
    Row(
        runtime="Ruby",
        library=SYSTEM,
        client=Program(command=partial(_ruby, "openssl_client.rb")),
        server=Program(command=partial(_ruby, "openssl_server.rb")),
    ),
    Row(
        runtime="curl",
        library=SYSTEM,
        protocol=Protocol.HTTP1,
        client=Program(command=lambda: [installed("curl")], one_process_each=_curl),
    ),
    Row(
        runtime="pycurl 7.49",
        library="OpenSSL 3.6, shared, the wheel's own",
        protocol=Protocol.HTTP1,
        client=Program(command=partial(python, "pycurl_client.py"), environment=_pycurl),
    ),
    Row(
        runtime="nginx",
        library=SYSTEM,
        protocol=Protocol.HTTP1,
        server=Program(command=lambda: [installed("nginx")], options=_nginx, announces=False, processes=2),
        caller=Program(command=partial(python, "requests_client.py"), arguments=("empty",)),
    ),
)

REFERENCES = {(Protocol.HTTP1, "server"): HTTP_SERVER, (Protocol.HTTP1, "client"): REQUESTS}
