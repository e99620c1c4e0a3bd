# SPDX-License-Identifier: Apache-2.0
import json
import os
import struct
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from otel_qtap.discovery import analysis, analysis_process
from otel_qtap.discovery import libraries as module
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.inodes import identify
from otel_qtap.discovery.libraries import LibraryFile, LibraryLocator
from otel_qtap.discovery.plan import FilePlan, Refusal, SiteKind
from otel_qtap.discovery.recognition import recognise
from otel_qtap.probes.openssl import LIBRARY
from otel_qtap.probes.spec import DataPath, Signs

# Makes one TLS object and reads its role and type as the BPF programs do. Then fills the place of each
# random and asks the library what it takes for the random.
READ_OBJECT = """
import ctypes, json, sys
libssl, layout = sys.argv[1], json.loads(sys.argv[2])
for libcrypto in sys.argv[3:]:
    ctypes.CDLL(libcrypto, ctypes.RTLD_GLOBAL)
lib = ctypes.CDLL(libssl)
pointer = ctypes.c_void_p
for name in ("TLS_method", "SSL_CTX_new", "SSL_new"):
    getattr(lib, name).restype = pointer
context = pointer(lib.SSL_CTX_new(pointer(lib.TLS_method())))
ssl = lib.SSL_new(context)
read = lambda at: ctypes.c_uint32.from_address(ssl + at).value
roles = []
for set_state in (lib.SSL_set_accept_state, lib.SSL_set_connect_state):
    set_state(pointer(ssl))
    roles.append(read(layout["role"]))
holder = ssl
if layout["randoms"] is not None:
    holder = ctypes.c_uint64.from_address(ssl + layout["randoms"]).value
randoms = []
for side, accessor in (("client", lib.SSL_get_client_random), ("server", lib.SSL_get_server_random)):
    ctypes.memmove(holder + layout[side + "_random"], side.encode() * 5 + b"..", 32)
    out = ctypes.create_string_buffer(32)
    accessor(pointer(ssl), out, ctypes.c_size_t(32))
    randoms.append(out.raw.decode())
print(json.dumps([roles, read(0), randoms]))
"""


def check_layout(libssl: Path, *, typed: bool) -> None:
    layout = LibraryLocator(None).locate(str(libssl)).layout
    libcrypto = [str(path) for path in libssl.parent.glob("libcrypto-*")]
    done = subprocess.run(
        [sys.executable, "-c", READ_OBJECT, str(libssl), json.dumps(asdict(layout)), *libcrypto],
        capture_output=True,
        text=True,
        check=True,
    )
    roles, kind, randoms = json.loads(done.stdout)
    assert roles == [1, 0]  # server, then client
    assert (layout.type is not None) is typed
    if typed:
        assert kind == 0
    assert randoms == ["client" * 5 + "..", "server" * 5 + ".."]


def test_a_live_object_holds_what_the_plan_says_where_it_says(system_libssl):
    check_layout(system_libssl, typed=LibraryLocator(None).locate(str(system_libssl)).release >= "3.2")


@pytest.mark.parametrize(
    ("wheel", "typed"), [("psycopg2-binary", True), ("pycurl", True), ("pymssql", False)]
)
def test_a_live_object_of_another_release_does_as_well(wheel, typed, wheel_libssl):
    check_layout(wheel_libssl(wheel), typed=typed)


def test_a_plan_says_what_file_it_is_for(system_libssl):
    plan = LibraryLocator(None).locate(str(system_libssl))
    status = system_libssl.stat()
    assert plan.path == str(system_libssl)
    assert plan.identity.state == (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    assert (plan.library, len(plan.build_id)) == ("openssl", 40)


def test_a_file_that_is_no_library_is_refused_with_a_reason(tmp_path, make_elf):
    path = tmp_path / "libssl.so"
    path.write_bytes(make_elf({"PR_Read": b"\xc3"}))
    plan = LibraryLocator(None).locate(str(path))
    assert plan.sites == ()
    assert "SSL_read" in plan.refusals[0].reason
    path.write_bytes(b"not ELF")
    with pytest.raises(ElfError):
        LibraryLocator(None).locate(str(path))


def test_classic_sites_are_neither_taken_from_the_cache_nor_kept_there(system_libssl, tmp_path):
    LibraryLocator(tmp_path).locate(str(system_libssl))
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    plan = LibraryLocator(tmp_path, force_classic=True).locate(str(system_libssl))
    assert {site.kind for site in plan.sites} == {SiteKind.CLASSIC}
    assert {"SSL_read", "SSL_read_ex", "SSL_write", "SSL_write_ex"} <= {site.function for site in plan.sites}
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert {site.kind for site in LibraryLocator(tmp_path).locate(str(system_libssl)).sites} == {
        SiteKind.PAIR
    }


def test_a_remembered_plan_is_the_same_and_needs_no_disassembler(system_libssl, tmp_path):
    first = LibraryLocator(tmp_path).locate(str(system_libssl))
    code = (
        "import sys; from pathlib import Path; from otel_qtap.discovery.libraries import LibraryLocator;"
        f"print(LibraryLocator(Path({str(tmp_path)!r})).locate({str(system_libssl)!r}));"
        "assert 'capstone' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )
    assert done.stdout.strip() == str(first)


def file(path: Path, **known: object) -> LibraryFile:
    identity = identify(str(path))
    assert identity
    return LibraryFile(str(path), "/shown", identity, **known)


def examined(locator: LibraryLocator, *files: LibraryFile) -> list[FilePlan]:
    return list(locator.examine(files))


def test_files_are_examined_in_their_order(system_libssl, wheel_libssl, tmp_path):
    other = tmp_path / "other"
    other.write_text("not ELF")
    paths = [wheel_libssl("psycopg2-binary"), other, system_libssl, Path("/bin/sh"), wheel_libssl("pycurl")]
    plans = examined(LibraryLocator(tmp_path / "plans"), *map(file, paths))
    assert [plan.path for plan in plans] == list(map(str, paths))
    assert [len(plan.usable) for plan in plans] == [1, 0, 1, 0, 1]
    verdict = plans[0].verdict
    assert (verdict.path, verdict.libraries, verdict.refusals, verdict.unsupported) == (
        "/shown",
        ("openssl",),
        (),
        (),
    )
    assert not plans[1].verdict.is_about_tls
    assert examined(LibraryLocator(tmp_path / "plans"), *map(file, paths)) == plans


def test_what_holds_nothing_is_not_opened_again(tmp_path, monkeypatch):
    shell = file(Path("/bin/sh"))
    examined(LibraryLocator(tmp_path), shell)
    monkeypatch.setattr(module, "ElfFile", None)
    assert not examined(LibraryLocator(tmp_path), shell)[0].verdict.is_about_tls


def test_a_file_with_large_tables_is_looked_through_in_a_process_of_its_own(make_elf, tmp_path, monkeypatch):
    path = tmp_path / "lib.so"
    image = bytearray(make_elf({"SSL_read": b"\xc3", "SSL_write": b"\xc3"}))
    (at,) = struct.unpack_from("<Q", image, 40)
    struct.pack_into("<Q", image, at + 64 + 32, 24 << 20)  # the size of .dynsym
    path.write_bytes(image)
    os.truncate(path, 32 << 20)
    monkeypatch.setattr(module, "recognise", lambda elf: pytest.fail("not in this one"))
    locator = LibraryLocator(tmp_path / "plans")
    (plan,) = examined(locator, file(path))
    assert [one.library for one in plan.libraries] == ["openssl"]
    assert locator.remembers(plan.identity)


def test_a_file_that_is_looked_through_for_too_long_is_refused_by_its_name(system_libssl, monkeypatch):
    monkeypatch.setattr(module, "_RECOGNISED_HERE_BYTES", 0)
    monkeypatch.setattr(analysis_process, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(analysis_process, "recognise", lambda elf: time.sleep(60))
    (plan,) = examined(LibraryLocator(None), file(system_libssl, library="openssl"))
    assert plan.verdict.refusals == (Refusal("openssl", "its analysis took more than 0.05 s"),)


def test_symbols_are_not_kept_here_while_a_file_is_analysed(system_libssl):
    examination = LibraryLocator(None).begin(file(system_libssl))
    assert examination.is_running
    assert (examination._elf._dynamic, examination._elf._static) == (None, None)
    assert examination.result().usable


def test_of_a_known_file_no_symbols_are_read_here(system_libssl, tmp_path, monkeypatch):
    first = examined(LibraryLocator(tmp_path), file(system_libssl))
    assert first[0].usable[0].release.startswith("3.")
    monkeypatch.setattr(ElfFile, "_table", lambda *_: pytest.fail("a table of symbols is read"))
    assert examined(LibraryLocator(tmp_path), file(system_libssl)) == first


def test_an_analysis_rests_on_the_same_whether_or_not_it_was_known_what_is_in_the_file(
    system_libssl, tmp_path
):
    kept = []
    for _ in range(2):
        examined(LibraryLocator(tmp_path), file(system_libssl))
        (plan,) = tmp_path.glob("openssl-*")
        kept.append(plan.read_bytes())
        plan.unlink()
    assert kept[0] == kept[1]


def test_only_so_long_is_waited_for_all_files(system_libssl, tmp_path, monkeypatch):
    copy = tmp_path / "libssl.so"
    copy.write_bytes(system_libssl.read_bytes())
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    before = children.read_text()
    assert list(LibraryLocator(None).examine([file(system_libssl)], until=0.0)) == []
    clock = iter([0.0])  # it is over when the first one has begun
    monkeypatch.setattr(module, "time", SimpleNamespace(monotonic=lambda: next(clock, 2.0)))
    monkeypatch.setattr(analysis, "analyse", lambda *_, **__: time.sleep(60))
    assert list(LibraryLocator(None).examine([file(system_libssl), file(copy)], until=1.0)) == []
    assert children.read_text() == before


def test_what_cannot_be_opened_is_left_out(system_libssl, tmp_path):
    gone = file(system_libssl)._replace(path=str(tmp_path / "gone"))
    assert [plan.path for plan in examined(LibraryLocator(None), gone, file(system_libssl))] == [
        str(system_libssl)
    ]


def test_what_there_is_no_process_for_is_left_out_and_leaves_nothing_open(system_libssl, monkeypatch):
    def refuse():
        raise BlockingIOError(11, "no more processes")

    before = len(list(Path("/proc/self/fd").iterdir()))
    with monkeypatch.context() as patch:
        patch.setattr(os, "fork", refuse)
        assert examined(LibraryLocator(None), file(system_libssl)) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before
    assert examined(LibraryLocator(None), file(system_libssl))[0].usable


def test_a_file_that_only_has_the_name_holds_nothing(tmp_path, make_elf):
    path = tmp_path / "libssl.so"
    path.write_bytes(make_elf({"PR_Read": b"\xc3"}))
    (plan,) = examined(LibraryLocator(None), file(path, library="openssl"))
    assert (plan.libraries, plan.verdict.is_about_tls) == ((), False)


def test_a_library_for_another_machine_is_refused_by_its_name(tmp_path, make_elf):
    path = tmp_path / "libssl.so"
    image = bytearray(make_elf({"SSL_read": b"\xc3"}))
    image[18] = 183
    path.write_bytes(image)
    (plan,) = examined(LibraryLocator(None), file(path, library="openssl"))
    (refusal,) = plan.verdict.refusals
    assert refusal.function == "openssl"
    assert "machine 183" in refusal.reason
    assert examined(LibraryLocator(None), file(path))[0].verdict.refusals == ()


def test_what_the_user_names_is_searched_in_any_case(tmp_path, make_elf):
    path = tmp_path / "program"
    path.write_bytes(make_elf({"SSL_read": b"\xc3"}))
    (plan,) = examined(LibraryLocator(None), file(path, is_the_users=True))
    assert plan.verdict.libraries == ("openssl",)
    assert examined(LibraryLocator(None), file(path))[0].libraries == ()


def test_several_libraries_in_one_file_have_a_plan_each(system_libssl, monkeypatch):
    # Two descriptions of one library claim the same functions: the first has them.
    second = replace(LIBRARY, name="second", library_id=99)
    apart = replace(
        second,
        data_paths=(DataPath(inner=(), public=(LIBRARY.data_paths[0].public[0],)),),
        lifecycle=(),
        signs=Signs(symbols=(("SSL_read",),)),
    )
    for libraries, expected in (((LIBRARY, second), ["openssl"]), ((LIBRARY, apart), ["openssl", "second"])):
        monkeypatch.setattr(module, "LIBRARIES", libraries)
        monkeypatch.setattr(module, "recognise", lambda elf, known=libraries: recognise(elf, known))
        (plan,) = examined(LibraryLocator(None), file(system_libssl))
        assert [one.library for one in plan.usable] == expected
