# SPDX-License-Identifier: Apache-2.0
"""What is taken from a document, word for word, and what is refused with its line."""

import pytest

from otel_qtap.settings.document import DocumentError, Entry, Value, read_document, shown


def value(text: str) -> Value:
    (entry,) = read_document(f"room:\n  key: {text}\n").entries
    return entry.value


def faults(text: str) -> list[tuple[int, str]]:
    return [tuple(fault) for fault in read_document(text).faults]


def refusal(text: str) -> tuple[int, str]:
    with pytest.raises(DocumentError) as refused:
        read_document(text)
    return tuple(refused.value.fault)


def test_entries_come_with_their_lines() -> None:
    document = read_document(
        "# comment\nobjects:\n  url: 'memory:'\n\n  tags:\n    a: b\ncapture: {include: [x, y]}\n"
    )

    assert document.sections == {"objects": 2, "capture": 7}
    assert document.entries == [
        Entry("objects", "url", "memory:", 3),
        Entry("objects", "tags", {"a": "b"}, 5),
        Entry("capture", "include", ["x", "y"], 7),
    ]
    assert document.faults == []


@pytest.mark.parametrize(
    "written",
    ["no", "on", "y", "0777", "0x10", "1:30", "190:20:30", "1_000", "1e3", ".inf", "2026-01-01", "="],
)
def test_nothing_is_guessed(written: str) -> None:
    assert value(written) == written


@pytest.mark.parametrize("written", ["", "~", "null"])
def test_nothing_is_nothing(written: str) -> None:
    assert value(written) is None


@pytest.mark.parametrize(
    ("written", "text"), [("'null'", "null"), ('"a\\tb"', "a\tb"), ("|\n    a\n    b", "a\nb\n")]
)
def test_quoted_and_block_text(written: str, text: str) -> None:
    assert value(written) == text


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "~"])
def test_a_file_without_settings(text: str) -> None:
    assert read_document(text) == ({}, [], [], [])


def test_a_section_without_settings() -> None:
    document = read_document("objects:\ncapture: {}\nlog: loud\nhttp: [a]\n")

    assert document.entries == []
    assert document.bare == ["log", "http"]


def test_keys_given_twice_are_refused_with_both_lines() -> None:
    assert faults("a:\n  x: 1\n  y: 2\n  x: 3\na:\n  z: 1\n") == [
        (4, "x stands here again, after line 2: remove one"),
        (5, "a stands here again, after line 1: remove one"),
    ]
    assert faults("a:\n  tags:\n    k: 1\n    k: hunter2\n") == [(4, "a.tags holds a key twice: remove one")]


@pytest.mark.parametrize(
    ("written", "what"),
    [
        ("!!python/object/apply:os.system [id]", "a tag (!name): write the value without it"),
        ("!!binary aGVsbG8=", "a tag (!name): write the value without it"),
        ("!include x", "a tag (!name): write the value without it"),
        ("[[a]]", "an item that is no plain value"),
        ("[{a: b}]", "an item that is no plain value"),
        ("{a: [b]}", "a value that is no plain one"),
        ("{[a]: b}", "a key that is no plain word"),
    ],
)
def test_values_that_no_setting_has(written: str, what: str) -> None:
    assert faults(f"room:\n  key: {written}\n") == [(2, f"room.key holds {what}")]


def test_a_key_that_is_no_word() -> None:
    assert faults("? [a]\n: b\n") == [(1, "a key should be a plain word")]


def test_aliases_cannot_expand_without_end() -> None:
    laughs = "\n".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 30))

    assert refusal(f"a0: &a0 [x]\n{laughs}\n") == (2, "an alias (*name) is not taken: write the value out")
    assert refusal("a: &a\n  x: 1\nb:\n  <<: *a\n")[0] == 4


def test_no_depth_exhausts_the_stack() -> None:
    assert refusal("a: " + "[" * 100_000)[1].startswith("nested too deeply")


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("a:\n  b: 1\n c: 2\n", 3, "no valid YAML: while parsing a block mapping, expected <block end>"),
        ("a:\n\tb: 1\n", 2, "no valid YAML"),
        ("a:\n  b: none:\n", 2, "no valid YAML: mapping values are not allowed here; quote a value"),
        ("a:\n  b: [x\n", 3, "no valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "no valid YAML: expected a single document"),
        ("a:\n  b: 1\x07\n", 2, "no valid YAML: a control character"),
        ("- a\n- b\n", 1, "there should be sections"),
        ("just text\n", 1, "there should be sections"),
    ],
)
def test_what_is_no_document(text: str, line: int, what: str) -> None:
    found = refusal(text)

    assert found[0] == line
    assert found[1].startswith(what)


def test_no_fault_repeats_a_value() -> None:
    for text in ("a:\n  b: [[hunter2]]\n", "a:\n  b: {k: 1, k: hunter2}\n", "a:\n  b: !x hunter2\n"):
        assert "hunter2" not in str(read_document(text).faults)
    for text in ("a:\n  b: 'hunter2\n", "a: hunter2: hunter2\n", "hunter2\n", 'a:\n  b: "\\q hunter2"\n'):
        assert "hunter2" not in str(refusal(text))


def test_keys_of_others_are_shown_on_one_short_line() -> None:
    assert shown("a\x1b[31m\nb") == "'a\\x1b[31m\\nb'"
    assert len(shown("x" * 500)) < 100
