# SPDX-License-Identifier: Apache-2.0
"""Real Go programs, opened."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from otel_qtap.discovery.elf import ElfFile
from otel_qtap.discovery.golang.image import GoImage
from tests.support.go_programs import go_program


@pytest.fixture
def open_go() -> Iterator[Callable[[str], GoImage]]:
    """The test program of a release and a way of building it, as ``1.26/pie``."""
    with ExitStack() as held:
        yield lambda which: GoImage(held.enter_context(ElfFile(str(go_program(*which.split("/"))))))
