# SPDX-License-Identifier: Apache-2.0
"""A YAML document of two levels: section, key, value, and the line that each entry stands on.

Every scalar is the text that is written there, as an environment variable's value would be: the kinds of
``values`` make sense of it. So YAML 1.1's own guesses never happen, by which ``no`` is false, ``0777`` is
511 and ``1:30`` is 90. Aliases are refused, because a few lines of them expand without end; so are tags,
which name types, and keys that are given twice, of which one would win in silence.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

Value = str | list[str] | dict[str, str] | None
"""Text, a sequence of texts, or a map of texts; None for nothing, which counts as unset."""

_DEEPEST = 6
_SHOWN = 80
_NOTHING = ("", "~", "null", "Null", "NULL")
_COLON = "mapping values are not allowed here"
_PLAIN_TAGS = tuple(f"tag:yaml.org,2002:{name}" for name in ("str", "seq", "map"))


class Entry(NamedTuple):
    """One setting as it stands in a document."""

    section: str
    key: str
    value: Value
    line: int


class Fault(NamedTuple):
    """What is wrong on a line; it never repeats a value, which may be a secret."""

    line: int
    text: str


class Document(NamedTuple):
    """What is written: sections with their lines, the entries in them, and what is wrong with others."""

    sections: dict[str, int]
    bare: list[str]
    """Sections that hold something else than entries."""
    entries: list[Entry]
    faults: list[Fault]


class DocumentError(ValueError):
    """The text cannot be read at all: it is no YAML, or has no sections."""

    def __init__(self, line: int, text: str) -> None:
        super().__init__(text)
        self.fault = Fault(line, text)


def read_document(text: str) -> Document:
    """Read a whole document. Raises DocumentError."""
    root = _compose(text)
    document = Document({}, [], [], [])
    if root is None or _is_nothing(root):
        return document
    if not isinstance(root, yaml.MappingNode):
        raise DocumentError(_line(root), "there should be sections, each with 'key: value' below it")
    for section, content, line in _pairs(root, document.faults):
        document.sections[section] = line
        if _is_nothing(content):
            continue
        if not isinstance(content, yaml.MappingNode):
            document.bare.append(section)
            continue
        for key, node, key_line in _pairs(content, document.faults):
            try:
                document.entries.append(Entry(section, key, _value(node), key_line))
            except _WrongError as wrong:
                document.faults.append(Fault(wrong.line, f"{shown(section)}.{shown(key)} holds {wrong}"))
    return document


def shown(key: str) -> str:
    """A key as a message may have it: somebody else's text, of a bounded length and on one line."""
    text = key if len(key) <= _SHOWN else f"{key[:_SHOWN]}..."
    return text if text.isprintable() else ascii(text)


class _WrongError(Exception):
    def __init__(self, node: yaml.Node, text: str) -> None:
        super().__init__(text)
        self.line = _line(node)


class _Loader(yaml.BaseLoader):
    """Composes nodes, and resolves nothing."""

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        line = event.start_mark.line + 1
        if isinstance(event, yaml.AliasEvent):
            raise DocumentError(line, "an alias (*name) is not taken: write the value out")
        self.depth += 1
        if self.depth > _DEEPEST:
            raise DocumentError(line, "nested too deeply: there are sections, keys and values")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _compose(text: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
        try:
            node: yaml.Node | None = loader.get_single_node()
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        told = ", ".join(part for part in (error.context, error.problem) if part)
        hint = "; quote a value that has a colon at its end" if told == _COLON else ""
        raise DocumentError(mark.line + 1 if mark else 1, f"no valid YAML: {told}{hint}") from None
    except DocumentError:
        raise
    except (yaml.YAMLError, ValueError, OverflowError):
        # The last two are what the parser makes of escapes beyond Unicode.
        lines = enumerate(text.split("\n"), 1)
        first = next((number for number, line in lines if not _is_text(line)), 1)
        told = "a control character, or an escape that is no character"
        raise DocumentError(first, f"no valid YAML: {told}") from None
    return node


def _is_text(line: str) -> bool:
    return line.replace("\t", "").replace("\r", "").isprintable()


def _pairs(node: yaml.MappingNode, faults: list[Fault]) -> Iterator[tuple[str, yaml.Node, int]]:
    """The keys of a map, each once, with what stands below and the line."""
    seen: dict[str, int] = {}
    for key_node, value_node in node.value:
        line = _line(key_node)
        if not isinstance(key_node, yaml.ScalarNode):
            faults.append(Fault(line, "a key should be a plain word"))
            continue
        key = str(key_node.value)
        if key in seen:
            faults.append(Fault(line, f"{shown(key)} stands here again, after line {seen[key]}: remove one"))
            continue
        seen[key] = line
        yield key, value_node, line


def _value(node: yaml.Node) -> Value:
    if _is_nothing(node):
        return None
    if isinstance(node, yaml.SequenceNode):
        _refuse_tag(node)
        return [_text(item, "an item that is no plain value") for item in node.value]
    if isinstance(node, yaml.MappingNode):
        _refuse_tag(node)
        pairs: dict[str, str] = {}
        for key_node, value_node in node.value:
            key = _text(key_node, "a key that is no plain word")
            if key in pairs:
                raise _WrongError(key_node, "a key twice: remove one")
            pairs[key] = _text(value_node, "a value that is no plain one")
        return pairs
    return _text(node, "no plain value")


def _text(node: yaml.Node, otherwise: str) -> str:
    _refuse_tag(node)
    if not isinstance(node, yaml.ScalarNode):
        raise _WrongError(node, otherwise)
    return str(node.value)


def _refuse_tag(node: yaml.Node) -> None:
    if node.tag not in _PLAIN_TAGS:
        raise _WrongError(node, "a tag (!name): write the value without it")


def _is_nothing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.style is None and node.value in _NOTHING


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
