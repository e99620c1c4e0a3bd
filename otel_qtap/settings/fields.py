# SPDX-License-Identifier: Apache-2.0
"""How a setting is declared: a dataclass field that carries its kind, its bounds and what it is for."""

from collections.abc import Callable
from dataclasses import Field, dataclass, field
from typing import Any, Generic, Literal, TypeVar, overload

from otel_qtap.settings.shape import shape

Value = TypeVar("Value")
Default = TypeVar("Default")
Collection = Literal["", "list", "map"]

_KEY = "setting"


@dataclass(frozen=True, slots=True)
class Kind(Generic[Value]):
    """A kind of value that several settings can hold."""

    parse: Callable[[str], Value]
    """From text. Raises ValueError that says what is wrong and never repeats the text."""
    wants: str
    """What the setting takes, to follow the word "wants"."""
    largest: int | None = None
    """Bound that all uses share: checked, and too far away to be worth telling."""
    secret: bool = False
    """Whether the value is never shown."""
    collects: Collection = ""
    """What the configuration file may hold instead of the text: a list, or a map."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Declaration:
    """What is known of one setting beside its default: from text to a value within bounds."""

    kind: Kind[Any]
    description: str
    """What it is for, in sentences of Markdown."""
    at_least: float | None
    above: float | None
    at_most: float | None
    most_items: int | None
    takes_restart: bool
    """Whether a change waits for the next start of the agent: a reload keeps the value."""

    @property
    def wants(self) -> str:
        """What it takes, bounds included, to follow the word "wants"."""
        kind, most = self.kind.wants, self.at_most
        if self.above is not None:
            return f"{kind}, above {self.above}" + (f" and at most {most}" if most is not None else "")
        if self.at_least is not None:
            least = self.at_least
            return f"{kind}, from {least} to {most}" if most is not None else f"{kind}, at least {least}"
        return kind

    def read(self, text: str) -> Any:
        """The value; raises ValueError that says what is wrong and never repeats ``text``."""
        try:
            text.encode()
        except UnicodeEncodeError:  # the environment holds bytes; telemetry and terminals take text
            raise ValueError(f"{shape(text)}, not all of them UTF-8") from None
        value = self.kind.parse(text)
        if (self.at_least is not None and value < self.at_least) or (
            self.above is not None and value <= self.above
        ):
            raise ValueError("a smaller one")
        most = self.kind.largest if self.at_most is None else self.at_most
        if most is not None and value > most:
            raise ValueError("a larger one")
        if self.most_items is not None and len(value) > self.most_items:
            raise ValueError("more of them than allowed")
        return value


@overload
def setting(
    kind: Kind[Value],
    description: str,
    *,
    default: Default,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    takes_restart: bool = False,
) -> Value | Default: ...


@overload
def setting(
    kind: Kind[Value],
    description: str,
    *,
    default_factory: Callable[[], Value],
    most_items: int | None = None,
    takes_restart: bool = False,
) -> Value: ...


def setting(
    kind: Kind[Any],
    description: str,
    *,
    at_least: float | None = None,
    above: float | None = None,
    at_most: float | None = None,
    most_items: int | None = None,
    takes_restart: bool = False,
    **default: Any,
) -> Any:
    """Declare a field of a dataclass as a setting; without the defaults that pass through no bound."""
    declared = Declaration(
        kind=kind,
        description=description,
        at_least=at_least,
        above=above,
        at_most=at_most,
        most_items=most_items,
        takes_restart=takes_restart,
    )
    return field(**default, repr=not kind.secret, metadata={_KEY: declared})


def declaration(of: "Field[Any]") -> Declaration:
    """What was declared of a field that ``setting`` made."""
    declared = of.metadata[_KEY]
    assert isinstance(declared, Declaration)
    return declared
