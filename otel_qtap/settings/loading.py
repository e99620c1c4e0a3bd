# SPDX-License-Identifier: Apache-2.0
"""Reads environment and file, checks all of both, and refuses them as a whole when something is wrong."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from otel_qtap.errors import SettingsError
from otel_qtap.settings.catalog import (
    OWN_PREFIX,
    PATH_VARIABLE,
    Variable,
    qtap_variables,
    standard_variables,
)
from otel_qtap.settings.endpoints import GENERIC_PREFIX, SignalExport, resolve_export
from otel_qtap.settings.given import COMMAND_LINE, USUAL_PLACE, Given, from_environment
from otel_qtap.settings.model import (
    DEFAULT_FILE,
    ROOMS,
    Capture,
    Config,
    Health,
    Http,
    Log,
    Objects,
    Pipeline,
    Serve,
    State,
    Trace,
    Workloads,
)
from otel_qtap.settings.otel import SIGNALS, OtlpVariables, StandardVariables

_Declared = TypeVar("_Declared")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the agent was told, checked and with defaults filled in."""

    config: Config
    objects: Objects
    state: State
    capture: Capture
    health: Health
    serve: Serve
    http: Http
    trace: Trace
    workloads: Workloads
    pipeline: Pipeline
    log: Log
    standard: StandardVariables
    """The ``OTEL_*`` variables that are not the exporter's."""
    otlp: OtlpVariables
    """The exporter's general variables, before resolution: for display; use the three below."""
    traces: SignalExport
    metrics: SignalExport
    logs: SignalExport
    sources: Mapping[str, str]
    """Where each honoured variable that is set was set: ``environment``, or ``FILE:LINE``."""
    ignored: tuple[str, ...]
    """Names of ``OTEL_*`` variables that are set and that this agent does not read."""

    def origin(self, name: str) -> str:
        """Name of the variable that decided the value of ``name``, or ``default``."""
        if name in self.sources:
            return name
        for signal in SIGNALS:
            generic = name.replace(f"{GENERIC_PREFIX}{signal.upper()}_", GENERIC_PREFIX)
            if generic != name and generic in self.sources:
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


def find_file(environ: Mapping[str, str], chosen: Path | None = None) -> Given | None:
    """The file to read: the one chosen on the command line, the one ``environ`` names, or the usual one."""
    if chosen is not None:
        return Given(str(chosen.absolute()), COMMAND_LINE)
    if named := from_environment(environ).get(PATH_VARIABLE):
        return named
    return Given(str(DEFAULT_FILE), USUAL_PLACE) if DEFAULT_FILE.exists() else None


def load_settings(environ: Mapping[str, str], file: Given | None = None) -> Settings:
    """Read all settings from ``environ`` and a file, as ``find_file`` found it; the environment wins.

    An empty value counts as unset. Raises SettingsError that names every problem found, one a line, and
    repeats no value.
    """
    in_environment = from_environment(environ)
    if file is not None:
        in_environment[PATH_VARIABLE] = file
    catalog = {variable.name: variable for variable in (*qtap_variables(), *standard_variables())}
    in_file, problems = _read_file(in_environment, catalog)
    given = {**in_file, **in_environment}
    reader = _Reader(given, catalog.values())
    reader.problems += problems
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
            reader.complain(str(error))
    if reader.problems or standard is None or otlp is None:
        raise SettingsError("\n".join(dict.fromkeys(reader.problems)))
    return Settings(
        **rooms,
        standard=standard,
        otlp=otlp,
        traces=exports["traces"],
        metrics=exports["metrics"],
        logs=exports["logs"],
        sources={name: given[name].source for name in catalog if name in given},
        ignored=tuple(sorted(in_environment.keys() - catalog.keys())),
    )


def _read_file(
    given: Mapping[str, Given], catalog: Mapping[str, Variable]
) -> tuple[Mapping[str, Given], tuple[str, ...]]:
    if PATH_VARIABLE not in given:
        return {}, ()
    try:
        path = catalog[PATH_VARIABLE].declaration.read(given[PATH_VARIABLE].text)
    except ValueError:  # told with all other variables
        return {}, ()
    from otel_qtap.settings.file import read_file  # noqa: PLC0415 - brings a parser, 2 MB

    try:
        content = read_file(path, catalog.values())
    except SettingsError as error:
        return {}, (str(error),)
    return content.given, content.problems


class _Reader:
    """Fills declared classes from the variables that are given, and keeps what is wrong with those."""

    def __init__(self, given: Mapping[str, Given], variables: Iterable[Variable]) -> None:
        self._given = [(variable, given[variable.name]) for variable in variables if variable.name in given]
        self.problems: list[str] = []

    def read(self, declared: type[_Declared], *sections: str) -> _Declared | None:
        """An instance from these sections of the catalog, the later of which win; None where one is wrong."""
        before = len(self.problems)
        values = {}
        for variable, given in self._given:
            if variable.section not in sections:
                continue
            try:
                values[variable.field.name] = variable.declaration.read(given.text)
            except ValueError as error:
                self.problems.append(_refused(variable, given, str(error)))
        if len(self.problems) > before:
            return None
        try:
            return declared(**values)
        except SettingsError as error:
            self.complain(str(error))
            return None

    def complain(self, problem: str) -> None:
        """A problem of values that do not fit together; where they stand in a file is added."""
        named = problem.replace(":", " ").split()
        places = [
            f"{variable.name} is {variable.key} at {given.source}"
            for variable, given in self._given
            if given.in_file and variable.name in named
        ]
        self.problems.append(f"{problem} ({'; '.join(places)})" if places else problem)


def _refused(variable: Variable, given: Given, reason: str) -> str:
    has_default = variable.default not in ("", (), {}, None)
    if given.in_file:
        fix = f"Correct it, or remove it{' for the default' if has_default else ''}."
        return f"{given.source}: {variable.key} wants {variable.wants_in_file}; it holds {reason}. {fix}"
    fix = f"Correct it, or unset it{' for the default' if has_default else ''}."
    return f"{variable.name} wants {variable.wants}; it holds {reason}. {fix}"


def _unknown(name: str, catalog: Mapping[str, Variable]) -> str:
    import difflib  # noqa: PLC0415 - only for a wrong name

    own = [known for known in catalog if known.startswith(OWN_PREFIX)]
    nearest = difflib.get_close_matches(name, own, n=1, cutoff=0.6)
    fix = f"Did you mean {nearest[0]}?" if nearest else "See 'otel-qtap config' for all names."
    return f"{name} is not a setting of otel-qtap. {fix}"
