# SPDX-License-Identifier: Apache-2.0
"""Who owns which directory, and what is never given away."""

import os
import stat
from pathlib import Path

import pytest

from otel_qtap.agent.directories import objects_directory, open_directories, prepare_directories
from otel_qtap.errors import SettingsError
from otel_qtap.objectstore.filesystem import FilesystemStore
from otel_qtap.settings import Settings, load_settings

UID = 64123

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")


def settings(directory: Path, objects: str = "") -> Settings:
    return load_settings(
        {
            "OTEL_QTAP_STATE_DIRECTORY": str(directory / "state"),
            "OTEL_QTAP_OBJECTS_URL": objects or (directory / "objects").as_uri(),
            "OTEL_QTAP_PIPELINE_USER": str(UID),
        }
    )


def owner_and_mode(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_uid, stat.S_IMODE(status.st_mode)


@as_root
def test_the_pipeline_owns_payloads_and_nothing_that_root_trusts(tmp_path: Path) -> None:
    for _ in ("made", "found again"):
        prepare_directories(settings(tmp_path))

        assert owner_and_mode(tmp_path / "objects") == (UID, 0o700)
        assert owner_and_mode(tmp_path / "state" / "segments") == (UID, 0o700)
        assert owner_and_mode(tmp_path / "state" / "plans") == (0, 0o700)
        assert owner_and_mode(tmp_path / "state") == (0, 0o711)


@as_root
def test_the_pipeline_works_below_what_it_cannot_walk_to(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    prepare_directories(settings(closed))
    directories = open_directories(settings(closed))

    pid = os.fork()
    if pid == 0:
        os.setgroups([])
        os.setresgid(UID, UID, UID)
        os.setresuid(UID, UID, UID)
        code = 0
        try:
            assert directories.objects is not None
            for writable in (directories.objects, directories.state / "segments"):
                (writable / "segment").write_bytes(b"payload")
            code = 1
            (directories.state / "plans" / "where-probes-go.json").write_bytes(b"{}")
        except PermissionError as error:
            code = 0 if "plans" in str(error.filename) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert (closed / "objects" / "segment").read_bytes() == b"payload"


@as_root
@pytest.mark.parametrize("variable", ["OTEL_QTAP_STATE_DIRECTORY", "OTEL_QTAP_OBJECTS_URL"])
def test_a_directory_that_holds_something_is_not_given_away(tmp_path: Path, variable: str) -> None:
    taken = tmp_path / ("objects" if "OBJECTS" in variable else "state/segments")
    taken.mkdir(parents=True)
    (taken / "passwd").write_text("somebody's")

    with pytest.raises(SettingsError, match=rf"{variable}: .* was there before .*chown {UID}:{UID}"):
        prepare_directories(settings(tmp_path))
    assert taken.stat().st_uid == 0


@as_root
def test_an_empty_directory_of_another_account_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    os.chown(tmp_path / "state", UID + 1, UID + 1)

    with pytest.raises(SettingsError, match=rf"belongs to uid {UID + 1}"):
        prepare_directories(settings(tmp_path))


@as_root
def test_plans_that_the_pipeline_could_have_written_are_refused(tmp_path: Path) -> None:
    prepare_directories(settings(tmp_path))
    os.chown(tmp_path / "state" / "plans", UID, UID)

    with pytest.raises(SettingsError, match=r"OTEL_QTAP_STATE_DIRECTORY: .*plans"):
        prepare_directories(settings(tmp_path))


def test_a_directory_that_everybody_can_write_is_refused(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state").chmod(0o777)

    with pytest.raises(SettingsError, match="can be written by everybody"):
        prepare_directories(settings(tmp_path))


def test_what_is_no_directory_is_refused_with_the_variable(tmp_path: Path) -> None:
    (tmp_path / "objects").write_text("a file")

    with pytest.raises(SettingsError, match=r"OTEL_QTAP_OBJECTS_URL: .*objects cannot be used: "):
        prepare_directories(settings(tmp_path))


def test_the_agent_and_the_store_read_a_url_alike(tmp_path: Path) -> None:
    directory = tmp_path / "100 % mine"
    url = directory.as_uri()
    prepare_directories(settings(tmp_path, url))
    segment = tmp_path / "segment"
    segment.write_bytes(b"payload")
    FilesystemStore(url).put("key", segment, 7)

    assert "%25" in url
    assert objects_directory(url) == directory
    assert (directory / "key").read_bytes() == b"payload"


@pytest.mark.parametrize("url", ["s3://bucket/prefix", "memory:", "none:"])
def test_other_stores_need_no_directory(tmp_path: Path, url: str) -> None:
    prepare_directories(settings(tmp_path, url))

    assert objects_directory(url) is None
    assert open_directories(settings(tmp_path, url)).objects is None
    assert [path.name for path in tmp_path.iterdir()] == ["state"]
