# SPDX-License-Identifier: Apache-2.0
from otel_qtap.objectstore.own_requests import MARK, is_own


def test_only_requests_with_this_agents_mark_are_its_own() -> None:
    assert is_own(f"Boto3/1.42 md/Botocore#1.42 {MARK}")
    assert not is_own("Boto3/1.42 md/Botocore#1.42 otel-qtap/0123456789abcdef")
    assert not is_own("")
