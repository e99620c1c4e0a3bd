# SPDX-License-Identifier: Apache-2.0
import os
from collections.abc import Callable

from otel_qtap.agent.ledger import Balance, Ledger


def in_child(work: Callable[[], object]) -> None:
    """Run in a pipeline's place: a process that then dies without a word."""
    pid = os.fork()
    if pid == 0:
        work()
        os._exit(0)
    os.waitpid(pid, 0)


def test_what_a_pipeline_owed_outlives_it_and_is_taken_once() -> None:
    ledger, balance = Ledger(), Balance(exchanges=10, settled=7, open_connections=2)
    in_child(lambda: ledger.write(balance))

    left = ledger.take()
    assert left == balance
    assert left.owed == 3
    assert ledger.take() is None


def test_a_pipeline_that_left_in_order_owes_nothing() -> None:
    ledger = Ledger()
    in_child(lambda: (ledger.write(Balance(exchanges=10)), ledger.clear()))

    assert ledger.take() is None


def test_a_pipeline_that_died_before_its_first_exchange_has_been_there() -> None:
    ledger = Ledger()
    in_child(lambda: ledger.write(Balance()))

    assert ledger.take() == Balance()


def test_more_settled_than_finished_is_not_owed() -> None:
    assert Balance(exchanges=1, settled=2).owed == 0
