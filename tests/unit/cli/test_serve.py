# SPDX-License-Identifier: Apache-2.0
"""The command as an operator runs it: what it prints, what it refuses, whom it lets in."""

import http.client
import os
import re
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from otel_qtap.objectstore.filesystem import FilesystemStore
from tests.support import procfs
from tests.support.cleared import exchange
from tests.support.payload_store import answering, posting, store_exchanges
from tests.support.viewer import Viewer, running_viewer

COMMAND = Path(sys.executable).parent / "otel-qtap"
TOKEN = "0123456789abcdef-secret"


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """The URL of a store that the pipeline's account owns, and a reference into it."""
    directory = tmp_path_factory.mktemp("viewer")
    url = f"file://{directory}/objects"
    (record,) = store_exchanges(
        FilesystemStore(url),
        directory / "state",
        exchange(posting("text/plain", b"question"), answering("text/plain", b"answer")),
    )
    if os.geteuid() == 0:
        for path in (directory / "objects", *(directory / "objects").rglob("*")):
            os.chown(path, 60913, 60913)
    assert record.request_ref is not None
    return url, record.request_ref.uri


@pytest.fixture(scope="module")
def viewer(objects: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Viewer]:
    settings = {"OTEL_QTAP_OBJECTS_URL": objects[0], "OTEL_QTAP_PIPELINE_USER": "60913"}
    with running_viewer(tmp_path_factory.mktemp("serve"), settings) as viewer:
        yield viewer


def refused(**environ: str) -> str:
    done = subprocess.run(
        [COMMAND, "serve"],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def test_it_prints_where_to_log_in_and_serves_who_does(viewer: Viewer, objects: tuple[str, str]) -> None:
    path = f"/payload?uri={quote(objects[1], safe='')}"
    assert viewer.get(path).status == 401
    (token,) = re.findall(rf"Log in at {viewer.url}/login\?token=(\S+)\n", viewer.stderr)
    assert len(token) >= 40
    answer = viewer.get(path, Authorization=f"Bearer {token}")
    assert answer.status == 200
    page = answer.read().decode()
    assert "question" in page
    assert "answer" in page
    assert f"serving payloads of {objects[0]}" in viewer.stderr


def test_the_log_names_who_saw_what(viewer: Viewer, objects: tuple[str, str]) -> None:
    viewer.get(f"/payload?uri={quote(objects[1], safe='')}")
    assert "visitor -, from 127.0.0.1, reference file://" in viewer.stderr
    assert "question" not in viewer.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to give up")
def test_it_gives_up_root(viewer: Viewer) -> None:
    privileges = procfs.privileges(viewer.pid)
    assert set(privileges.user_ids) == {60913}
    assert privileges.effective_capabilities == 0
    assert privileges.permitted_capabilities == 0


def test_a_token_file_that_only_its_owner_reads(objects: tuple[str, str], tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    with running_viewer(
        tmp_path, {"OTEL_QTAP_OBJECTS_URL": objects[0], "OTEL_QTAP_SERVE_TOKEN_FILE": str(file)}
    ) as viewer:
        assert viewer.get("/", Authorization=f"Bearer {TOKEN}").status == 200
        assert TOKEN not in viewer.stderr
        viewer.process.send_signal(signal.SIGTERM)
        assert viewer.process.wait(5) == 0


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_token_file_that_others_read_is_refused(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "token"
    file.write_text(TOKEN)
    file.chmod(mode)
    assert stat.S_IMODE(file.stat().st_mode) == mode
    said = refused(OTEL_QTAP_SERVE_TOKEN_FILE=str(file))
    assert f"chmod 600 {file}" in said
    assert TOKEN not in said


def test_a_weak_token_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("hunter2")
    file.chmod(0o600)
    for said in (refused(OTEL_QTAP_SERVE_TOKEN_FILE=str(file)), refused(OTEL_QTAP_SERVE_TOKEN="hunter2")):
        assert "at least 16" in said
        assert "hunter2" not in said


@pytest.mark.parametrize("address", ["0.0.0.0:0", "[::]:0", "payloads.example.com:0"])
def test_beyond_loopback_it_wants_authentication(address: str) -> None:
    assert "OTEL_QTAP_SERVE_TOKEN" in refused(OTEL_QTAP_SERVE_ADDRESS=address)


def test_beyond_loopback_without_tls_it_warns(objects: tuple[str, str], tmp_path: Path) -> None:
    settings = {
        "OTEL_QTAP_OBJECTS_URL": objects[0],
        "OTEL_QTAP_SERVE_ADDRESS": "0.0.0.0:0",
        "OTEL_QTAP_SERVE_PROXY_HEADER": "X-Forwarded-User",
    }
    with running_viewer(tmp_path, settings) as viewer:
        assert "payloads leave this machine unencrypted" in viewer.stderr
        assert "token" not in viewer.stderr
        assert viewer.get("/").status == 401
        answer: http.client.HTTPResponse = viewer.get("/", **{"X-Forwarded-User": "ada"})
        assert answer.status == 200
        assert b"ada" in answer.read()


@pytest.mark.parametrize("url", ["memory:", "none:"])
def test_a_store_that_keeps_nothing_is_refused(url: str) -> None:
    assert f"OTEL_QTAP_OBJECTS_URL={url}" in refused(OTEL_QTAP_OBJECTS_URL=url)


def test_a_directory_that_is_not_there_yet_is_no_reason_to_stop(tmp_path: Path) -> None:
    settings = {"OTEL_QTAP_OBJECTS_URL": f"file://{tmp_path}/absent", "OTEL_QTAP_SERVE_TOKEN": TOKEN}
    with running_viewer(tmp_path, settings) as viewer:
        assert "cannot be opened yet" in viewer.stderr
        uri = quote(f"file://{tmp_path}/absent/x.warc.gz#bytes=0-9", safe="")
        assert viewer.get(f"/payload?uri={uri}", Authorization=f"Bearer {TOKEN}").status in (404, 502)
