# SPDX-License-Identifier: Apache-2.0
import dataclasses
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from otel_qtap.agent.doctor import Host
from otel_qtap.agent.doctor.coverage import coverage
from tests.support.ports import free_port

LOOKS_LIKE_BORINGSSL = 'const char *volatile words[] = {"CLIENT_RANDOM", "ssl/ssl_lib.cc"};'
LOAD = "import ctypes, sys; ctypes.CDLL(sys.argv[1]); print(flush=True); sys.stdin.read()"


def test_all_files_are_looked_at_before_anything_is_said_of_them(
    make_host: Callable[..., Host], tmp_path: Path
) -> None:
    source, library = tmp_path / "library.c", tmp_path / "strange.so"
    source.write_text(LOOKS_LIKE_BORINGSSL)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    host = dataclasses.replace(
        make_host(OTEL_QTAP_HEALTH_ADDRESS=f"127.0.0.1:{free_port()}"), proc=Path("/proc")
    )
    with subprocess.Popen(
        [sys.executable, "-c", LOAD, str(library)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        outcome = coverage(host)

    assert process.pid in {each["pid"] for each in outcome.data["not_captured"]}
    assert str(library) in outcome.detail
    assert host.files is host.files, "once for all checks"
