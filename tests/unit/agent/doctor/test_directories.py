# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host, Status, directories
from otel_qtap.agent.doctor.host import Runtime

ROOT = Path(__file__).parents[4]


def test_present_and_absent(make_host: Callable[..., Host], tmp_path: Path) -> None:
    present = directories.directory(make_host(), tmp_path, "VARIABLE")
    assert present.status is Status.OK
    assert "is writable" in present.summary
    absent = directories.directory(make_host(), tmp_path / "a/b", "VARIABLE")
    assert absent.status is Status.OK
    assert f"{tmp_path / 'a/b'} is not there yet" in absent.summary
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_way(make_host: Callable[..., Host], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = directories.directory(make_host(), tmp_path / "file/below", "VARIABLE")
    assert outcome.status is Status.FAIL
    assert "VARIABLE" in outcome.remedy


def test_a_directory_that_everybody_can_write(make_host: Callable[..., Host], tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert directories.directory(make_host(), tmp_path, "VARIABLE").status is Status.FAIL
    assert directories.directory(make_host(), tmp_path / "own", "VARIABLE").status is Status.OK


def test_too_little_room_is_a_warning(make_host: Callable[..., Host], tmp_path: Path) -> None:
    outcome = directories.directory(make_host(), tmp_path, "VARIABLE", wanted_bytes=1 << 60)
    assert outcome.status is Status.WARN
    outcome = directories.state(make_host(OTEL_QTAP_STATE_DIRECTORY=str(tmp_path)))
    assert outcome.status in (Status.OK, Status.WARN)
    assert str(tmp_path) in outcome.summary


def test_what_goes_with_the_container_is_a_warning(make_host: Callable[..., Host], tmp_path: Path) -> None:
    host = make_host(runtime=Runtime.PODMAN)
    outcome = directories.directory(host, tmp_path / "state", "VARIABLE")
    assert outcome.status is Status.WARN
    name = str(tmp_path / "state").replace("/", "-")
    assert outcome.flags == (f"--volume=otel-qtap{name}:{tmp_path}/state",)
    assert directories.directory(host, Path("/dev/shm/state"), "VARIABLE").status is Status.OK


@pytest.mark.bpf
def test_what_belongs_to_the_pipeline_is_closed_to_root(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    os.chown(tmp_path, 64123, 64123)
    program = (
        "import sys; from pathlib import Path; from otel_qtap.settings import load_settings;"
        "from otel_qtap.agent.doctor import Host, directories;"
        "host = Host(configuration=load_settings({'OTEL_QTAP_PIPELINE_USER': sys.argv[2]}));"
        "print(directories.directory(host, Path(sys.argv[1]), 'VARIABLE').status)"
    )
    found = [
        subprocess.run(
            ["setpriv", "--bounding-set=-all", sys.executable, "-c", program, str(tmp_path), account],
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for account in ("64123", "64124")
    ]
    assert found == ["ok", "fail"]


@pytest.mark.bpf
def test_without_rights(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from otel_qtap.settings import load_settings;"
        "from otel_qtap.agent.doctor import Host, directories; host = Host(configuration=load_settings({}));"
        "o = directories.directory(host, Path(sys.argv[1]), 'VARIABLE'); print(o.status, o.summary)"
    )
    done = subprocess.run(
        [
            "setpriv",
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            sys.executable,
            "-c",
            program,
            "/var/lib/x",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "fail /var/lib is not writable for uid 65534\n"
