# SPDX-License-Identifier: Apache-2.0
"""A real collector accepts every configuration of ``collector-config/``, alone and as they are combined."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.collector_configs import COMBINATIONS, CONFIGS, validate


@pytest.mark.parametrize("names", COMBINATIONS, ids="+".join)
def test_collector_accepts(names: Sequence[str]) -> None:
    verdict = validate(*(CONFIGS / name for name in names))

    assert verdict.returncode == 0, verdict.stderr


def test_every_configuration_is_checked() -> None:
    assert {path.name for path in CONFIGS.glob("*.yaml")} == {
        name for names in COMBINATIONS for name in names
    }


def test_collector_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    misspelt = tmp_path / "misspelt.yaml"
    misspelt.write_text((CONFIGS / "gateway.yaml").read_text().replace("send_batch_size", "send_batch_sise"))

    verdict = validate(misspelt)

    assert verdict.returncode != 0
    assert "send_batch_sise" in verdict.stderr
