# SPDX-License-Identifier: Apache-2.0
"""What each observed process adds to its telemetry, worked out once per process."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from posixpath import basename
from typing import Final

from otel_qtap import __version__
from otel_qtap.model.exchange import Attributes
from otel_qtap.model.identity import ProcessFacts, ProcessId
from otel_qtap.telemetry import names
from otel_qtap.telemetry.clock import UnixClock
from otel_qtap.telemetry.otlp.requests import Group, instrumentation_scope
from otel_qtap.telemetry.resource import HostIdentity, resource_message, workload_resource

_REMEMBERED: Final = 8192


def process_attributes(facts: ProcessFacts, clock: UnixClock) -> Attributes:
    """Attributes of an observed process. Its command line is not among them: it may hold secrets.

    ``process.pid`` and ``process.creation.time`` together name it for ever; its command is the kernel's
    name of it (comm), at most 15 characters.
    """
    known: Attributes = {}
    if facts.process.tgid:
        known[names.PROCESS_PID] = facts.process.tgid
    if facts.process.start_time_ns:
        created = datetime.fromtimestamp(clock.unix(facts.process.start_time_ns) / 1e9, UTC)
        known[names.PROCESS_CREATION_TIME] = (
            f"{created:%Y-%m-%dT%H:%M:%S}.{created.microsecond // 10_000:02}Z"
        )
    if facts.command:
        known[names.PROCESS_COMMAND] = facts.command
    if facts.executable:
        known[names.PROCESS_EXECUTABLE_NAME] = basename(facts.executable)
        known[names.PROCESS_EXECUTABLE_PATH] = facts.executable
    elif facts.command:
        known[names.PROCESS_EXECUTABLE_NAME] = facts.command
    if facts.user_id is not None:
        known[names.PROCESS_USER_ID] = facts.user_id
    if facts.user_name:
        known[names.PROCESS_USER_NAME] = facts.user_name
    return known


@dataclass(slots=True)
class Workload:
    """One observed process: its attributes, its encoded resource, and the groups of its items by scope."""

    facts: ProcessFacts
    attributes: Attributes
    resource: bytes
    groups: dict[str, Group] = field(default_factory=dict)


class Workloads:
    """Remembers the workloads of late. Used by one thread at a time.

    Processes with the same resource share their groups, so that requests carry each resource once.
    """

    __slots__ = ("_by_process", "_clock", "_groups", "_host")

    def __init__(self, host: HostIdentity, clock: UnixClock) -> None:
        self._host = host
        self._clock = clock
        self._by_process: dict[ProcessId, Workload] = {}
        self._groups: dict[tuple[bytes, str], Group] = {}

    def of(self, facts: ProcessFacts) -> Workload:
        """Return the workload of ``facts``; facts learnt later replace the earlier ones."""
        known = self._by_process.get(facts.process)
        if known is not None and (known.facts is facts or known.facts == facts):
            return known
        if len(self._by_process) >= _REMEMBERED:
            self._by_process.clear()
        workload = Workload(
            facts,
            process_attributes(facts, self._clock),
            resource_message(workload_resource(facts, self._host)),
        )
        self._by_process[facts.process] = workload
        return workload

    def group(self, workload: Workload, scope: str) -> Group:
        """Return the group of the workload's items under the instrumentation scope ``otel_qtap.<scope>``."""
        group = workload.groups.get(scope)
        if group is None:
            key = (workload.resource, scope)
            group = self._groups.get(key)
            if group is None:
                if len(self._groups) >= _REMEMBERED:
                    self._groups.clear()
                encoded = instrumentation_scope(names.SCOPE_PREFIX + scope, __version__)
                group = self._groups[key] = Group(workload.resource, encoded, names.SCHEMA_URL)
            workload.groups[scope] = group
        return group
