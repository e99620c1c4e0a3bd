# SPDX-License-Identifier: Apache-2.0
"""Every setting with the value in force and where it came from, secrets masked."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from pathlib import Path
from typing import Any

from otel_qtap.settings.catalog import Variable, qtap_variables, standard_variables
from otel_qtap.settings.endpoints import GENERIC_PREFIX
from otel_qtap.settings.loading import Settings
from otel_qtap.settings.otel import SIGNALS
from otel_qtap.settings.values import HostPort, ProcessSelector

MASK = "****"

Shown = str | int | float | bool | None | list[str] | dict[str, str]
"""A value in a form that JSON has."""


@dataclass(frozen=True, slots=True)
class EffectiveSetting:
    """One line of what `otel-qtap config` prints."""

    name: str
    value: Shown
    origin: str
    """The variable that decided it, or ``default``."""
    source: str
    """Where that one was set: ``environment``, ``FILE:LINE``, or ``default``."""


def effective_settings(settings: Settings) -> tuple[EffectiveSetting, ...]:
    """All settings in the order of their documentation."""
    rows = []
    for variable in (*qtap_variables(), *standard_variables()):
        value = shown(value_in_force(settings, variable), secret=variable.secret)
        origin = settings.origin(variable.name)
        rows.append(EffectiveSetting(variable.name, value, origin, settings.sources.get(origin, "default")))
    return tuple(rows)


def as_text(value: Shown) -> str:
    """A value on one line, in the form in which its variable takes it; unset is empty."""
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case list():
            return ",".join(value)
        case dict():
            return ",".join(f"{key}={content}" for key, content in value.items())
    return str(value)


def value_in_force(settings: Settings, variable: Variable) -> Any:
    """The value of one variable, secrets included: of the exporter's per signal, that is the resolved one."""
    if variable.section in SIGNALS:
        export = getattr(settings, variable.section)
        field = variable.name.removeprefix(f"{GENERIC_PREFIX}{variable.section.upper()}_").lower()
        match field:
            case "timeout":
                return round(export.timeout_seconds * 1000)
            case "certificate" | "client_certificate" | "client_key":
                return getattr(export, f"{field}_path")
        return getattr(export, field)
    if variable.section == "otlp":
        return getattr(settings.otlp, variable.name.removeprefix(GENERIC_PREFIX).lower())
    if variable.section == "standard":
        return getattr(settings.standard, variable.name.removeprefix("OTEL_").lower())
    room = getattr(settings, variable.section)
    return getattr(room, variable.name.removeprefix(f"OTEL_QTAP_{variable.section.upper()}_").lower())


def shown(value: Any, *, secret: bool) -> Shown:
    """A value in its displayed form; a secret keeps its keys and loses its content."""
    match value:
        case Mapping():
            return {str(key): MASK if secret else str(content) for key, content in value.items()}
        case HostPort() | Path():
            return str(value)
        case tuple() if value and all(isinstance(item, int) for item in value):
            return ":".join(map(str, value))
        case tuple():
            return [
                str(item) if isinstance(item, (ProcessSelector, Path, IPv4Network, IPv6Network)) else item
                for item in value
            ]
        case str() if secret and value:
            return MASK
    assert value is None or isinstance(value, (str, int, float, bool))
    return value
