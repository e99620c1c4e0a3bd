# SPDX-License-Identifier: Apache-2.0
import threading

import pytest

from otel_qtap.telemetry.batching import MAX_REQUEST_BYTES, BatchQueue
from otel_qtap.telemetry.limits import BatchLimits
from otel_qtap.telemetry.otlp.requests import Group, Signal
from otel_qtap.telemetry.otlp.wire import delimited

GROUP = Group(b"", b"", "")
HOUR = 3_600_000


class Requests:
    """Takes requests and lets a test wait for them."""

    def __init__(self):
        self._changed = threading.Condition()
        self.sizes = []
        self.bytes = []

    def put(self, request):
        with self._changed:
            self.sizes.append(request.items)
            self.bytes.append(len(request.body))
            self._changed.notify_all()

    def wait_for(self, *sizes):
        with self._changed:
            assert self._changed.wait_for(lambda: self.sizes == list(sizes), 10), self.sizes


@pytest.fixture
def requests():
    return Requests()


@pytest.fixture
def queue_of(requests):
    queues = []

    def make(**limits):
        queue = BatchQueue(signal=Signal.TRACES, limits=BatchLimits(**limits), put_request=requests.put)
        queues.append(queue)
        return queue

    yield make
    for queue in queues:
        queue.stop()


def item(size=10):
    return delimited(b"\x12", b"x" * size)


def test_full_batch_is_sent_before_it_is_due(queue_of, requests):
    queue = queue_of(schedule_delay_ms=HOUR, max_export_batch_size=3)
    queue.start()
    for _ in range(4):
        queue.append(GROUP, item())
    requests.wait_for(3)
    assert queue.waiting == 1


def test_what_is_due_is_sent_though_no_batch_is_full(queue_of, requests):
    queue = queue_of(schedule_delay_ms=10, max_export_batch_size=100)
    queue.start()
    queue.append(GROUP, item())
    requests.wait_for(1)


def test_no_delay_means_at_once(queue_of, requests):
    queue = queue_of(schedule_delay_ms=0, max_export_batch_size=100)
    queue.start()
    queue.append(GROUP, item())
    requests.wait_for(1)


def test_full_queue_refuses_and_counts(queue_of, requests):
    queue = queue_of(max_queue_size=2)
    assert [queue.append(GROUP, item()) for _ in range(5)] == [True, True, False, False, False]
    assert (queue.accepted, queue.dropped, queue.waiting, queue.capacity) == (2, 3, 2, 2)
    queue.drain()
    assert requests.sizes == [2]
    assert queue.append(GROUP, item())


def test_batch_larger_than_the_queue_is_cut_to_it(queue_of, requests):
    queue = queue_of(schedule_delay_ms=HOUR, max_queue_size=2, max_export_batch_size=512)
    queue.start()
    queue.append(GROUP, item())
    queue.append(GROUP, item())
    requests.wait_for(2)


def test_requests_stay_below_four_mebibytes(queue_of, requests):
    queue = queue_of(max_queue_size=100, max_export_batch_size=100)
    groups = [Group(b"r" * 1000, b"s" * 100, "") for _ in range(10)]
    for number in range(100):
        queue.append(groups[number % 10], item(100_000))
    queue.drain()
    assert sum(requests.sizes) == 100
    assert max(requests.bytes) <= MAX_REQUEST_BYTES
    assert len(requests.sizes) == 3


def test_item_larger_than_a_request_goes_alone(queue_of, requests):
    queue = queue_of()
    for size in (10, MAX_REQUEST_BYTES + 10, 10):
        queue.append(GROUP, item(size))
    queue.drain()
    assert requests.sizes == [1, 1, 1]


def test_stop_sends_everything(queue_of, requests):
    queue = queue_of(schedule_delay_ms=HOUR, max_export_batch_size=2)
    queue.start()
    assert queue.is_running
    for _ in range(5):
        queue.append(GROUP, item())
    queue.stop()
    assert not queue.is_running
    assert sum(requests.sizes) == 5


def test_what_is_appended_while_others_drain_is_sent_once(queue_of, requests):
    queue = queue_of(schedule_delay_ms=1, max_queue_size=100_000, max_export_batch_size=64)
    queue.start()
    appended = threading.Event()

    def drain_on():
        while not appended.is_set():
            queue.drain()

    threads = [threading.Thread(target=drain_on) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(8000):
        queue.append(GROUP, item())
    appended.set()
    for thread in threads:
        thread.join()
    queue.stop()
    assert sum(requests.sizes) == 8000 == queue.accepted
