# SPDX-License-Identifier: Apache-2.0
"""TLS libraries that appear after the agent: a new path, another mount namespace, an upgraded file."""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import procfs
from tests.support.agent import AgentProcess
from tests.support.clients import python_program
from tests.support.collector import Collector
from tests.support.exchanges import key_of
from tests.support.keepalive import KeepaliveClient
from tests.support.pki import Pki
from tests.support.tls_servers import TlsServer

pytestmark = pytest.mark.e2e

PROBED_WITHIN_SECONDS = 1.0


def copy_libraries(target: Path) -> Path:
    """A copy of the libssl and libcrypto that Python here uses; the path of the copied libssl."""
    import ssl

    assert ssl.OPENSSL_VERSION
    own = [Path(p) for p in procfs.mapped_files(os.getpid()) if "/libssl" in p or "/libcrypto" in p]
    assert len(own) == 2
    target.mkdir(parents=True, exist_ok=True)
    for library in own:
        # Copy and rename, as package managers do: a new inode, while users of the old one keep that.
        scratch = target / f".{library.name}.new"
        shutil.copyfile(library.resolve(), scratch)
        scratch.rename(target / library.name)
    return next(target / library.name for library in own if "libssl" in library.name)


@contextmanager
def client_with(
    library: Path, server: TlsServer, pki: Pki, wrapper: Sequence[str] = ()
) -> Iterator[KeepaliveClient]:
    command = [*wrapper, *python_program("keepalive_client.py", str(server.port), str(pki.ca))]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "LD_LIBRARY_PATH": str(library.parent)},
    ) as process:
        client = KeepaliveClient(process)
        client.wait_connected()
        assert str(library) in procfs.mapped_files(process.pid)
        yield client
        assert process.stdin is not None
        process.stdin.close()


def client_keys(collector: Collector, server: TlsServer, count: int) -> list[str]:
    spans = collector.wait_for_spans(count, lambda s: s.port == server.port and s.kind == "client")
    return [key_of(span) for span in spans]


def test_library_at_a_new_path_is_probed_within_a_second(
    tmp_path: Path, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    library = copy_libraries(tmp_path / "new")
    with client_with(library, cpython_server, pki) as client:
        time.sleep(PROBED_WITHIN_SECONDS)
        client.get("/hello/new-path")
    assert "new-path" in client_keys(collector, cpython_server, 1)


def test_upgraded_library_and_the_one_it_replaced_are_both_captured(
    tmp_path: Path, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    library = copy_libraries(tmp_path / "upgraded")
    with client_with(library, cpython_server, pki) as old:
        time.sleep(PROBED_WITHIN_SECONDS)
        copy_libraries(tmp_path / "upgraded")
        with client_with(library, cpython_server, pki) as new:
            time.sleep(PROBED_WITHIN_SECONDS)
            old.get("/hello/old-inode")
            new.get("/hello/new-inode")
    keys = client_keys(collector, cpython_server, 3)
    assert {"old-inode", "new-inode"} <= set(keys)


def test_library_of_another_mount_namespace_is_probed(
    tmp_path: Path, agent: AgentProcess, collector: Collector, cpython_server: TlsServer, pki: Pki
) -> None:
    copy_libraries(tmp_path / "outside")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    script = f'mount -t tmpfs none {hidden} && cp {tmp_path}/outside/* {hidden} && exec "$@"'
    wrapper = ["unshare", "--mount", "sh", "-c", script, "sh"]
    with client_with(hidden / "libssl.so.3", cpython_server, pki, wrapper) as client:
        assert not list(hidden.iterdir()), "the library must not be visible from here"
        time.sleep(PROBED_WITHIN_SECONDS)
        client.get("/hello/other-namespace")
    collector.wait_for_spans(
        1, lambda s: s.port == cpython_server.port and s.kind == "client" and key_of(s) == "other-namespace"
    )
