# SPDX-License-Identifier: Apache-2.0
"""Against a real TLS server that answers as kubelets do."""

import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from otel_qtap.discovery.containers.answer import Query
from otel_qtap.discovery.containers.kubelet import Kubelet
from otel_qtap.discovery.containers.kubelet_access import KubeletAccess
from otel_qtap.discovery.workload import POD_LABELS
from otel_qtap.model.identity import ContainerFacts, PodFacts
from tests.support.pki import Pki

ID = "a" * 64
QUERY = Query(ID, "", None, True)
POD = {
    "metadata": {
        "name": "web-7d4b9c6f58-x2x8k",
        "namespace": "shop",
        "uid": "u",
        "labels": {"app.kubernetes.io/name": "web", "pod-template-hash": "7d4b9c6f58", "other": "x"},
        "annotations": {"resource.opentelemetry.io/region": "eu", "secret": "x"},
        "ownerReferences": [
            {"kind": "Other", "name": "o", "controller": False},
            {"kind": "ReplicaSet", "name": "web-7d4b9c6f58", "controller": True},
        ],
    },
    "spec": {"nodeName": "node-7"},
    "status": {
        "containerStatuses": [
            {"name": "sidecar", "containerID": "containerd://" + "b" * 64},
            {
                "name": "server",
                "containerID": f"containerd://{ID}",
                "image": "registry.example/web:1.2",
                "imageID": "registry.example/web@sha256:ab",
            },
            {"name": "waiting"},
        ]
    },
}


class Server(ThreadingHTTPServer):
    daemon_threads = True
    body = json.dumps({"items": [POD]}).encode()
    status = 200

    def __init__(self) -> None:
        self.requests: list[tuple[str, str | None]] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that do not trust it hang up."""


class _Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        server = self.server
        assert isinstance(server, Server)
        server.requests.append((self.path, self.headers["Authorization"]))
        self.send_response(server.status)
        self.send_header("Content-Length", str(len(server.body)))
        self.end_headers()
        self.wfile.write(server.body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server(pki: Pki) -> Iterator[Server]:
    with Server() as server:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki.server.certificate, pki.server.key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def account(tmp_path: Path, pki: Pki) -> Path:
    (tmp_path / "token").write_text("t0ken\n")
    (tmp_path / "ca.crt").write_bytes(pki.ca.read_bytes())
    return tmp_path


def kubelet(server: Server, account: Path, **access: Any) -> Kubelet:
    url = f"https://localhost:{server.server_port}"
    return Kubelet(KubeletAccess(url=url, **access), seconds=5, labels=POD_LABELS, account=account)


def test_the_pod_of_a_container(server: Server, account: Path) -> None:
    answer = kubelet(server, account).ask(QUERY)
    assert server.requests == [("/pods", "Bearer t0ken")]
    assert answer
    assert answer.container == ContainerFacts(
        runtime="containerd",
        image="registry.example/web:1.2",
        image_id="registry.example/web@sha256:ab",
        image_digests=("registry.example/web@sha256:ab",),
    )
    assert answer.pod == PodFacts(
        uid="u",
        name="web-7d4b9c6f58-x2x8k",
        namespace="shop",
        node="node-7",
        container="server",
        owners=(("deployment", "web"), ("replicaset", "web-7d4b9c6f58")),
        labels=(("app.kubernetes.io/name", "web"), ("pod-template-hash", "7d4b9c6f58")),
        annotations=(("resource.opentelemetry.io/region", "eu"),),
    )


def test_it_is_asked_once_for_all_containers(server: Server, account: Path) -> None:
    asking = kubelet(server, account)
    assert asking.ask(QUERY)
    assert asking.ask(Query("b" * 64))
    assert asking.ask(Query("c" * 64)) is None
    assert len(server.requests) == 1


def test_a_certificate_of_nobody_known_gets_no_token(
    server: Server, account: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from tests.support.pki import make_pki

    other = make_pki(tmp_path_factory.mktemp("other"))
    with pytest.raises(OSError, match="trusted authorities"):
        kubelet(server, account, certificate=str(other.ca)).ask(QUERY)
    assert server.requests == []
    assert kubelet(server, account, certificate=str(other.ca), verify=False).ask(QUERY)


def test_a_refusal_names_the_right_that_is_missing(server: Server, account: Path) -> None:
    server.status = 403
    with pytest.raises(OSError, match="nodes/proxy"):
        kubelet(server, account).ask(QUERY)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"items": 5}', b'{"items": [5, {}, {"status": []}]}'])
def test_an_answer_of_another_shape_tells_nothing(server: Server, account: Path, body: bytes) -> None:
    server.body = body
    try:
        assert kubelet(server, account).ask(QUERY) is None
    except ValueError:
        assert body in (b"", b"{")


def test_without_a_token_it_is_not_asked(server: Server, account: Path) -> None:
    (account / "token").unlink()
    with pytest.raises(FileNotFoundError):
        kubelet(server, account).ask(QUERY)
    assert server.requests == []
