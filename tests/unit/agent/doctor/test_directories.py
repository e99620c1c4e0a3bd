# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host, Status, directories

ROOT = Path(__file__).parents[4]


def test_present_and_absent(tmp_path: Path) -> None:
    present = directories.directory(tmp_path, "VARIABLE")
    assert present.status is Status.OK
    assert "is writable" in present.summary
    absent = directories.directory(tmp_path / "a/b", "VARIABLE")
    assert absent.status is Status.OK
    assert f"{tmp_path / 'a/b'} is not there yet" in absent.summary
    assert not (tmp_path / "a").exists()


def test_a_file_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    outcome = directories.directory(tmp_path / "file/below", "VARIABLE")
    assert outcome.status is Status.FAIL
    assert "VARIABLE" in outcome.remedy


def test_a_directory_that_everybody_can_write(tmp_path: Path) -> None:
    tmp_path.chmod(0o1777)
    assert directories.directory(tmp_path, "VARIABLE").status is Status.FAIL
    assert directories.directory(tmp_path / "own", "VARIABLE").status is Status.OK


def test_too_little_room_is_a_warning(make_host: Callable[..., Host], tmp_path: Path) -> None:
    assert directories.directory(tmp_path, "VARIABLE", wanted_bytes=1 << 60).status is Status.WARN
    outcome = directories.state(make_host(OTEL_QTAP_STATE_DIRECTORY=str(tmp_path)))
    assert outcome.status in (Status.OK, Status.WARN)
    assert str(tmp_path) in outcome.summary


@pytest.mark.bpf
def test_without_rights(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from otel_qtap.agent.doctor import directories;"
        "o = directories.directory(Path(sys.argv[1]), 'VARIABLE'); print(o.status, o.summary)"
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
