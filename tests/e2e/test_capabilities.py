# SPDX-License-Identifier: Apache-2.0
"""Each row of docs/capabilities.md: the real agent with exactly these capabilities, and with one less."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from otel_qtap.agent.capabilities import mask
from otel_qtap.agent.privileges import limit_to
from otel_qtap.capture.attach import Tracefs, Tracepoints, find_tracefs
from otel_qtap.capture.session import Loading
from otel_qtap.discovery.btf import kernel_offsets
from otel_qtap.errors import CaptureError
from tests.support import procfs
from tests.support.agent import AgentProcess
from tests.support.confinement import ACCOUNT, NAMED, ROOT, confined, unmounted_tracefs, without
from tests.support.otlp_records import Span
from tests.support.otlp_sink import OtlpSink
from tests.support.pki import Pki
from tests.support.tls_servers import TlsServer, running_cpython_server
from tests.support.waiting import eventually

pytestmark = pytest.mark.e2e

SOMEBODY = 64998
"""Whose programs are observed."""

RUNNING = (
    "CAP_SETUID",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_KILL",
    "CAP_SYS_PTRACE",
    "CAP_DAC_READ_SEARCH",
    "CAP_CHECKPOINT_RESTORE",
)
"""What the supervisor keeps for as long as it runs."""

BARE = ("CAP_BPF", "CAP_PERFMON", "CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE")
"""The least with which an account that is not root captures the programs of others."""


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every account can walk to."""
    directory = Path(tempfile.mkdtemp(prefix="otel-qtap-", dir="/tmp"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module", autouse=True)
def _tracefs_is_mounted() -> None:
    if find_tracefs()[0] is Tracefs.ABSENT:
        subprocess.run(["mount", "-t", "tracefs", "tracefs", "/sys/kernel/tracing"], check=True)


@contextmanager
def agent_with(
    capabilities: Sequence[str],
    place: Path,
    sink: OtlpSink,
    *,
    uid: int = ROOT,
    outside: Sequence[str] = (),
    **settings: str,
) -> Iterator[AgentProcess]:
    """An agent that was started and may or may not become ready; ended with the block."""
    directory = place / "agent"
    directory.mkdir()
    os.chown(directory, uid, uid)
    agent = AgentProcess(
        directory,
        {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint, **settings},
        wrapper=[*outside, *confined(capabilities, uid=uid)],
    )
    try:
        agent.start()
        yield agent
    finally:
        agent.kill()


def curl(server: TlsServer, path: str, *, libraries: Path | None = None) -> None:
    """One request by a program of another account, with a TLS library of its own where one is given."""
    environment = {**os.environ, **({"LD_LIBRARY_PATH": str(libraries)} if libraries else {})}
    subprocess.run(
        [
            "setpriv", f"--reuid={SOMEBODY}", f"--regid={SOMEBODY}", "--clear-groups",
            "curl", "--silent", "--show-error", "--insecure", "--http1.1", "--max-time", "10",
            f"{server.url}/{path}",
        ],
        env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=True,
    )  # fmt: skip


def spans_of(sink: OtlpSink, path: str) -> dict[str, Span]:
    """The spans of one request by their kinds."""
    return {
        span.kind: span
        for span in sink.telemetry().spans
        if f"/{path}" in (str(span.attributes.get("url.full", "")), str(span.attributes.get("url.path")))
        or str(span.attributes.get("url.full", "")).endswith(f"/{path}")
    }


def wait_for(sink: OtlpSink, path: str, *kinds: str) -> dict[str, Span]:
    def seen() -> dict[str, Span]:
        spans = spans_of(sink, path)
        return spans if set(kinds) <= spans.keys() else {}

    return eventually(seen, f"spans of kind {kinds} for /{path}")


def capabilities_of(pid: int) -> int:
    return procfs.privileges(pid).effective_capabilities


def refusal(agent: AgentProcess) -> tuple[int, str]:
    """Exit code and message of an agent that does not start."""
    return agent.process.wait(10), agent.stderr


def in_child(work: Callable[[], None]) -> bool:
    """Whether ``work`` succeeds in a child, which may give up what it likes; CaptureError is failure."""
    pid = os.fork()
    if pid == 0:
        code = 2
        try:
            work()
            code = 0
        except CaptureError:
            code = 1
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code in (0, 1)
    return code == 0


# -- enough -------------------------------------------------------------------------------------


@pytest.mark.parametrize("uid", [ROOT, ACCOUNT])
def test_the_named_ones_are_enough_and_are_given_up(
    uid: int, place: Path, sink: OtlpSink, cpython_server: TlsServer
) -> None:
    with agent_with(NAMED, place, sink, uid=uid) as agent:
        agent.wait_ready()
        curl(cpython_server, "named")
        spans = wait_for(sink, "named", "client", "server")
        assert spans["client"].resource["service.name"] == "curl"
        supervisor, parser = map(procfs.privileges, agent.lasting_pids)
        by_thread = [capabilities_of(int(task.name)) for task in Path(f"/proc/{agent.pid}/task").iterdir()]
        agent.stop()

    assert supervisor.user_ids == (uid,) * 4
    assert supervisor.effective_capabilities == supervisor.permitted_capabilities == mask(RUNNING)
    assert set(by_thread) == {mask(RUNNING)}
    assert supervisor.bounding_capabilities == mask(RUNNING)
    assert supervisor.ambient_capabilities == supervisor.inheritable_capabilities == 0
    assert supervisor.no_new_privileges
    assert not {0, uid} & {*parser.user_ids, *parser.group_ids}
    assert parser.supplementary_groups == ()
    assert parser.effective_capabilities == parser.permitted_capabilities == 0
    assert parser.ambient_capabilities == parser.inheritable_capabilities == 0
    assert parser.bounding_capabilities == 0
    assert parser.no_new_privileges


def test_an_account_captures_with_four_and_shares_itself_with_the_pipeline(
    place: Path, sink: OtlpSink, cpython_server: TlsServer
) -> None:
    with agent_with(BARE, place, sink, uid=ACCOUNT) as agent:
        agent.wait_ready()
        curl(cpython_server, "bare")
        wait_for(sink, "bare", "client", "server")
        pipeline = procfs.privileges(agent.pipeline_pid())
        agent.stop()
        # What says where probes go is not remembered where the pipeline could write it.
        assert not list((place / "agent/state/plans").iterdir())

    assert pipeline.user_ids == (ACCOUNT,) * 4
    assert pipeline.effective_capabilities == pipeline.permitted_capabilities == 0
    assert pipeline.no_new_privileges


def test_sys_admin_stands_for_bpf_and_perfmon_and_is_given_up(
    place: Path, sink: OtlpSink, cpython_server: TlsServer
) -> None:
    with agent_with([*without("CAP_BPF", "CAP_PERFMON"), "CAP_SYS_ADMIN"], place, sink) as agent:
        agent.wait_ready()
        curl(cpython_server, "sys-admin")
        wait_for(sink, "sys-admin", "client", "server")
        assert capabilities_of(agent.pid) == mask(RUNNING)
        agent.stop()


def test_all_of_roots_are_given_up_but_those_that_are_used(place: Path, sink: OtlpSink) -> None:
    agent = AgentProcess(place / "agent", {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint})
    (place / "agent" / "state").mkdir(parents=True)  # without programs that were compiled before
    try:
        agent.start()
        loader = eventually(lambda: _loader(agent), "the loader runs", pause=0.002)
        held_by_loader = eventually(
            lambda: procfs.privileges(loader).effective_capabilities,
            "its capabilities are known",
            pause=0.002,
        )
        agent.wait_ready()
        held = [capabilities_of(pid) for pid in (agent.pid, agent.pipeline_pid())]
        agent.stop()
    finally:
        agent.kill()

    assert held_by_loader == mask(("CAP_BPF", "CAP_PERFMON"))
    assert held == [mask(RUNNING), 0]


def _loader(agent: AgentProcess) -> int:
    for pid in agent.pids[1:]:
        try:
            if "loader.py" in Path(f"/proc/{pid}/cmdline").read_text():
                return pid
        except OSError:
            continue
    return 0


# -- the loader ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("capabilities", "loads"),
    [
        (("CAP_BPF", "CAP_PERFMON"), True),
        (("CAP_SYS_ADMIN",), True),
        (("CAP_PERFMON",), False),
        (("CAP_BPF",), False),
    ],
)
def test_loader(capabilities: tuple[str, ...], loads: bool) -> None:
    def load() -> None:
        Loading(
            interpreter="/usr/bin/python3",
            offsets=kernel_offsets,
            attach="multi",
            data_ring_bytes=1 << 20,
            confine=lambda: limit_to(capabilities, for_program=True),
        ).result()

    assert in_child(load) is loads


# -- the supervisor: refused without ------------------------------------------------------------


@pytest.mark.parametrize("name", ["CAP_BPF", "CAP_PERFMON", "CAP_SETUID", "CAP_SETGID"])
def test_root_is_refused_without(name: str, place: Path, sink: OtlpSink) -> None:
    with agent_with(without(name), place, sink) as agent:
        code, said = refusal(agent)
    assert code == 3
    assert f"uid 0 lacks capabilities here: {name}" in said


def test_tracepoints_need_perfmon() -> None:
    def attach(*capabilities: str) -> None:
        session = Loading(
            interpreter="/usr/bin/python3", offsets=kernel_offsets, attach="multi", data_ring_bytes=1 << 20
        ).result()
        limit_to(capabilities)
        Tracepoints(session)

    assert in_child(lambda: attach("CAP_PERFMON"))
    assert not in_child(lambda: attach("CAP_BPF"))


def test_chown_is_needed_unless_the_directories_are_there(place: Path, sink: OtlpSink) -> None:
    account = {"OTEL_QTAP_PIPELINE_USER": "64123"}
    with agent_with(without("CAP_CHOWN"), place, sink, **account) as agent:
        code, said = refusal(agent)
        assert code == 2
        assert "without CAP_CHOWN" in said
        for directory in (agent.directory / "state/segments", agent.objects):
            directory.mkdir(parents=True, exist_ok=True)
            os.chown(directory, 64123, 64123)
        agent.start()
        agent.wait_ready()


def test_tracefs_is_mounted_with_sys_admin_only_and_that_is_given_up(place: Path, sink: OtlpSink) -> None:
    with agent_with(NAMED, place, sink, outside=unmounted_tracefs()) as agent:
        code, said = refusal(agent)
    assert code == 3
    assert "CAP_SYS_ADMIN, which mounts tracefs" in said
    shutil.rmtree(agent.directory)
    with agent_with((*NAMED, "CAP_SYS_ADMIN"), place, sink, outside=unmounted_tracefs()) as agent:
        agent.wait_ready()
        assert capabilities_of(agent.pid) == mask(RUNNING)


def test_tracefs_is_closed_to_other_accounts(place: Path, sink: OtlpSink) -> None:
    with agent_with(without("CAP_DAC_READ_SEARCH"), place, sink, uid=ACCOUNT) as agent:
        code, said = refusal(agent)
    assert code == 3
    assert "CAP_DAC_READ_SEARCH, which reads tracefs" in said


def test_perf_events_need_sys_admin(place: Path, sink: OtlpSink, cpython_server: TlsServer) -> None:
    with agent_with(NAMED, place, sink, OTEL_QTAP_CAPTURE_ATTACH="perf") as agent:
        code, said = refusal(agent)
    assert code == 3
    assert "CAP_SYS_ADMIN, which attaches probes as perf events" in said
    shutil.rmtree(agent.directory)
    held = (*NAMED, "CAP_SYS_ADMIN")
    with agent_with(held, place, sink, OTEL_QTAP_CAPTURE_ATTACH="perf") as agent:
        agent.wait_ready()
        curl(cpython_server, "perf")
        wait_for(sink, "perf", "client", "server")
        assert capabilities_of(agent.pid) == mask((*RUNNING, "CAP_SYS_ADMIN"))


# -- the supervisor: less without ---------------------------------------------------------------


def own_library(place: Path) -> Path:
    """A directory with a copy of the TLS library, which is found in the memory of a process only."""
    directory = place / "lib"
    directory.mkdir()
    shutil.copy("/usr/lib/x86_64-linux-gnu/libssl.so.3", directory)
    return directory


@pytest.mark.parametrize("held", [NAMED, without("CAP_SYS_PTRACE")])
def test_sys_ptrace_shows_what_others_map(
    held: Sequence[str], place: Path, sink: OtlpSink, cpython_server: TlsServer
) -> None:
    captured = "CAP_SYS_PTRACE" in held
    libraries = own_library(place)
    with agent_with(held, place, sink) as agent:
        agent.wait_ready()
        _assert_captured(captured, agent, sink, cpython_server, libraries)


@pytest.mark.parametrize("held", [NAMED, without("CAP_DAC_READ_SEARCH")])
def test_dac_read_search_opens_what_only_its_owner_may_read(
    held: Sequence[str], place: Path, sink: OtlpSink, cpython_server: TlsServer
) -> None:
    captured = "CAP_DAC_READ_SEARCH" in held
    libraries = own_library(place)
    for path, mode in ((libraries / "libssl.so.3", 0o500), (libraries, 0o700)):
        os.chown(path, SOMEBODY, SOMEBODY)
        path.chmod(mode)
    with agent_with(held, place, sink) as agent:
        agent.wait_ready()
        _assert_captured(captured, agent, sink, cpython_server, libraries)


def _assert_captured(
    captured: bool, agent: AgentProcess, sink: OtlpSink, server: TlsServer, libraries: Path
) -> None:
    """The server's spans come in any case; with them the client's, once its library is known."""

    def seen() -> bool:
        curl(server, "own-library", libraries=libraries)
        return "client" in spans_of(sink, "own-library")

    if captured:
        eventually(seen, "the client is captured", pause=0.3)
    else:
        for _ in range(3):
            seen()
        wait_for(sink, "own-library", "server")
    agent.stop()
    assert ("client" in spans_of(sink, "own-library")) is captured


@pytest.mark.parametrize("held", [NAMED, without("CAP_CHECKPOINT_RESTORE")])
def test_checkpoint_restore_opens_deleted_libraries(
    held: Sequence[str], place: Path, sink: OtlpSink, pki: Pki, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured = "CAP_CHECKPOINT_RESTORE" in held
    libraries = own_library(place)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(libraries))
    with running_cpython_server(pki) as server:
        monkeypatch.delenv("LD_LIBRARY_PATH")
        assert str(libraries / "libssl.so.3") in procfs.mapped_files(server.pid)
        (libraries / "libssl.so.3").unlink()
        with agent_with(held, place, sink) as agent:
            agent.wait_ready()
            curl(server, "deleted")
            wait_for(sink, "deleted", *(["client", "server"] if captured else ["client"]))
            agent.stop()
    assert ("server" in spans_of(sink, "deleted")) is captured


@pytest.mark.parametrize("held", [NAMED, without("CAP_KILL")])
def test_kill_ends_a_pipeline_that_hangs(held: Sequence[str], place: Path, sink: OtlpSink) -> None:
    with agent_with(held, place, sink) as agent:
        agent.wait_ready()
        pipeline = agent.pipeline_pid()
        os.kill(pipeline, signal.SIGSTOP)
        agent.process.send_signal(signal.SIGTERM)
        agent.wait_for_log("stopping")
        agent.process.send_signal(signal.SIGTERM)
        assert agent.process.wait(10) == 1
        assert procfs.is_alive(pipeline) is ("CAP_KILL" not in held)
        if "CAP_KILL" not in held:
            assert "that takes CAP_KILL" in agent.stderr
            os.kill(pipeline, signal.SIGCONT)
            eventually(lambda: not procfs.is_alive(pipeline), "it ends by itself")


def test_setpcap_empties_the_bounding_set(place: Path, sink: OtlpSink) -> None:
    with agent_with(without("CAP_SETPCAP"), place, sink) as agent:
        agent.wait_ready()
        pipeline = procfs.privileges(agent.pipeline_pid())
        assert pipeline.bounding_capabilities == mask(without("CAP_SETPCAP"))
        assert pipeline.permitted_capabilities == 0
        assert pipeline.no_new_privileges


def test_what_sudo_brings_makes_directories_below_those_of_others(place: Path, sink: OtlpSink) -> None:
    os.chown(place, SOMEBODY, SOMEBODY)
    agent = AgentProcess(place / "agent", {"OTEL_EXPORTER_OTLP_ENDPOINT": sink.endpoint})
    os.chown(agent.directory, SOMEBODY, SOMEBODY)
    try:
        agent.start()
        agent.wait_ready()
        assert capabilities_of(agent.pid) == mask(RUNNING)
    finally:
        agent.kill()


def test_a_recording_can_lie_in_somebodys_directory(place: Path) -> None:
    os.chown(place, SOMEBODY, SOMEBODY)
    file = place / "recording"
    recorder = AgentProcess(place / "agent", {}, command=["record", str(file)])
    try:
        recorder.start()
        eventually(file.exists, "the recording is begun")
        recorder.wait_for_log("capturing:")
        assert capabilities_of(recorder.pid) == mask(RUNNING)
        assert capabilities_of(recorder.pipeline_pid()) == 0
    finally:
        recorder.kill()
