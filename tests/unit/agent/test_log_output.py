# SPDX-License-Identifier: Apache-2.0
import io
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator

import pytest

from otel_qtap.agent import log_output
from otel_qtap.agent.log_output import set_up_logging


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("otel_qtap")
    before = (root.handlers[:], root.level, ours.level)
    yield
    root.handlers[:], root.level, ours.level = before
    logging.captureWarnings(capture=False)
    logging.raiseExceptions = True
    root.manager._clear_cache()  # type: ignore[attr-defined]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_json_lines_where_no_terminal_is() -> None:
    stream = io.StringIO()
    set_up_logging("info", "auto", stream)

    logging.getLogger("otel_qtap.capture").warning("attached %d probes", 3)

    line = json.loads(stream.getvalue())
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line.pop("timestamp"))
    assert line == {
        "severity_text": "WARN",
        "severity_number": 13,
        "body": "attached 3 probes",
        "instrumentation_scope": "otel_qtap.capture",
        "attributes": {"qtap.process.role": "supervisor", "process.pid": os.getpid()},
    }


@pytest.mark.parametrize(
    ("level", "text", "number"),
    [("debug", "DEBUG", 5), ("info", "INFO", 9), ("error", "ERROR", 17), ("critical", "FATAL", 21)],
)
def test_severities_are_those_of_the_log_data_model(level: str, text: str, number: int) -> None:
    stream = io.StringIO()
    set_up_logging("debug", "json", stream)
    getattr(logging.getLogger("otel_qtap"), level)("x")
    line = json.loads(stream.getvalue())

    assert (line["severity_text"], line["severity_number"]) == (text, number)


def test_events_have_names_and_attributes() -> None:
    stream = io.StringIO()
    set_up_logging("info", "json", stream)
    extra = {"event_name": "qtap.reload", "attributes": {"file": "a\x1bb", "changed": ["x"]}}
    logging.getLogger("otel_qtap").info("reloaded", extra=extra)
    line = json.loads(stream.getvalue())

    assert line["event_name"] == "qtap.reload"
    assert line["attributes"].items() >= {"file": "a\\x1bb", "changed": ["x"]}.items()


def test_each_process_says_which_it_is() -> None:
    stream = io.StringIO()
    set_up_logging("info", "json", stream)
    log_output.set_role("pipeline")
    try:
        logging.getLogger("otel_qtap").info("x")
    finally:
        log_output.set_role("supervisor")

    assert json.loads(stream.getvalue())["attributes"]["qtap.process.role"] == "pipeline"


def test_the_log_goes_where_it_was_redirected_to_also_when_set_up_again() -> None:
    first, second = io.StringIO(), io.StringIO()
    set_up_logging("info", "text", first)
    log_output.redirect(second)
    try:
        logging.getLogger("otel_qtap").info("one")
        set_up_logging("info", "json")
        logging.getLogger("otel_qtap").info("two")
    finally:
        log_output.redirect(None)

    assert first.getvalue() == ""
    assert second.getvalue().splitlines()[0].endswith("one")
    assert json.loads(second.getvalue().splitlines()[1])["body"] == "two"


def test_warnings_of_libraries_are_lines_like_others() -> None:
    stream = io.StringIO()
    set_up_logging("info", "json", stream)
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        warnings.showwarning("old\nway", DeprecationWarning, __file__, 1)

    assert "old\\nway" in json.loads(stream.getvalue())["body"]


@pytest.mark.parametrize(("no_color", "coloured"), [(None, True), ("1", False)])
def test_colour_is_for_terminals_that_want_it(
    no_color: str | None, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    if no_color:
        monkeypatch.setenv("NO_COLOR", no_color)
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        set_up_logging("info", "text", stream)
        logging.getLogger("otel_qtap").error("x")

    assert ("\x1b[31merror" in terminal.getvalue()) is coloured
    assert "\x1b" not in file.getvalue()


def test_text_on_a_terminal_and_where_asked_for() -> None:
    for stream, form in ((Terminal(), "auto"), (io.StringIO(), "text")):
        set_up_logging("info", form, stream)  # type: ignore[arg-type]
        logging.getLogger("otel_qtap.capture").info("ready")
        assert stream.getvalue().endswith(" supervisor otel_qtap.capture ready\n")
        assert " info " in stream.getvalue().replace("\x1b[32m", "")


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


def test_lists_of_names_write_nothing_on_the_terminal_either() -> None:
    stream = io.StringIO()
    set_up_logging("info", "json", stream)
    extra = {"attributes": {"files": ["a\x9b31m\x7f"]}}
    logging.getLogger("otel_qtap").info("found", extra=extra)

    line = stream.getvalue().removesuffix("\n")
    assert line.isprintable()
    assert json.loads(line)["attributes"]["files"] == ["a\x9b31m\x7f"]
