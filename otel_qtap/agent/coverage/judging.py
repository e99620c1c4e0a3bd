# SPDX-License-Identifier: Apache-2.0
"""Whether a process that speaks TLS is captured, and the reason where it is not."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from otel_qtap.capture.records import Speaker
from otel_qtap.discovery.plan import Cause, FileVerdict
from otel_qtap.discovery.selectors import EXCLUDE_VARIABLE, INCLUDE_VARIABLE
from otel_qtap.probes import unsupported

MISSED_CONNECTIONS = 3
"""So many conversations without plaintext show that another library is at work; one or two may be chance.
What is one, the kernel side says (``qtap_count_ended``), and ``lasting`` for those that go on."""

RELAYED_SHARE = 0.9
"""Of the hellos of a relay so many are passed on, at least."""


class State(StrEnum):
    """``qtap.coverage.state``."""

    CAPTURED = "captured"
    PARTIAL = "partial"
    """One library's conversations are captured, those of another are not."""
    UNCAPTURED = "uncaptured"
    RELAY = "relay"
    """It passes the TLS of others on and has no plaintext."""


class Reason(StrEnum):
    """``qtap.coverage.reason``."""

    NONE = ""
    EXCLUDED = "excluded"
    UNSUPPORTED = "unsupported"
    """It has an implementation of TLS that is known and cannot be captured."""
    PERMISSION = "permission"
    """Its library could be probed, but for the kernel or a limit; or its files cannot be looked at."""
    NOT_PLAINTEXT = "not_plaintext"
    """What came out of its library where that was probed was no plaintext."""
    REFUSED = "refused"
    """Its library is known, and where to probe it in this file could not be made out."""
    NO_CALL = "no_call"
    """Its library is probed, and no call of it was seen."""
    NO_LIBRARY = "no_library"
    ENDED = "ended"
    """It ended before it could be looked at."""


@dataclass(frozen=True, slots=True)
class Judgement:
    """``detail`` says what, where, and what to do; ``library`` names what the process speaks TLS with."""

    state: State
    reason: Reason = Reason.NONE
    library: str = ""
    detail: str = ""


class Grounds(NamedTuple):
    """What a judgement rests on besides files: while this is the same, the same files yield the same."""

    selected: bool | None
    relays: bool
    has_called: bool = False
    has_missed: bool = False


CAPTURED = Judgement(State.CAPTURED)
RELAY = Judgement(State.RELAY)
ENDED = Judgement(
    State.UNCAPTURED,
    Reason.ENDED,
    detail="it ended before it could be looked at, and its library was not probed before",
)
UNREADABLE = Judgement(
    State.UNCAPTURED,
    Reason.PERMISSION,
    detail="the files that it maps cannot be read: `otel-qtap doctor` says what the agent lacks",
)


def judge(speaker: Speaker, *, selected: bool | None, verdicts: Collection[FileVerdict]) -> Judgement:
    """Judge a running process.

    ``selected``: whether the user's selectors allow it; None when they name it neither way and it is left
    out because others are included. ``verdicts`` are on the files that it maps and that have to do with TLS.
    """
    whatever_it_maps = judge_unseen(speaker, selected=selected)
    if whatever_it_maps is not None:
        return whatever_it_maps
    why = reasons_against(verdicts)
    if not speaker.called_ns:
        return why
    given_up = _given_up(verdicts)
    if given_up is not None:
        return given_up
    if speaker.missed >= MISSED_CONNECTIONS and why.reason is not Reason.NO_CALL and why.library:
        text = f"{speaker.missed} of its connections were not captured, others were; {why.detail}"
        return Judgement(State.PARTIAL, why.reason, why.library, text)
    return CAPTURED


def judge_unseen(speaker: Speaker, *, selected: bool | None) -> Judgement | None:
    """Judge a process whose files make no difference; None: they do."""
    if is_relay(speaker):
        return RELAY
    return None if selected else _excluded(selected)


def grounds(speaker: Speaker, *, selected: bool | None) -> Grounds:
    """What the judgement of a process rests on."""
    if not selected:
        return Grounds(selected, is_relay(speaker))
    return Grounds(selected, is_relay(speaker), bool(speaker.called_ns), speaker.missed >= MISSED_CONNECTIONS)


def is_relay(speaker: Speaker) -> bool:
    """Whether a process passes on what others say: nearly all hellos, for not every one finds an upstream."""
    passes_on = speaker.relayed >= RELAYED_SHARE * speaker.hellos > 0
    return passes_on and not speaker.called_ns


def _excluded(selected: bool | None) -> Judgement:
    how = f"it is not among {INCLUDE_VARIABLE}" if selected is None else f"{EXCLUDE_VARIABLE} names it"
    return Judgement(State.UNCAPTURED, Reason.EXCLUDED, detail=f"left out as configured: {how}")


def reasons_against(verdicts: Collection[FileVerdict]) -> Judgement:
    """Why a process that maps these files would not be captured, if it speaks TLS with one of them.

    Of several reasons the first, with the texts of all: what cannot be helped comes before what may.
    """
    found = [
        *_unsupported(verdicts, but=unsupported.UNKNOWN.name),
        *_left_out(verdicts),
        *_refused(verdicts),
        *_unsupported(verdicts, only=unsupported.UNKNOWN.name),
        *_probed(verdicts),
    ]
    if not found:
        return Judgement(
            State.UNCAPTURED,
            Reason.NO_LIBRARY,
            detail="no file that it maps is known to hold a TLS library; one that holds a library named in "
            "docs/coverage.md can be named in OTEL_QTAP_CAPTURE_LIBRARIES",
        )
    first = found[0]
    texts = dict.fromkeys(each.detail for each in found if each.reason is not Reason.NO_CALL or each is first)
    return Judgement(first.state, first.reason, first.library, "; ".join(texts))


def _unsupported(verdicts: Collection[FileVerdict], *, only: str = "", but: str = "") -> Iterable[Judgement]:
    for verdict in verdicts:
        for name in verdict.unsupported:
            if name != but and (not only or name == only):
                text = f"{verdict.path}: {unsupported.REASONS.get(name, name)}"
                yield Judgement(State.UNCAPTURED, Reason.UNSUPPORTED, name, text)


_REASONS = {Cause.KERNEL: Reason.PERMISSION, Cause.PLAINTEXT: Reason.NOT_PLAINTEXT}


def _left_out(verdicts: Collection[FileVerdict]) -> Iterable[Judgement]:
    for verdict in verdicts:
        for library, reason, cause in verdict.left_out:
            text = f"{verdict.path} ({library}) is not probed: {reason}"
            yield Judgement(State.UNCAPTURED, _REASONS[cause], library, text)


def _given_up(verdicts: Collection[FileVerdict]) -> Judgement | None:
    """Why what a process calls is probed no more, where nothing else that it maps is."""
    if any(verdict.libraries for verdict in verdicts):
        return None
    return next((found for found in _left_out(verdicts) if found.reason is Reason.NOT_PLAINTEXT), None)


def _refused(verdicts: Collection[FileVerdict]) -> Iterable[Judgement]:
    for verdict in verdicts:
        for library, reason, _ in verdict.refusals:
            text = f"{verdict.path} ({library}) is not probed: {reason}"
            yield Judgement(State.UNCAPTURED, Reason.REFUSED, library, text)


def _probed(verdicts: Collection[FileVerdict]) -> Iterable[Judgement]:
    for verdict in verdicts:
        for library in verdict.libraries:
            yield Judgement(
                State.UNCAPTURED,
                Reason.NO_CALL,
                library,
                f"{verdict.path} ({library}) is probed and no call of it was seen: the process was silent "
                "since, or speaks TLS with something else",
            )
