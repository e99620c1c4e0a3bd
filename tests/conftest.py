# SPDX-License-Identifier: Apache-2.0
"""What all tests share: depth of property tests, and the certificates of the loopback servers."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.pki import Pki, make_pki

settings.register_profile("fast", max_examples=50, deadline=None)
settings.register_profile("deep", max_examples=10_000, deadline=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fast"))


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """A CA and certificates for localhost, one set a run."""
    return make_pki(Path(tmp_path_factory.mktemp("pki")))
