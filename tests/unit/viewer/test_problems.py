# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.errors import NotStoredError, StoreError, TooLargeError
from otel_qtap.viewer.problems import ProblemError, of_store


@pytest.mark.parametrize(
    ("error", "status", "fix"),
    [
        (NotStoredError("no object s3://b/k"), 404, "expired"),
        (TooLargeError("more than 9 bytes"), 413, "otel-qtap payload get"),
        (StoreError("cannot read s3://b/k: SlowDown"), 502, "Try again"),
        (StoreError("cannot read s3://b/k: AccessDenied", retryable=False), 502, "credentials"),
    ],
)
def test_errors_of_the_store_have_a_status_and_a_fix(error: StoreError, status: int, fix: str) -> None:
    problem = of_store(error)
    assert isinstance(problem, ProblemError)
    assert problem.status == status
    assert problem.why == f"{error}."
    assert fix in problem.fix
