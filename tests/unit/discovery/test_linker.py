# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

from otel_qtap.discovery.linker import library_paths


def test_paths_come_from_the_cache_and_from_the_usual_directories(tmp_path):
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc" / "ld.so.cache").write_bytes(
        b"ld.so-1.7.0\0\0\0glibc-ld.so.cache1.1\0\x01\x02libssl.so.3\0/opt/tls/libssl.so.3\0/opt/b.so\0"
    )
    (tmp_path / "usr" / "lib64").mkdir(parents=True)
    (tmp_path / "usr" / "lib64" / "libssl.so.1.1").touch()
    assert library_paths(str(tmp_path)) == {
        f"{tmp_path}/opt/tls/libssl.so.3",
        f"{tmp_path}/opt/b.so",
        f"{tmp_path}/usr/lib64/libssl.so.1.1",
    }


def test_a_root_without_anything_has_no_libraries(tmp_path):
    assert library_paths(str(tmp_path / "absent")) == set()


def test_the_libssl_of_this_machine_is_among_them(system_libssl):
    found = {path for path in library_paths("/") if path.endswith("/libssl.so.3")}
    assert any(Path(path).samefile(system_libssl) for path in found)
