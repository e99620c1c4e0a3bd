# SPDX-License-Identifier: Apache-2.0
from otel_qtap.protocols.base import ByteBudget


def test_a_budget_grants_what_is_left_and_counts_what_it_refuses():
    budget = ByteBudget(10)
    assert budget.take(7) == 7
    assert budget.take(7) == 3
    assert budget.take(1) == 0
    assert (budget.used, budget.refused) == (10, 5)
    budget.give(4)
    assert budget.take(9) == 4
