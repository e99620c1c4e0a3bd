# SPDX-License-Identifier: Apache-2.0
from otel_qtap.objectstore.memory import MemoryStore


def test_keys_come_in_order_of_arrival(tmp_path):
    store = MemoryStore()
    for name in ("b", "a"):
        (tmp_path / name).write_text(name)
        store.put(name, tmp_path / name, 1)
    assert store.keys() == ("b", "a")
