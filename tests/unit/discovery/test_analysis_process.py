# SPDX-License-Identifier: Apache-2.0
import os
import resource
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from otel_qtap.agent.privileges import drop_privileges, limit_to
from otel_qtap.discovery import analysis, analysis_process
from otel_qtap.discovery.analysis_process import AnalysisApart, RecognitionApart
from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.errors import ElfError
from otel_qtap.discovery.libraries import LibraryLocator
from otel_qtap.discovery.plan import Analysis, Refusal
from otel_qtap.discovery.plan_cache import MAX_ENTRY_BYTES
from otel_qtap.discovery.recognition import Recognition
from otel_qtap.probes.openssl import LIBRARY as OPENSSL
from otel_qtap.probes.spec import ObjectLayout


@pytest.fixture
def library(make_elf, tmp_path):
    path = tmp_path / "libssl.so"
    path.write_bytes(make_elf({"SSL_read": b"\x55\xc3", "SSL_write": b"\x90\xc3"}))
    return path


def held():
    """Child processes and open descriptors."""
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text()
    return children, {path.name for path in Path("/proc/self/fd").iterdir()}


def analysed(path):
    """What comes back; nothing of the process may stay, however it ended."""
    before = held()
    try:
        with ElfFile(str(path)) as elf:
            return AnalysisApart(elf, OPENSSL, force_classic=False).result()
    finally:
        assert held() == before


def test_the_answer_is_that_of_the_analysis_itself(system_libssl):
    with ElfFile(str(system_libssl)) as elf:
        expected = analysis.analyse(elf, OPENSSL)

    assert expected.sites
    assert analysed(system_libssl) == expected


def test_the_disassembler_stays_out_of_this_process(system_libssl, tmp_path):
    code = (
        "import sys; from pathlib import Path; from otel_qtap.discovery.libraries import LibraryLocator;"
        f"plan = LibraryLocator(Path({str(tmp_path)!r})).locate({str(system_libssl)!r});"
        "assert 'capstone' not in sys.modules; print(len(plan.sites))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[3],
    )

    assert int(done.stdout) > 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_file_without_an_end_is_given_up(library, monkeypatch):
    monkeypatch.setattr(analysis_process, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(analysis, "analyse", lambda *_, **__: time.sleep(60))

    with pytest.raises(ElfError, match=r"took more than 0\.05 s"):
        analysed(library)


def test_it_works_beside_thousands_of_descriptors(system_libssl):
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(4096, limits[1]), limits[1]))
    held = [os.open("/dev/null", os.O_RDONLY) for _ in range(1100)]
    try:
        with ElfFile(str(system_libssl)) as elf:
            search = AnalysisApart(elf, OPENSSL, force_classic=False)
            while not search.is_done:
                time.sleep(0.001)
            assert search.result().sites
    finally:
        for descriptor in held:
            os.close(descriptor)
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_a_file_that_takes_its_reader_down_is_refused(library, monkeypatch):
    monkeypatch.setattr(analysis, "analyse", lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))

    plan = LibraryLocator(None).locate(str(library))

    assert plan.sites == ()
    assert plan.refusals == (Refusal("openssl", "its analysis ended without a result"),)


def test_a_defect_is_told_by_its_type_alone(library, monkeypatch):
    def analyse(*_, **__):
        raise RuntimeError("hunter2")

    monkeypatch.setattr(analysis, "analyse", analyse)

    with pytest.raises(ElfError) as refusal:
        analysed(library)
    assert str(refusal.value) == "its analysis failed: RuntimeError"


def test_a_file_that_is_wrong_is_told_as_it_is(library, monkeypatch):
    def analyse(*_, **__):
        raise ElfError("too many relocations")

    monkeypatch.setattr(analysis, "analyse", analyse)

    with pytest.raises(ElfError, match="too many relocations"):
        analysed(library)


def test_an_answer_without_an_end_is_not_collected(library, monkeypatch):
    endless = Analysis((), ObjectLayout(), (Refusal("x", "y" * (2 * MAX_ENTRY_BYTES)),))
    monkeypatch.setattr(analysis, "analyse", lambda *_, **__: endless)

    with pytest.raises(ElfError, match="without a result"):
        analysed(library)


def test_it_is_confined_before_it_looks_at_the_file(library, monkeypatch):
    def confine(keep):
        os.environ["CONFINED"] = str(sorted(keep))

    def analyse(elf, *_, **__):
        return Analysis((), ObjectLayout(), (Refusal(os.environ["CONFINED"], str(elf.fileno())),))

    monkeypatch.setattr(analysis, "analyse", analyse)
    with ElfFile(str(library)) as elf:
        (refusal,) = AnalysisApart(elf, OPENSSL, force_classic=False, confine=confine).result().refusals

    assert refusal.reason in refusal.function
    assert "CONFINED" not in os.environ


def test_what_a_file_may_hold_is_told_by_another_process_too(system_libssl):
    before = held()
    with ElfFile(str(system_libssl)) as elf:
        assert RecognitionApart(elf).result() == Recognition(("openssl",))
    assert held() == before


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ([["nonsense", "openssl"], ["rustls", ""]], Recognition(("openssl",), ("rustls",))),
        ([[], [], []], None),
        (7, None),
        ([7, 7], None),
        (["y" * (2 * MAX_ENTRY_BYTES), []], None),
    ],
)
def test_of_what_it_says_only_known_names_count(library, answer, expected, monkeypatch):
    monkeypatch.setattr(analysis_process, "recognise", lambda elf: answer)
    with ElfFile(str(library)) as elf:
        if expected is not None:
            assert RecognitionApart(elf).result() == expected
            return
        with pytest.raises(ElfError, match="without a result"):
            RecognitionApart(elf).result()


def test_half_an_answer_is_not_waited_for(library, monkeypatch):
    """Whoever took an analysis over says something and then no more."""
    answers = []

    def analyse(*_, **__):
        os.write(answers[0], b"{")
        time.sleep(60)

    monkeypatch.setattr(analysis, "analyse", analyse)
    with ElfFile(str(library)) as elf:
        apart = AnalysisApart(
            elf, OPENSSL, force_classic=False, confine=lambda keep: answers.append(next(iter(keep)))
        )
        assert select.select([apart._pipe], [], [], 10)[0]
        assert not apart.is_done
        assert not apart.is_done
        apart.abandon()


def test_one_that_does_not_end_is_left_until_it_does(monkeypatch):
    def refuse(*_):
        raise PermissionError

    before = held()
    theirs, ours = os.pipe()
    pids = []
    for stays in (True, False):
        pid = os.fork()
        if pid == 0:
            os.close(ours)
            if stays:
                os.read(theirs, 1)
            os._exit(0)
        pids.append(pid)
    with monkeypatch.context() as patch:
        patch.setattr(os, "kill", refuse)
        analysis_process._end(pids[0])
        assert analysis_process._left == [pids[0]]
        os.close(ours)
        os.close(theirs)
        os.waitid(os.P_PID, pids[0], os.WEXITED | os.WNOWAIT)
        analysis_process._end(pids[1])
    assert (analysis_process._left, held()) == ([], before)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has an account to give up")
def test_one_that_hangs_and_cannot_be_killed_is_left(library, monkeypatch):
    """Its account is another one, and CAP_KILL was not given."""
    monkeypatch.setattr(analysis_process, "LONGEST_SECONDS", 0.05)
    monkeypatch.setattr(analysis, "analyse", lambda *_, **__: time.sleep(3))

    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            limit_to(["CAP_SETUID", "CAP_SETGID"])
            with ElfFile(str(library)) as elf, pytest.raises(ElfError, match="took more than"):
                AnalysisApart(
                    elf, OPENSSL, force_classic=False, confine=lambda _: drop_privileges(64123, 64123)
                ).result()
            children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
            code = 0 if len(children) == 1 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
