# SPDX-License-Identifier: Apache-2.0
import os
from pathlib import Path

from otel_qtap.discovery.programs import LEAST_BYTES, large_programs


def program(path: Path, size: int, mode: int = 0o755) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.truncate(path, size)
    path.chmod(mode)
    return str(path)


def test_the_large_programs_of_a_host_are_found_each_once(tmp_path: Path) -> None:
    large = program(tmp_path / "usr/bin/large", LEAST_BYTES)
    larger = program(tmp_path / "usr/local/bin/larger", LEAST_BYTES + 1)
    program(tmp_path / "usr/bin/small", LEAST_BYTES - 1)
    program(tmp_path / "usr/bin/data", LEAST_BYTES, 0o644)
    (tmp_path / "usr/bin/link").symlink_to(large)
    (tmp_path / "usr/bin/broken").symlink_to("nowhere")
    (tmp_path / "bin").symlink_to("usr/bin")

    found = large_programs(str(tmp_path))

    assert found[0] == larger
    assert [os.path.realpath(path) for path in found] == [larger, large]


def test_a_host_without_programs_has_none(tmp_path: Path) -> None:
    assert large_programs(str(tmp_path)) == []
