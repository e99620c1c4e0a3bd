# SPDX-License-Identifier: Apache-2.0
"""Containers as their users run them; the engine and BPF both take root."""

import os

import pytest


@pytest.fixture(autouse=True, scope="session")
def _as_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("these tests run containers and load BPF programs: run them as root")
