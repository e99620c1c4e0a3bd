# SPDX-License-Identifier: Apache-2.0
"""Calls of GnuTLS that carry what was counted before, or what an earlier call was given."""

import subprocess
from pathlib import Path

import pytest

from otel_qtap.model.events import DataCaptured
from otel_qtap.model.identity import Direction
from tests.bpf.conftest import tapping
from tests.support.cache import cached_build, fingerprint, run_build_step
from tests.support.pki import make_pki
from tests.support.tls_ends import library_file, running_end_server

pytestmark = pytest.mark.bpf

SOURCE = Path(__file__).parents[1] / "support" / "programs" / "gnutls_calls.c"


def gnutls_calls() -> Path:
    def build(directory: Path) -> None:
        command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", "gnutls_calls", str(SOURCE), "-lgnutls"]
        run_build_step(*command, cwd=directory)

    return cached_build("gnutls-calls", fingerprint(SOURCE.read_text()), build) / "gnutls_calls"


@pytest.mark.parametrize(("attach", "force_classic"), [("multi", False), ("multi", True), ("perf", False)])
def test_corked_and_resumed_sends_count_once(attach: str, force_classic: bool, tmp_path: Path) -> None:
    pki = make_pki(tmp_path / "pki")
    with (
        tapping(attach, files=[library_file("gnutls")], force_classic=force_classic) as tap,
        running_end_server("gnutls", pki, tmp_path) as server,
    ):
        client = subprocess.Popen([gnutls_calls(), str(server.port)], stdout=subprocess.PIPE)
        sent, _ = client.communicate(timeout=30)
        assert client.returncode == 0
        tap.read()

        assert len(sent) == 11_000
        assert [*tap.streams(client.pid).values()] == [sent, sent]
        assert [*tap.streams(server.pid).values()] == [sent, sent]
        sends = [e for e in tap.of(DataCaptured, client.pid) if e.direction is Direction.EGRESS]
        assert [event.size for event in sends] == [1000] * 11
