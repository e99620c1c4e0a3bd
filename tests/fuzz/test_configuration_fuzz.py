# SPDX-License-Identifier: Apache-2.0
"""Configuration files of any content are taken or refused with a line; nothing else ever happens."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from otel_qtap.errors import SettingsError
from otel_qtap.settings import load_settings
from otel_qtap.settings.catalog import qtap_variables, standard_variables
from otel_qtap.settings.document import DocumentError, read_document

KEYS = [variable.key.split(".") for variable in (*qtap_variables(), *standard_variables())]
YAML_PARTS = st.sampled_from(
    [*"ab:[]{},|>'\"\\#~\t\n@", ": ", "  ", "- ", "&x ", "*x", "!t ", "\\U00110000", "\\ud800", "? ", "<<"]
)


@given(st.one_of(st.text(), st.lists(YAML_PARTS).map("".join)))
@example('a: "\\UFFFFFFFF"')
@example("a: " + "{" * 5000)
@example("- " * 5000)
def test_any_text_is_a_document_or_is_refused_with_a_line(text: str) -> None:
    try:
        document = read_document(text)
        lines = [entry.line for entry in document.entries]
    except DocumentError as error:
        lines = [error.fault.line]
    assert all(1 <= line <= len(text) + 1 for line in lines)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("configuration") / "config.yaml"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(key=st.sampled_from(KEYS), value=st.text(alphabet=st.characters(codec="utf-8")))
def test_any_value_is_taken_or_refused_without_being_repeated(path: Path, key: list[str], value: str) -> None:
    marked = f"hunter2{value}"
    quoted = marked.replace("'", "''").replace("\n", " ")
    path.write_text(f"{key[0]}:\n  {key[1]}: '{quoted}'\n", encoding="utf-8")
    path.chmod(0o600)
    told = str(path)
    try:
        load_settings({"OTEL_QTAP_CONFIG_FILE": str(path)})
    except SettingsError as error:
        told = str(error)
    assert str(path) in told
    assert "hunter2" not in told
