# SPDX-License-Identifier: Apache-2.0
"""Which processes are captured: OTEL_QTAP_CAPTURE_INCLUDE and OTEL_QTAP_CAPTURE_EXCLUDE.

A selector is ``key=glob`` with a key of KEYS, or a bare glob, which means ``exe=glob``. Several are
joined by commas; a process is selected when any of them matches.
"""

from fnmatch import fnmatchcase
from typing import NamedTuple, Self

from otel_qtap.errors import SettingsError
from otel_qtap.model.identity import ProcessFacts

KEYS = ("exe", "comm", "pid", "user", "container", "service")
"""exe: a glob with a slash is for the whole path, without one for the base name. user: name or
number. container: the full id, so use ``abc123*`` for a short one, ``*`` for any container at all."""

INCLUDE_VARIABLE = "OTEL_QTAP_CAPTURE_INCLUDE"
EXCLUDE_VARIABLE = "OTEL_QTAP_CAPTURE_EXCLUDE"


class _Selector(NamedTuple):
    key: str
    glob: str

    def matches(self, facts: ProcessFacts) -> bool:
        # What is not known matches nothing, not even a star.
        return any(value and fnmatchcase(value, self.glob) for value in self._values(facts))

    def _values(self, facts: ProcessFacts) -> tuple[str, ...]:
        match self.key:
            case "exe":
                return (facts.executable if "/" in self.glob else facts.executable.rpartition("/")[2],)
            case "comm":
                return (facts.command,)
            case "pid":
                return (str(facts.process.tgid),)
            case "user":
                return (facts.user_name, "" if facts.user_id is None else str(facts.user_id))
            case "container":
                return (facts.container_id,)
            case _:
                return (facts.service_name,)


class Selectors(NamedTuple):
    """What to capture: all that is included (everything when nothing is), but for what is excluded."""

    include: tuple[_Selector, ...]
    exclude: tuple[_Selector, ...]

    @classmethod
    def parse(
        cls, include: str, exclude: str, *, variables: tuple[str, str] = (INCLUDE_VARIABLE, EXCLUDE_VARIABLE)
    ) -> Self:
        """From the two settings. Raises SettingsError that names the variable and the fix."""
        return cls(_parse(variables[0], include), _parse(variables[1], exclude))

    def allows(self, facts: ProcessFacts) -> bool:
        """Whether a process is captured; exclusion wins."""
        named = self.named(facts)
        return not self.include if named is None else named

    def named(self, facts: ProcessFacts) -> bool | None:
        """Whether a process is among the included or, which wins, the excluded; None: neither names it."""
        if any(selector.matches(facts) for selector in self.exclude):
            return False
        return True if any(selector.matches(facts) for selector in self.include) else None


def _parse(variable: str, text: str) -> tuple[_Selector, ...]:
    return tuple(_selector(variable, item.strip()) for item in text.split(",") if item.strip())


def _selector(variable: str, item: str) -> _Selector:
    key, found, glob = (part.strip() for part in item.partition("="))
    if not found:
        return _Selector("exe", item)
    if key not in KEYS:
        raise SettingsError(
            f"{variable}: {item!r} has the unknown key {key!r}; "
            f"write one of {', '.join(f'{name}=GLOB' for name in KEYS)}, or a glob for the executable alone"
        )
    if not glob:
        raise SettingsError(f"{variable}: {item!r} has no value; write {key}=GLOB, for example {key}=*")
    if key == "pid" and not glob.isdecimal():
        raise SettingsError(f"{variable}: {item!r} is no process id; write pid=NUMBER, for example pid=4711")
    return _Selector(key, glob)
