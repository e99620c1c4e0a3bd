# SPDX-License-Identifier: Apache-2.0
"""The configuration file: the same settings as the environment, in YAML, each with the line it stands on.

A setting's key is ``<room>.<field>``; the standard ``OTEL_*`` variables stand below ``otel``, in lower case
and without that prefix. This is not the declarative configuration of the OpenTelemetry SDKs. Importing this
module brings the parser, so only who has a file does.
"""

import os
import stat
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from otel_qtap.errors import SettingsError
from otel_qtap.settings.catalog import Variable
from otel_qtap.settings.document import DocumentError, Value, read_document, shown
from otel_qtap.settings.fields import Collection
from otel_qtap.settings.given import Given

_MOST_BYTES = 1 << 20
_DECLARATIVE = (
    "file_format",
    "resource",
    "propagator",
    "tracer_provider",
    "meter_provider",
    "logger_provider",
)


@dataclass(frozen=True, slots=True)
class FileContent:
    """What a file gives, by the name of the variable, and what is wrong in it, a sentence each."""

    given: Mapping[str, Given]
    problems: tuple[str, ...]


def read_file(path: Path, variables: Iterable[Variable]) -> FileContent:
    """Read the settings of ``variables`` from a file. Raises SettingsError when it cannot be read at all."""
    text, others_may_read = _read(path)
    try:
        document = read_document(text)
    except DocumentError as error:
        raise SettingsError(f"{path}:{error.fault.line}: {error.fault.text}") from None
    known = {variable.key: variable for variable in variables}
    sections = {key.partition(".")[0] for key in known}
    problems: list[tuple[int, str]] = [*document.faults]
    for section, line in document.sections.items():
        if section not in sections:
            problems.append((line, _unknown(section, "", known)))
        elif section in document.bare:
            problems.append((line, f"{section} wants 'key: value' below it"))
    given: dict[str, Given] = {}
    secrets = []
    for entry in document.entries:
        key = f"{entry.section}.{entry.key}"
        variable = known.get(key)
        if variable is None:
            if entry.section in sections:
                problems.append((entry.line, _unknown(entry.section, entry.key, known)))
            continue
        if not variable.in_file:
            problems.append((entry.line, f"{key} names this file, so it cannot stand in it"))
            continue
        try:
            value = _as_text(entry.value, variable.declaration.kind.collects)
        except ValueError as error:
            problems.append((entry.line, f"{key} wants {variable.wants_in_file}; it holds {error}"))
            continue
        if value.strip():
            given[variable.name] = Given(value, f"{path}:{entry.line}")
            if variable.secret:
                secrets.append(key)
    told = [f"{path}:{line}: {text}" for line, text in sorted(problems)]
    if secrets and others_may_read:
        told.append(
            f"{path} holds secrets ({', '.join(secrets)}) and everybody may read it: chmod 0600 {path} (in "
            "Kubernetes a Secret with defaultMode 0400), or set them in the environment"
        )
    return FileContent(given, tuple(told))


def _as_text(value: Value, collects: Collection) -> str:
    """A value in the form that its variable takes. Raises ValueError that says what it is instead."""
    match value:
        case None:
            return ""
        case list():
            if collects != "list":
                raise ValueError("a list")
            for position, item in enumerate(value, 1):
                if "," in item:
                    raise ValueError(f"a list whose item {position} of {len(value)} has a comma in it")
            return ",".join(value)
        case dict():
            if collects != "map":
                raise ValueError("a map")
            return ",".join(f"{quote(key, safe='')}={quote(text, safe='')}" for key, text in value.items())
    return value


def _read(path: Path) -> tuple[str, bool]:
    """The text of a file, and whether everybody may read it."""
    try:
        # Not blocking: a name that leads to a pipe is refused, not waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _refuse_strangers(path, status)
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SettingsError(
            f"the configuration file {path} cannot be read: {error.strerror}. Correct OTEL_QTAP_CONFIG_FILE "
            "or --config, or make the file."
        ) from error
    if len(data) > _MOST_BYTES:
        raise SettingsError(f"the configuration file {path} is larger than {_MOST_BYTES} bytes")
    try:
        return data.decode("utf-8-sig"), bool(status.st_mode & stat.S_IROTH)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SettingsError(f"{path}:{line}: not UTF-8: save the file in that encoding") from None


def _refuse_strangers(path: Path, status: os.stat_result) -> None:
    """The file says what a privileged process executes: nobody else may have a say in it."""
    if not stat.S_ISREG(status.st_mode):
        raise SettingsError(f"the configuration file {path} is no regular file")
    if status.st_uid not in (0, os.geteuid()):
        raise SettingsError(
            f"the configuration file {path} belongs to uid {status.st_uid}, who could change it at any "
            f"time: chown root {path}"
        )
    if status.st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        raise SettingsError(f"the configuration file {path} can be written by others: chmod go-w {path}")


def _unknown(section: str, key: str, known: Mapping[str, Variable]) -> str:
    name = f"{shown(section)}.{shown(key)}" if key else shown(section)
    if not key and section in _DECLARATIVE:
        return (
            f"{name} is of the declarative configuration of the OpenTelemetry SDKs, which is another format; "
            "docs/settings.md lists the keys of this one"
        )
    nearest = _nearest(section, key, known)
    fix = f"Did you mean {nearest}?" if nearest else "docs/settings.md and 'otel-qtap config' list all keys."
    return f"{name} is not a setting of otel-qtap. {fix}"


def _nearest(section: str, key: str, known: Mapping[str, Variable]) -> str:
    """The key that was meant: by its variable's name, by its field in another section, or by its looks."""
    import difflib  # noqa: PLC0415 - only for a wrong name

    sections = list(dict.fromkeys(candidate.partition(".")[0] for candidate in known))
    word = key or section
    if by_variable := [candidate for candidate, variable in known.items() if variable.name == word.upper()]:
        return by_variable[0]
    if not key:
        return next(iter(difflib.get_close_matches(section, [*sections, *known], n=1)), "")
    if by_field := [candidate for candidate in known if candidate.partition(".")[2] == key]:
        return by_field[0]
    return next(iter(difflib.get_close_matches(f"{section}.{key}", known, n=1)), "")
