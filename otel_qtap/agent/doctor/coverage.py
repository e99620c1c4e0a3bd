# SPDX-License-Identifier: Apache-2.0
"""Which processes speak TLS and are not captured: as a running agent saw, else as their files tell."""

import json
from collections.abc import Iterable, Mapping
from typing import Any

from otel_qtap.agent.coverage.judging import Reason, State, reasons_against
from otel_qtap.agent.doctor.health import page_of_agent
from otel_qtap.agent.doctor.host import Host
from otel_qtap.agent.doctor.outcome import Outcome, ok, skip, warn
from otel_qtap.agent.watcher import chosen_processes
from otel_qtap.discovery.procfs import ProcessReader
from otel_qtap.discovery.scan import process_ids
from otel_qtap.terminal import printable

MAX_GROUPS = 40
_MAX_PIDS = 8
_REMEDY = (
    "The reasons above say what can be done; docs/operations.md explains them, and docs/coverage.md has all "
    "that is captured."
)

_Listed = list[dict[str, Any]]


def coverage(host: Host) -> Outcome:
    """What the agent on the health address says; without one, what processes have in their memory."""
    address = host.settings.health.address
    page = page_of_agent(address.host, address.port, "/coverage")
    if page is None:
        return _by_files(host)
    try:
        said = json.loads(page)
        return _by_agent(said, said["not_captured"], said["processes"])
    except (ValueError, KeyError, TypeError):
        return skip(f"what answers at {address} is no agent of this version")


def _by_agent(said: Mapping[str, Any], listed: _Listed, states: Mapping[str, int]) -> Outcome:
    data = {"source": "agent", **said}
    captured = f"{states['captured']} captured"
    unwanted = [process for process in listed if process["reason"] != Reason.EXCLUDED]
    groups = list(_groups(listed))
    if not unwanted:
        excluded = f", {len(listed)} excluded" if listed else ""
        return ok(f"of processes that speak TLS, {captured}{excluded}", detail="\n".join(groups), data=data)
    gone = sum(process["has_ended"] for process in unwanted)
    counts = f"{len(unwanted) - gone} not" + (f", and {gone} that ended were not" if gone else "")
    return warn(
        f"of processes that speak TLS, {captured}, {counts}",
        detail="\n".join(groups),
        remedy=_REMEDY,
        data=data,
    )


def _groups(listed: _Listed) -> Iterable[str]:
    """A line for all processes of one executable with one reason."""
    groups: dict[tuple[str, str, str, str], _Listed] = {}
    for process in listed:
        name = process["executable"] or process["command"]
        key = (name, process["state"], process["reason"], process["detail"])
        groups.setdefault(key, []).append(process)
    for (name, state, reason, detail), members in list(groups.items())[:MAX_GROUPS]:
        running = [str(process["pid"]) for process in members if not process["has_ended"]]
        gone = len(members) - len(running)
        shown = ", ".join(running[:_MAX_PIDS]) + (", ..." if len(running) > _MAX_PIDS else "")
        who = [f"process {shown}"] if running else []
        if gone:
            who.append(f"{gone} that ended")
        part = "in part " if state == State.PARTIAL else ""
        said = detail.removeprefix(f"{name}: ")
        yield printable(f"{name} ({' and '.join(who)}): {part}{reason}: {said}")
    if len(groups) > MAX_GROUPS:
        yield f"and {len(groups) - MAX_GROUPS} more; `otel-qtap doctor --json` has all"


def _by_files(host: Host) -> Outcome:
    """No agent runs, so nobody saw who speaks TLS: those that could not be captured if they did."""
    listed = _uncaptured_by_files(host)
    data = {"source": "files", "not_captured": listed}
    known = "no agent runs, so who speaks TLS is not known; by the files that processes map"
    if not listed:
        return ok(f"{known}, all that may can be captured", data=data)
    return ok(
        f"{known}, {len(listed)} would not be captured, or only in part",
        detail="\n".join(_groups(listed)),
        data=data,
    )


def _uncaptured_by_files(host: Host) -> _Listed:
    proc = str(host.proc)
    selectors = chosen_processes(host.settings)
    scanner = host.files.scanner
    reader = ProcessReader(proc)
    listed = []
    for pid in process_ids(proc):
        verdicts = [verdict for verdict in scanner.verdicts(pid) if verdict.refusals or verdict.unsupported]
        facts = reader.facts(pid) if verdicts else None
        if facts is None or not selectors.allows(facts):
            continue
        judgement = reasons_against(verdicts)
        listed.append(
            {
                "pid": pid,
                "has_ended": False,
                "executable": facts.executable,
                "command": facts.command,
                "state": judgement.state.value,
                "reason": judgement.reason.value,
                "library": judgement.library,
                "detail": judgement.detail,
            }
        )
    return listed
