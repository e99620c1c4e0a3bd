# SPDX-License-Identifier: Apache-2.0
"""A real nginx with TLS on a loopback port."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.payloads import json_records
from tests.support.pki import Pki
from tests.support.ports import free_port, wait_listening
from tests.support.subprocesses import running

_CONFIG = """\
user root;
daemon off;
worker_processes {workers};
pid {directory}/nginx.pid;
error_log {directory}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    default_type application/octet-stream;
    client_body_temp_path {directory}/tmp/body;
    proxy_temp_path {directory}/tmp/proxy;
    fastcgi_temp_path {directory}/tmp/fastcgi;
    uwsgi_temp_path {directory}/tmp/uwsgi;
    scgi_temp_path {directory}/tmp/scgi;
    client_max_body_size 64m;
    keepalive_requests 1000000000;
    keepalive_timeout 300s;
    open_file_cache max=100;
    server {{
        listen {address}:{port} ssl;
        server_name localhost;
        ssl_protocols TLSv1.2 TLSv1.3;
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        location = / {{ default_type text/plain; return 200 "welcome\n"; }}
        location = /hello {{ default_type text/plain; return 200 "hello from nginx\\n"; }}
        location = /take {{ default_type text/plain; return 200 "taken\\n"; }}
        location = /broken {{ default_type text/plain; return 503 "broken\\n"; }}
        location = /missing {{ default_type text/plain; return 404 "missing\\n"; }}
        location /echo/ {{ default_type text/plain; return 200 "$request_uri\n"; }}
        location ~ ^/sized/(\\d+)(/|$) {{ alias {directory}/sized/$1; }}
        {proxy}
    }}
}}
"""

_PROXY = """\
location /upstream/ {{
            proxy_pass {upstream}/;
            proxy_ssl_trusted_certificate {ca};
            proxy_ssl_verify on;
            proxy_ssl_name localhost;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $proxy_host;
        }}"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A running nginx. ``/sized/N[/anything]`` answers with the file of N bytes of that name."""

    port: int
    pid: int
    directory: Path

    @property
    def url(self) -> str:
        """``https://localhost:<port>``."""
        return f"https://localhost:{self.port}"

    def add_sized(self, size: int) -> bytes:
        """Make ``/sized/<size>`` answer, and return that body."""
        body = json_records(size)
        path = self.directory / "sized" / str(size)
        if not path.exists():
            path.write_bytes(body)
        return body

    def worker_cpu_seconds(self) -> float:
        """User and system time of all workers."""
        return sum(map(procfs.precise_cpu_seconds, procfs.descendants(self.pid)))


@contextmanager
def running_nginx(
    directory: Path,
    pki: Pki,
    *,
    workers: int = 1,
    upstream: str = "",
    port: int | None = None,
    address: str = "127.0.0.1",
) -> Iterator[Nginx]:
    """Run nginx; with ``upstream`` (a URL) ``/upstream/`` is passed on to it over TLS.

    It listens at ``127.0.0.1``, or at this ``address`` of a host that is entered.
    """
    binary = shutil.which("nginx", path="/usr/sbin:/usr/bin:/usr/local/sbin")
    if binary is None:
        pytest.fail("nginx is not installed: `make install` brings it (Debian's nginx-light)")
    (directory / "tmp").mkdir(parents=True)
    (directory / "sized").mkdir()
    port = port or free_port()
    config = directory / "nginx.conf"
    config.write_text(
        _CONFIG.format(
            workers=workers,
            directory=directory,
            address=address,
            port=port,
            certificate=pki.server.certificate,
            key=pki.server.key,
            proxy=_PROXY.format(upstream=upstream, ca=pki.ca) if upstream else "",
        )
    )
    command = [binary, "-c", str(config), "-p", str(directory), "-e", str(directory / "error.log")]
    with running(command, directory / "nginx.log") as process:
        wait_listening(port, process, address=address)
        yield Nginx(port, process.pid, directory)
