# SPDX-License-Identifier: Apache-2.0
"""What unit tests of several rooms share: loaded BPF programs, with nothing attached."""

import os
from collections.abc import Iterator

import pytest

from otel_qtap.capture.session import KernelSession, Loading
from tests.support.cache import compiled_programs
from tests.support.old_kernel import offsets_for


@pytest.fixture(scope="module", params=["multi"])
def kernel_session(request: pytest.FixtureRequest) -> Iterator[KernelSession]:
    """Programs and maps of the module's own; parametrized with ``perf``, for the other way of attaching."""
    if os.geteuid() != 0:
        pytest.skip("loading BPF programs takes root")
    session = Loading(
        interpreter="/usr/bin/python3",
        offsets=lambda: offsets_for(request.param),
        attach=request.param,
        data_ring_bytes=1 << 20,
        cache=compiled_programs(request.param),
    ).result()
    yield session
    session.close()
