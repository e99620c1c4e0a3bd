# SPDX-License-Identifier: Apache-2.0
"""Reads the environment once, checks all of it, and refuses it as a whole when something is wrong."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from pydantic import ValidationError
from pydantic_settings import EnvSettingsSource

from otel_qtap.errors import SettingsError
from otel_qtap.settings.catalog import Variable, qtap_variables, standard_variables
from otel_qtap.settings.endpoints import GENERIC_PREFIX, SignalExport, resolve_export
from otel_qtap.settings.model import (
    Capture,
    Health,
    Http,
    Log,
    Objects,
    Pipeline,
    QtapVariables,
    State,
    Trace,
)
from otel_qtap.settings.otel import SIGNALS, OtlpVariables, StandardVariables
from otel_qtap.settings.shape import shape
from otel_qtap.settings.variables import Variables

OWN_PREFIX = "OTEL_QTAP_"

# What to say of the refusals that pydantic words itself, by its error type.
_REASONS = {
    "literal_error": "{}, none of these words",
    "int_parsing": "{}, not a whole number",
    "int_from_float": "{}",
    "float_parsing": "{}, not a number",
    "greater_than_equal": "a smaller one",
    "greater_than": "a smaller one",
    "less_than_equal": "a larger one",
    "too_long": "more of them than allowed",
}

_Variables = TypeVar("_Variables", bound=Variables)


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
    problems = [
        _unknown(name, catalog) for name in given if name.startswith(OWN_PREFIX) and name not in catalog
    ]
    known = {name: value for name, value in given.items() if name in catalog}

    own = _read(QtapVariables, OWN_PREFIX, known, catalog, problems)
    standard = _read(StandardVariables, "OTEL_", known, catalog, problems)
    otlp = _read(OtlpVariables, GENERIC_PREFIX, known, catalog, problems)
    exports: dict[str, SignalExport] = {}
    for signal in SIGNALS:
        specific = _read(OtlpVariables, f"{GENERIC_PREFIX}{signal.upper()}_", known, catalog, problems)
        if standard is None or otlp is None or specific is None:
            continue
        try:
            exports[signal] = resolve_export(signal, standard.exporter(signal), otlp, specific)
        except SettingsError as error:
            problems.append(str(error))
    if problems or own is None or standard is None or otlp is None:
        raise SettingsError("\n".join(dict.fromkeys(problems)))
    return Settings(
        objects=own.objects,
        state=own.state,
        capture=own.capture,
        health=own.health,
        http=own.http,
        trace=own.trace,
        pipeline=own.pipeline,
        log=own.log,
        standard=standard,
        otlp=otlp,
        traces=exports["traces"],
        metrics=exports["metrics"],
        logs=exports["logs"],
        given=frozenset(known),
        ignored=tuple(sorted(name for name in given if name not in catalog)),
    )


def _read(
    variables: type[_Variables],
    prefix: str,
    known: Mapping[str, str],
    catalog: Mapping[str, Variable],
    problems: list[str],
) -> _Variables | None:
    """Read one class of variables from ``known``; what is refused is added to ``problems``."""
    source = EnvSettingsSource(variables, env_prefix=prefix.lower())
    source.env_vars = {name.lower(): value for name, value in known.items()}
    try:
        return variables(**source())
    except ValidationError as refusal:
        # include_input=False: what was refused may be a secret in the wrong place.
        for error in refusal.errors(include_url=False, include_input=False):
            path = [part for part in error["loc"] if isinstance(part, str)]
            variable = catalog.get((prefix + "_".join(path)).upper())
            reason = str(error.get("ctx", {}).get("error", ""))
            if variable is None:
                problems.append(reason)
            else:
                reason = reason or _REASONS.get(error["type"], "").format(shape(known[variable.name]))
                problems.append(_refused(variable, reason or shape(known[variable.name])))
        return None


def _refused(variable: Variable, reason: str) -> str:
    default = "" if variable.default in ("", (), {}, None) else " for the default"
    return f"{variable.name} wants {variable.wants}; it holds {reason}. Correct it, or unset it{default}."


def _unknown(name: str, catalog: Mapping[str, Variable]) -> str:
    own = [known for known in catalog if known.startswith(OWN_PREFIX)]
    nearest = difflib.get_close_matches(name, own, n=1, cutoff=0.6)
    fix = f"Did you mean {nearest[0]}?" if nearest else "See 'otel-qtap config' for all names."
    return f"{name} is not a setting of otel-qtap. {fix}"
