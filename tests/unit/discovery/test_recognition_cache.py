# SPDX-License-Identifier: Apache-2.0
import json
from pathlib import Path

import pytest

from otel_qtap.discovery import recognition_cache as module
from otel_qtap.discovery.plan import FileIdentity
from otel_qtap.discovery.recognition import Recognition
from otel_qtap.discovery.recognition_cache import RecognitionCache

FILE = FileIdentity(1, 2, 3, 4, 5)
OTHER = FileIdentity(1, 3, 3, 4, 5, is_stacked=True)
FOUND = Recognition(("openssl",), ("rustls",))
NAME = "recognised.json"


def filled(directory: Path | None) -> RecognitionCache:
    cache = RecognitionCache(directory)
    cache.put(FILE, FOUND)
    cache.put(OTHER, Recognition())
    cache.save()
    return cache


def test_what_was_recognised_is_known_again(tmp_path: Path) -> None:
    assert RecognitionCache(tmp_path).get(FILE) is None
    filled(tmp_path / "new" / "plans")
    cache = RecognitionCache(tmp_path / "new" / "plans")
    assert cache.get(FILE) == FOUND
    assert cache.get(OTHER) == Recognition()
    assert (tmp_path / "new" / "plans" / NAME).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("field", ["device", "inode", "mtime_ns", "size", "birth_ns"])
def test_a_file_that_differs_in_anything_is_another(field: str) -> None:
    assert filled(None).get(FILE._replace(**{field: 9})) is None


def test_nothing_is_written_where_nothing_is_new(tmp_path: Path) -> None:
    filled(tmp_path)
    (tmp_path / NAME).unlink()
    cache = RecognitionCache(tmp_path)
    cache.save()
    assert not (tmp_path / NAME).exists()


def test_what_other_rules_found_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path)
    monkeypatch.setattr(module, "FORMAT", module.FORMAT + 1)
    assert RecognitionCache(tmp_path).get(FILE) is None


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"rules": 1}', b"[" * 100_000, b'{"rules": "R", "files": [[1]]}']
)
def test_what_cannot_be_read_is_ignored_and_written_anew(content: bytes, tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(content.replace(b"R", module.rules().encode()))
    assert RecognitionCache(tmp_path).get(FILE) is None
    filled(tmp_path)
    assert RecognitionCache(tmp_path).get(FILE) == FOUND


def test_a_directory_that_cannot_be_written_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert filled(tmp_path / "file" / "plans").get(FILE) == FOUND
    assert list(tmp_path.iterdir()) == [tmp_path / "file"]


def test_those_that_were_asked_for_last_are_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_FILES", 2)
    cache = filled(tmp_path)
    cache.get(FILE)
    cache.put(FILE._replace(inode=99), Recognition())
    cache.save()
    assert len(json.loads((tmp_path / NAME).read_bytes())["files"]) == 2
    assert RecognitionCache(tmp_path).get(FILE) == FOUND
    assert RecognitionCache(tmp_path).get(OTHER) is None
