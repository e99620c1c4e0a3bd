# SPDX-License-Identifier: Apache-2.0
"""What new settings change, and what that takes: nothing, a new pipeline, or a new start of the agent."""

from dataclasses import dataclass, replace
from typing import Any

from otel_qtap.settings import Settings
from otel_qtap.settings.catalog import qtap_variables, standard_variables
from otel_qtap.settings.effective import value_in_force

AT_ONCE = frozenset({"capture.include", "capture.exclude", "log.level", "log.format", "otel.log_level"})
"""Settings that the running processes take over."""
_NOT_OURS = ("config.", "serve.")
"""Sections of other commands, and the file's own path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """From the settings in force to new ones. Settings go by their keys; no value is told."""

    settings: Settings
    """The new ones, but for those that take a restart: of these the values in force."""
    applied: tuple[str, ...]
    waiting: tuple[str, ...]
    """Those that changed and wait for the next start."""

    @property
    def takes_pipeline(self) -> bool:
        """Whether the pipeline has to be another one."""
        return not AT_ONCE.issuperset(self.applied)


def compare(old: Settings, new: Settings) -> Change:
    """What became different."""
    applied, waiting = [], []
    kept: dict[str, dict[str, Any]] = {}
    for variable in (*qtap_variables(), *standard_variables()):
        if variable.key.startswith(_NOT_OURS):
            continue
        before = value_in_force(old, variable)
        if before == value_in_force(new, variable):
            continue
        if variable.declaration.takes_restart:
            waiting.append(variable.key)
            kept.setdefault(variable.section, {})[variable.field.name] = before
        else:
            applied.append(variable.key)
    rooms = {room: replace(getattr(new, room), **fields) for room, fields in kept.items()}
    return Change(settings=replace(new, **rooms), applied=tuple(applied), waiting=tuple(waiting))
