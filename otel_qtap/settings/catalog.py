# SPDX-License-Identifier: Apache-2.0
"""The list of all variables, made from the classes that declare them: name, kind, default, description."""

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, fields
from typing import Any

from otel_qtap.settings.endpoints import GENERIC_PREFIX
from otel_qtap.settings.fields import Declaration, declaration
from otel_qtap.settings.model import ROOMS
from otel_qtap.settings.otel import SIGNALS, OtlpVariables, StandardVariables

OWN_PREFIX = "OTEL_QTAP_"
PATH_VARIABLE = "OTEL_QTAP_CONFIG_FILE"
"""The one setting that cannot stand in the file, because it names it."""
OTEL_SECTION = "otel"
"""Where the standard variables stand in the file."""


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable that the agent reads."""

    name: str
    section: str
    """Heading that it stands under: the room, or the kind of standard variable."""
    field: "Field[Any]"
    """The field that it fills."""

    @property
    def key(self) -> str:
        """Its name in the configuration file, ``section.key``."""
        if self.name.startswith(OWN_PREFIX):
            return f"{self.section}.{self.field.name}"
        return f"{OTEL_SECTION}.{self.name.removeprefix('OTEL_').lower()}"

    @property
    def in_file(self) -> bool:
        """Whether the file may hold it: all but the file's own path."""
        return self.name != PATH_VARIABLE

    @property
    def declaration(self) -> Declaration:
        """What it takes and what it is for."""
        return declaration(self.field)

    @property
    def description(self) -> str:
        """What it is for, in sentences of Markdown."""
        return self.declaration.description

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown."""
        return self.declaration.kind.secret

    @property
    def default(self) -> Any:
        """The value that it has when unset."""
        if self.field.default_factory is not MISSING:
            return self.field.default_factory()
        return self.field.default

    @property
    def wants(self) -> str:
        """What it takes, to follow the word "wants"."""
        return self.declaration.wants

    @property
    def wants_in_file(self) -> str:
        """The same of the configuration file, which has lists and maps of its own."""
        collects = self.declaration.kind.collects
        return f"a {collects}, or {self.wants}" if collects else self.wants


def qtap_variables() -> Iterator[Variable]:
    """The agent's own variables, room by room."""
    for room, declared in ROOMS.items():
        yield from _variables(declared, f"{OWN_PREFIX}{room}_", room)


def standard_variables() -> Iterator[Variable]:
    """The honoured variables of the OpenTelemetry specification."""
    yield from _variables(StandardVariables, "OTEL_", "standard")
    yield from _variables(OtlpVariables, GENERIC_PREFIX, "otlp")
    for signal in SIGNALS:
        yield from _variables(OtlpVariables, f"{GENERIC_PREFIX}{signal}_", signal)


def _variables(declared: type[Any], prefix: str, section: str) -> Iterator[Variable]:
    for field in fields(declared):
        yield Variable((prefix + field.name).upper(), section, field)
