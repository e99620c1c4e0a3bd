# SPDX-License-Identifier: Apache-2.0
"""Every reason, which of several is told first, and who is captured after all."""

import pytest

from otel_qtap.agent.coverage.judging import (
    CAPTURED,
    MISSED_CONNECTIONS,
    RELAY,
    Reason,
    State,
    judge,
    reasons_against,
)
from otel_qtap.capture.records import Speaker
from otel_qtap.discovery.plan import Cause, FileIdentity, FileVerdict, LeftOut, Refusal

LIBSSL = "/usr/lib/libssl.so.3"


def speaker(*, called: bool = False, hellos: int = 1, relayed: int = 0, missed: int = 0) -> Speaker:
    return Speaker(1, int(called), hellos, relayed, 0, missed)


def verdict(
    path: str = LIBSSL,
    *,
    libraries: tuple[str, ...] = (),
    refusals: tuple[Refusal, ...] = (),
    left_out: tuple[LeftOut, ...] = (),
    unsupported: tuple[str, ...] = (),
) -> FileVerdict:
    return FileVerdict(
        path=path,
        identity=FileIdentity(1, 2, 3, 4),
        libraries=libraries,
        refusals=refusals,
        left_out=left_out,
        unsupported=unsupported,
    )


PROBED = verdict(libraries=("openssl",))
JAVA = verdict("/opt/java/libjvm.so", unsupported=("java",))
REFUSED = verdict("/opt/app", refusals=(Refusal("boringssl", "two functions fit"),))
LIMITED = verdict(left_out=(LeftOut("openssl", "raise RLIMIT_NOFILE", Cause.KERNEL),))
CIPHERED = verdict("/opt/app", left_out=(LeftOut("boringssl", "it was random", Cause.PLAINTEXT),))
UNKNOWN = verdict("/opt/strange", unsupported=("unknown",))


@pytest.mark.parametrize(
    ("verdicts", "reason", "library", "said"),
    [
        ((JAVA,), Reason.UNSUPPORTED, "java", "JSSE"),
        ((REFUSED,), Reason.REFUSED, "boringssl", "two functions fit"),
        ((LIMITED,), Reason.PERMISSION, "openssl", "RLIMIT_NOFILE"),
        ((CIPHERED,), Reason.NOT_PLAINTEXT, "boringssl", "random"),
        ((UNKNOWN,), Reason.UNSUPPORTED, "unknown", "/opt/strange"),
        ((PROBED,), Reason.NO_CALL, "openssl", "no call of it"),
        ((), Reason.NO_LIBRARY, "", "OTEL_QTAP_CAPTURE_LIBRARIES"),
    ],
    ids=str,
)
def test_each_reason(verdicts: tuple[FileVerdict, ...], reason: Reason, library: str, said: str) -> None:
    found = judge(speaker(), selected=True, verdicts=verdicts)

    assert (found.state, found.reason, found.library) == (State.UNCAPTURED, reason, library)
    assert said in found.detail


def test_calls_that_were_seen_make_it_captured_whatever_else_it_maps() -> None:
    for verdicts in ((PROBED,), (PROBED, JAVA), ()):
        assert judge(speaker(called=True), selected=True, verdicts=verdicts) == CAPTURED


def test_calls_of_a_file_that_was_given_up_count_no_more() -> None:
    for verdicts in ((CIPHERED,), (JAVA, CIPHERED)):
        found = judge(speaker(called=True), selected=True, verdicts=verdicts)
        assert (found.state, found.reason, found.library) == (
            State.UNCAPTURED,
            Reason.NOT_PLAINTEXT,
            "boringssl",
        )
    assert judge(speaker(called=True), selected=True, verdicts=(PROBED, CIPHERED)) == CAPTURED


def test_a_library_that_is_mapped_and_not_called_captures_nothing() -> None:
    found = judge(speaker(), selected=True, verdicts=(PROBED, JAVA))

    assert (found.reason, found.library) == (Reason.UNSUPPORTED, "java")
    assert "no call" not in found.detail


def test_the_first_reason_is_the_surest_and_all_are_told() -> None:
    found = reasons_against((UNKNOWN, REFUSED, LIMITED, JAVA))

    assert found.reason is Reason.UNSUPPORTED
    assert [
        found.detail.index(said) for said in ("JSSE", "RLIMIT", "two functions", "/opt/strange")
    ] == sorted(found.detail.index(said) for said in ("JSSE", "RLIMIT", "two functions", "/opt/strange"))


@pytest.mark.parametrize(
    ("selected", "variable"), [(False, "OTEL_QTAP_CAPTURE_EXCLUDE"), (None, "OTEL_QTAP_CAPTURE_INCLUDE")]
)
def test_who_is_left_out_by_the_settings_is_told_which(selected: bool | None, variable: str) -> None:
    found = judge(speaker(called=True), selected=selected, verdicts=(PROBED,))

    assert found.reason is Reason.EXCLUDED
    assert variable in found.detail


@pytest.mark.parametrize(
    ("hellos", "relayed", "passes_on"),
    [(4, 4, True), (21, 20, True), (21, 18, False), (1, 0, False), (0, 0, False)],
)
def test_a_relay_passes_on_nearly_all_hellos(hellos: int, relayed: int, passes_on: bool) -> None:
    found = judge(speaker(hellos=hellos, relayed=relayed), selected=True, verdicts=())

    assert (found == RELAY) is passes_on
    assert found.reason is (Reason.NONE if passes_on else Reason.NO_LIBRARY)


def test_what_calls_a_library_is_no_relay_whatever_it_passes_on() -> None:
    assert judge(speaker(called=True, hellos=4, relayed=4), selected=True, verdicts=()) == CAPTURED


def test_many_conversations_that_were_missed_show_a_second_library() -> None:
    many = speaker(called=True, missed=MISSED_CONNECTIONS)

    found = judge(many, selected=True, verdicts=(PROBED, JAVA))
    assert (found.state, found.reason, found.library) == (State.PARTIAL, Reason.UNSUPPORTED, "java")
    assert str(MISSED_CONNECTIONS) in found.detail
    assert judge(many, selected=True, verdicts=(PROBED,)) == CAPTURED
    few = speaker(called=True, missed=MISSED_CONNECTIONS - 1)
    assert judge(few, selected=True, verdicts=(PROBED, JAVA)) == CAPTURED
