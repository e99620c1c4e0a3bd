# SPDX-License-Identifier: Apache-2.0
"""A store with one exchange, and the viewer over it without its sockets."""

from collections.abc import Callable
from pathlib import Path

import pytest

from otel_qtap.model.classified import ClassifiedExchange
from otel_qtap.model.record import Record
from otel_qtap.objectstore.memory import MemoryStore
from tests.support.payload_store import store_exchanges

StoreAll = Callable[..., list[Record]]


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def stored(store: MemoryStore, tmp_path: Path) -> StoreAll:
    """Stores exchanges in ``store``; returns their records."""

    def store_all(*items: ClassifiedExchange) -> list[Record]:
        return store_exchanges(store, tmp_path / "state", *items)

    return store_all
