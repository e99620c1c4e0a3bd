# SPDX-License-Identifier: Apache-2.0
import os
import threading

from otel_qtap.telemetry.otlp.requests import ExportRequest
from otel_qtap.telemetry.otlp.spool import MemorySpool


def request(items=1, size=100, fill=None):
    return ExportRequest(os.urandom(size) if fill is None else fill * size, items)


def test_oldest_first_and_kept_until_acknowledged():
    spool = MemorySpool()
    first, second = request(2), request(3)
    spool.put(first)
    spool.put(second)
    assert spool.take() == first
    assert spool.waiting_items == 5
    spool.ack()
    assert spool.waiting_items == 3
    assert spool.take() == second
    assert not spool.wait_empty(0)
    spool.ack()
    assert spool.wait_empty(0)


def test_oldest_waiting_makes_room_and_is_counted():
    spool = MemorySpool(max_bytes=250)
    requests = [request(items) for items in (1, 2, 4, 8)]
    for one in requests:
        spool.put(one)
    assert spool.dropped_items == 1 + 2
    assert spool.waiting_items == 4 + 8
    assert [spool.take(), spool.take()] == requests[2:]


def test_request_under_way_is_not_dropped():
    spool = MemorySpool(max_bytes=150)
    taken = request(1)
    spool.put(taken)
    assert spool.take() == taken
    spool.put(request(2))
    spool.put(request(4))
    assert spool.dropped_items == 2
    assert spool.waiting_items == 1 + 4


def test_backlog_is_kept_small_and_comes_back_whole():
    spool = MemorySpool(max_bytes=10_000)
    spool.put(request())
    spool.take()
    backlog = [request(1, 9_000, bytes([number])) for number in range(10)]
    for one in backlog:
        spool.put(one)
    assert spool.dropped_items == 0
    spool.ack()
    for one in backlog:
        assert spool.take() == one
        spool.ack()


def test_request_larger_than_the_spool_is_kept_alone():
    spool = MemorySpool(max_bytes=10)
    large = request(1, 500)
    spool.put(large)
    assert spool.take() == large


def test_take_waits_for_a_request():
    spool = MemorySpool()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(spool.take()))
    thread.start()
    one = request()
    spool.put(one)
    thread.join(10)
    assert taken == [one]


def test_close_ends_waiting_and_keeps_what_is_there():
    spool = MemorySpool()
    taken = []
    thread = threading.Thread(target=lambda: taken.append(spool.take()))
    thread.start()
    spool.close()
    thread.join(10)
    assert taken == [None]
    spool.put(request(3))
    assert spool.take() is None
    assert spool.waiting_items == 3
