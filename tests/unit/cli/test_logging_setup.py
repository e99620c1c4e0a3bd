# SPDX-License-Identifier: Apache-2.0
import io
import json
import logging
from collections.abc import Iterator

import pytest

from otel_qtap.cli.logging_setup import set_up_logging


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("otel_qtap")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], root.level, ours.level = before
    root.manager._clear_cache()  # type: ignore[attr-defined]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_lines_where_no_terminal_is() -> None:
    stream = io.StringIO()
    set_up_logging("info", "auto", stream)

    logging.getLogger("otel_qtap.capture").warning("attached %d probes", 3)

    line = json.loads(stream.getvalue())
    assert line.pop("time").endswith("+00:00")
    assert line == {"level": "warn", "logger": "otel_qtap.capture", "message": "attached 3 probes"}


def test_text_on_a_terminal_and_where_asked_for() -> None:
    for stream, form in ((Terminal(), "auto"), (io.StringIO(), "text")):
        set_up_logging("info", form, stream)  # type: ignore[arg-type]
        logging.getLogger("otel_qtap.capture").info("ready")
        assert stream.getvalue().endswith(" info  otel_qtap.capture ready\n")


def test_levels_of_the_agent_and_of_its_libraries() -> None:
    stream = io.StringIO()
    set_up_logging("debug", "text", stream)

    logging.getLogger("otel_qtap.capture").debug("ours")
    logging.getLogger("urllib3.connectionpool").info("theirs, with a URL")

    assert "ours" in stream.getvalue()
    assert "theirs" not in stream.getvalue()


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_exception_shows_its_type_only(form: str) -> None:
    stream = io.StringIO()
    set_up_logging("info", form, stream)  # type: ignore[arg-type]

    try:
        raise ValueError("hunter2")
    except ValueError:
        logging.getLogger("otel_qtap.agent").exception("a room failed")

    assert "ValueError" in stream.getvalue()
    assert "hunter2" not in stream.getvalue()
    assert stream.getvalue().count("\n") == 1


def test_setting_up_again_replaces() -> None:
    first, second = io.StringIO(), io.StringIO()
    set_up_logging("info", "text", first)
    set_up_logging("info", "text", second)

    logging.getLogger("otel_qtap").info("once")

    assert (first.getvalue(), second.getvalue().count("once")) == ("", 1)


@pytest.mark.parametrize("form", ["text", "json"])
def test_names_that_others_chose_write_nothing_on_the_terminal(form: str) -> None:
    stream = io.StringIO()
    set_up_logging("info", form, stream)  # type: ignore[arg-type]

    logging.getLogger("otel_qtap.agent").warning(
        "probing %s", "/tmp/libssl\x1b]0;owned\x07\n2026 error forged.so é"
    )

    assert stream.getvalue().count("\n") == 1
    assert not set(stream.getvalue()[:-1]) & {"\x1b", "\x07", "\n"}
    assert "é" in stream.getvalue()
