# SPDX-License-Identifier: Apache-2.0
"""The example is a file that the agent takes, as it is and with everything uncommented."""

import re
from pathlib import Path

from otel_qtap.settings import load_settings
from otel_qtap.settings.catalog import qtap_variables, standard_variables
from otel_qtap.settings.effective import effective_settings
from otel_qtap.settings.example import render
from otel_qtap.settings.otel import SIGNALS


def load(path: Path, text: str, **environ: str):
    path.write_text(text)
    path.chmod(0o600)
    return load_settings({"OTEL_QTAP_CONFIG_FILE": str(path), **environ})


def uncommented() -> str:
    return re.sub(r"^  # ", "  ", render(), flags=re.MULTILINE)


def test_as_it_is_it_changes_nothing(tmp_path: Path) -> None:
    assert set(load(tmp_path / "config.yaml", render()).sources) == {"OTEL_QTAP_CONFIG_FILE"}


def test_with_everything_uncommented_it_gives_the_defaults(tmp_path: Path) -> None:
    # The account need not exist on this machine.
    text = uncommented().replace("user: otel-qtap", "user: 64123")
    given = load(tmp_path / "config.yaml", text)
    default = load_settings({"OTEL_QTAP_PIPELINE_USER": "64123"})

    changed = {row.name: row.value for row in effective_settings(given)}
    expected = {row.name: row.value for row in effective_settings(default)}
    assert changed.pop("OTEL_QTAP_CONFIG_FILE") == str(tmp_path / "config.yaml")
    expected.pop("OTEL_QTAP_CONFIG_FILE")
    # Written out, the endpoint is a value like any other.
    assert changed.pop("OTEL_EXPORTER_OTLP_ENDPOINT") == "http://localhost:4318"
    expected.pop("OTEL_EXPORTER_OTLP_ENDPOINT")
    assert changed == expected


def test_every_key_is_in_it() -> None:
    keys = set(re.findall(r"^  # (\w+):", render(), flags=re.MULTILINE))
    wanted = {
        variable.key.partition(".")[2]
        for variable in (*qtap_variables(), *standard_variables())
        if variable.in_file and variable.section not in SIGNALS
    }

    assert keys == wanted
