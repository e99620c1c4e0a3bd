# SPDX-License-Identifier: Apache-2.0
import argparse
from pathlib import Path

import pytest

from otel_qtap.cli import configuration


def parse(*arguments: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    configuration.add_option(parser)
    return parser.parse_args(arguments)


def test_the_chosen_file_is_read_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text("objects: {url: 'none:', segment_seconds: 3}\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("OTEL_QTAP_OBJECTS_URL", "memory:")
    settings = configuration.settings(parse("--config", "config.yaml"))

    assert (settings.objects.url, settings.objects.segment_seconds) == ("memory:", 3)
    assert settings.config.file == tmp_path / "config.yaml"


def test_without_a_file_there_is_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_QTAP_OBJECTS_URL", "memory:")
    monkeypatch.setenv("OTEL_QTAP_CONFIG_FILE", "")

    assert configuration.settings(parse()).objects.url == "memory:"
