# SPDX-License-Identifier: Apache-2.0
"""Reads the environment once, checks all of it, and refuses it as a whole when something is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from otel_qtap.errors import SettingsError
from otel_qtap.settings.catalog import OWN_PREFIX, Variable, qtap_variables, standard_variables
from otel_qtap.settings.endpoints import GENERIC_PREFIX, SignalExport, resolve_export
from otel_qtap.settings.model import ROOMS, Capture, Health, Http, Log, Objects, Pipeline, State, Trace
from otel_qtap.settings.otel import SIGNALS, OtlpVariables, StandardVariables

_Declared = TypeVar("_Declared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the agent was told, checked and with defaults filled in."""

    objects: Objects
    state: State
    capture: Capture
    health: Health
    http: Http
    trace: Trace
    pipeline: Pipeline
    log: Log
    standard: StandardVariables
    """The ``OTEL_*`` variables that are not the exporter's."""
    otlp: OtlpVariables
    """The exporter's general variables, before resolution: for display; use the three below."""
    traces: SignalExport
    metrics: SignalExport
    logs: SignalExport
    given: frozenset[str]
    """Names of the honoured variables that are set."""
    ignored: tuple[str, ...]
    """Names of ``OTEL_*`` variables that are set and that this agent does not read."""

    def origin(self, name: str) -> str:
        """Name of the variable that decided the value of ``name``, or ``default``."""
        if name in self.given:
            return name
        for signal in SIGNALS:
            generic = name.replace(f"{GENERIC_PREFIX}{signal.upper()}_", GENERIC_PREFIX)
            if generic != name and generic in self.given:
                return generic
        return "default"

    def allowed_headers(
        self, kind: Literal["client", "server"], message: Literal["request", "response"]
    ) -> tuple[str, ...]:
        """Lower-case names of the header fields that become attributes of spans of this kind."""
        ours = self.http.request_headers if message == "request" else self.http.response_headers
        theirs: tuple[str, ...] = getattr(
            self.standard, f"instrumentation_http_capture_headers_{kind}_{message}"
        )
        return tuple(dict.fromkeys((*ours, *theirs)))

    @property
    def log_level(self) -> Literal["debug", "info", "warn", "error"]:
        """Least severe level to log: ours where it is set, else the standard one."""
        return self.log.level or self.standard.log_level


def load_settings(environ: Mapping[str, str]) -> Settings:
    """Read all settings from ``environ``; an empty value counts as unset.

    Raises SettingsError that names every problem found, one a line, and repeats no value.
    """
    given = {name: value for name, value in environ.items() if name.startswith("OTEL_") and value.strip()}
    catalog = {variable.name: variable for variable in (*qtap_variables(), *standard_variables())}
    reader = _Reader(given, catalog.values())
    reader.problems += [
        _unknown(name, catalog) for name in given if name.startswith(OWN_PREFIX) and name not in catalog
    ]
    rooms: dict[str, Any] = {room: reader.read(declared, room) for room, declared in ROOMS.items()}
    standard = reader.read(StandardVariables, "standard")
    otlp = reader.read(OtlpVariables, "otlp")
    exports: dict[str, SignalExport] = {}
    for signal in SIGNALS:
        in_force = reader.read(OtlpVariables, "otlp", signal)
        if standard is None or in_force is None:
            continue
        own_endpoint = f"{GENERIC_PREFIX}{signal.upper()}_ENDPOINT" in given
        try:
            exports[signal] = resolve_export(
                signal, standard.exporter(signal), in_force, own_endpoint=own_endpoint
            )
        except SettingsError as error:
            reader.problems.append(str(error))
    if reader.problems or standard is None or otlp is None:
        raise SettingsError("\n".join(dict.fromkeys(reader.problems)))
    return Settings(
        **rooms,
        standard=standard,
        otlp=otlp,
        traces=exports["traces"],
        metrics=exports["metrics"],
        logs=exports["logs"],
        given=frozenset(given.keys() & catalog.keys()),
        ignored=tuple(sorted(given.keys() - catalog.keys())),
    )


class _Reader:
    """Fills declared classes from the variables that are given, and keeps what is wrong with those."""

    def __init__(self, given: Mapping[str, str], variables: Iterable[Variable]) -> None:
        self._given = [(variable, given[variable.name]) for variable in variables if variable.name in given]
        self.problems: list[str] = []

    def read(self, declared: type[_Declared], *sections: str) -> _Declared | None:
        """An instance from these sections of the catalog, the later of which win; None where one is wrong."""
        before = len(self.problems)
        values = {}
        for variable, text in self._given:
            if variable.section not in sections:
                continue
            try:
                values[variable.field.name] = variable.declaration.read(text)
            except ValueError as error:
                self.problems.append(_refused(variable, str(error)))
        if len(self.problems) > before:
            return None
        try:
            return declared(**values)
        except SettingsError as error:
            self.problems.append(str(error))
            return None


def _refused(variable: Variable, reason: str) -> str:
    default = "" if variable.default in ("", (), {}, None) else " for the default"
    return f"{variable.name} wants {variable.wants}; it holds {reason}. Correct it, or unset it{default}."


def _unknown(name: str, catalog: Mapping[str, Variable]) -> str:
    import difflib  # noqa: PLC0415 - only for a wrong name

    own = [known for known in catalog if known.startswith(OWN_PREFIX)]
    nearest = difflib.get_close_matches(name, own, n=1, cutoff=0.6)
    fix = f"Did you mean {nearest[0]}?" if nearest else "See 'otel-qtap config' for all names."
    return f"{name} is not a setting of otel-qtap. {fix}"
