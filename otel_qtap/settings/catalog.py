# SPDX-License-Identifier: Apache-2.0
"""The list of all variables, made from the classes that declare them: name, kind, default, description."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, get_args, get_origin

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from otel_qtap.settings.endpoints import GENERIC_PREFIX
from otel_qtap.settings.model import QtapVariables
from otel_qtap.settings.otel import SIGNALS, OtlpVariables, StandardVariables
from otel_qtap.settings.values import LARGEST, Secret, Wants


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable that the agent reads."""

    name: str
    section: str
    """Heading that it stands under: the room, or the kind of standard variable."""
    info: FieldInfo

    @property
    def description(self) -> str:
        """What it is for, in sentences of Markdown."""
        return self.info.description or ""

    @property
    def secret(self) -> bool:
        """Whether its value must not be shown."""
        return any(isinstance(item, Secret) for item in _metadata(self.info))

    @property
    def default(self) -> Any:
        """The value that it has when unset."""
        return self.info.get_default(call_default_factory=True, validated_data={})

    @property
    def wants(self) -> str:
        """What it takes, to follow the word "wants"."""
        kind = next((item.text for item in _metadata(self.info) if isinstance(item, Wants)), "")
        words = _words(self.info.annotation)
        if not kind and words:
            return "one of " + ", ".join(words)
        kind = kind or ("a number" if self.info.annotation is float else "text")
        least = _bound(self.info, "ge")
        above = _bound(self.info, "gt")
        most = _bound(self.info, "le")
        if most == LARGEST:
            most = None
        if above is not None:
            return f"{kind}, above {above}" + (f" and at most {most}" if most is not None else "")
        if least is not None:
            return f"{kind}, from {least} to {most}" if most is not None else f"{kind}, at least {least}"
        return kind


def qtap_variables() -> Iterator[Variable]:
    """The agent's own variables, room by room."""
    for room, room_info in QtapVariables.model_fields.items():
        for field, info in room_class(room_info).model_fields.items():
            yield Variable(f"OTEL_QTAP_{room}_{field}".upper(), room, info)


def standard_variables() -> Iterator[Variable]:
    """The honoured variables of the OpenTelemetry specification."""
    for field, info in StandardVariables.model_fields.items():
        yield Variable(f"OTEL_{field}".upper(), "standard", info)
    for section in ("", *SIGNALS):
        prefix = GENERIC_PREFIX + (f"{section.upper()}_" if section else "")
        for field, info in OtlpVariables.model_fields.items():
            yield Variable(prefix + field.upper(), section or "otlp", info)


def room_class(info: FieldInfo) -> type[BaseModel]:
    """The class of a room, from the field that holds it."""
    assert isinstance(info.annotation, type)
    assert issubclass(info.annotation, BaseModel)
    return info.annotation


def _metadata(info: FieldInfo) -> Iterator[object]:
    yield from info.metadata
    for member in get_args(info.annotation):
        yield from getattr(member, "__metadata__", ())


def _bound(info: FieldInfo, name: str) -> object:
    return next((value for item in info.metadata if (value := getattr(item, name, None)) is not None), None)


def _words(annotation: object) -> tuple[str, ...]:
    if get_origin(annotation) is Literal:
        return tuple(word for word in get_args(annotation) if word)
    return ()
