# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.agent.doctor import Host, Outcome, Status, libraries
from otel_qtap.discovery.plan import FileIdentity, LibraryPlan, ProbeSite, Refusal, SiteKind
from otel_qtap.probes.spec import Hook

IDENTITY = FileIdentity(1, 2, 3, 4)


def site(function: str, kind: SiteKind, reason: str = "") -> ProbeSite:
    return ProbeSite(function, 1, 2, True, kind, "push rbp", reason)


def plan(
    path: str,
    *sites: ProbeSite,
    release: str = "3.0.3",
    refusals: tuple[Refusal, ...] = (),
) -> LibraryPlan:
    return LibraryPlan(
        path=path,
        identity=IDENTITY,
        library="openssl",
        release=release,
        sites=sites,
        refusals=refusals,
    )


PAIR = plan("/usr/lib/libssl.so.3", site("ssl_read_internal", SiteKind.PAIR), site("f", SiteKind.ENTRY))
CLASSIC = plan("/opt/libssl.so.3", site("SSL_read", SiteKind.CLASSIC, "a jump leads back"))
BROKEN = plan("/opt/libssl.so.1", release="", refusals=(Refusal("openssl", "not an ELF file"),))


@pytest.fixture
def judge(monkeypatch: pytest.MonkeyPatch, make_host: Callable[..., Host]) -> Callable[..., Outcome]:
    def judged(*plans: LibraryPlan, **variables: str) -> Outcome:
        monkeypatch.setattr(libraries, "_plans", lambda host: (list(plans), []))
        return libraries.libraries(make_host(**variables))

    return judged


def test_kinds_are_counted_a_library(judge: Callable[..., Outcome]) -> None:
    outcome = judge(PAIR)
    assert outcome.status is Status.OK
    assert outcome.detail == "/usr/lib/libssl.so.3 (openssl 3.0.3 or later): 1 pair, 1 entry"


def test_expensive_sites_are_a_warning_with_their_reason(judge: Callable[..., Outcome]) -> None:
    outcome = judge(PAIR, CLASSIC)
    assert outcome.status is Status.WARN
    assert "SSL_read: classic, a jump leads back" in outcome.detail
    assert judge(CLASSIC, OTEL_QTAP_CAPTURE_SITES="classic").status is Status.OK


def test_a_file_that_cannot_be_probed_is_a_warning_with_its_reason(
    judge: Callable[..., Outcome],
) -> None:
    outcome = judge(PAIR, BROKEN)
    assert outcome.status is Status.WARN
    assert outcome.summary == "1 can be probed, 1 cannot"
    assert "not an ELF file" in outcome.detail


def test_what_passes_on_to_a_library_that_is_captured_is_no_warning(judge: Callable[..., Outcome]) -> None:
    passing = Refusal("openssl", "it passes everything on", is_elsewhere=True)
    assert judge(PAIR, plan("/usr/lib/libgnutls-openssl.so", refusals=(passing,))).status is Status.OK


def test_what_is_called_once_a_connection_may_be_expensive(judge: Callable[..., Outcome]) -> None:
    handshake = site("SSL_do_handshake", SiteKind.CLASSIC)._replace(cookie=Hook.HANDSHAKE)
    outcome = judge(plan("/opt/libssl.so.3", site("SSL_read", SiteKind.PAIR), handshake, handshake))
    assert outcome.status is Status.OK
    assert outcome.detail.endswith(": 1 pair, 2 classic")


def test_none_at_all(judge: Callable[..., Outcome]) -> None:
    outcome = judge()
    assert outcome.status is Status.WARN
    assert "OTEL_QTAP_CAPTURE_LIBRARIES" in outcome.remedy


def test_the_libraries_of_this_machine(make_host: Callable[..., Host]) -> None:
    outcome = libraries.libraries(make_host())
    assert "libssl.so" in outcome.detail
    assert " pair" in outcome.detail


def test_a_named_library_that_is_none(make_host: Callable[..., Host], tmp_path: Path) -> None:
    absent = tmp_path / "libmine.so"
    outcome = libraries.libraries(make_host(OTEL_QTAP_CAPTURE_LIBRARIES=str(absent)))
    assert outcome.status is Status.WARN
    assert str(absent) in outcome.detail


def test_a_path_forges_no_line_and_reaches_no_terminal_as_it_is(judge: Callable[..., Outcome]) -> None:
    path = "/tmp/\x1b[2J\x9b31m\n  ok    all is well"
    refusal = Refusal("openssl\n", f"{path} is no ELF file")
    outcome = judge(
        PAIR, plan(path, release="", refusals=(refusal,)), plan(path, site("SSL\n", SiteKind.ENTRY))
    )
    lines = outcome.detail.split("\n")
    assert len(lines) == 4
    assert all(line.isprintable() for line in lines)


def test_a_named_file_that_cannot_be_read_is_one_line(make_host: Callable[..., Host]) -> None:
    host = make_host(OTEL_QTAP_CAPTURE_LIBRARIES="/absent/\x1b[2J")
    host.files.plans[:] = []
    outcome = libraries.libraries(host)
    assert "/absent/\\x1b[2J" in outcome.detail
    assert outcome.detail.isprintable()
