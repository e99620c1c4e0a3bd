# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from otel_qtap.terminal import printable, printable_json, printable_lines

HOSTILE = "\x00\x07\t\n\r\x1b[2J\x7f\x85\x9b31m\u2028\u202e\udc80"
"""C0, DEL, C1, separators of lines, a change of direction, a byte of a path that is no UTF-8."""


def test_what_a_terminal_obeys_is_escaped_on_one_line() -> None:
    shown = printable(HOSTILE)
    assert shown.isprintable()
    assert shown.startswith(r"\x00\x07\t\n\r\x1b[2J\x7f\x85\x9b31m")


@pytest.mark.parametrize("text", ["", "/usr/bin/java (deleted)", "/opt/größe/雪"])
def test_visible_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == printable_lines(text) == printable_json(text) == text


def test_line_feeds_and_tabs_of_a_text_of_many_lines_stay() -> None:
    assert printable_lines("a:\tb\r\n\x1b]0;c\r\x85d\n") == "a:\tb\n\\x1b]0;c\\r\\x85d\n"


@pytest.mark.parametrize("text", [HOSTILE, "\U000e0041 beyond the first plane"])
def test_json_means_the_same(text: str) -> None:
    document = printable_json(json.dumps({"text": text}, ensure_ascii=False))
    assert document.isprintable()
    assert json.loads(document) == {"text": text}
