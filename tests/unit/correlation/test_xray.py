# SPDX-License-Identifier: Apache-2.0
import pytest
from hypothesis import given
from hypothesis import strategies as st

from otel_qtap.correlation import xray
from otel_qtap.correlation.context import MALFORMED, ObservedContext

ROOT = "1-5759e988-bd862e3fe1be46a994272793"
PARENT = "53995c3f42cd8ad8"
TRACE_ID = bytes.fromhex("5759e988bd862e3fe1be46a994272793")


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"Root={ROOT};Parent={PARENT};Sampled=1", True),
        (f"Root={ROOT};Parent={PARENT};Sampled=0", False),
        (f"Root={ROOT};Parent={PARENT};Sampled=?", None),
        (f"Root={ROOT};Parent={PARENT}", None),
        (f"Sampled=1; Parent={PARENT} ;Root={ROOT}", True),
        (f"Self=1-67891234-12456789abcdef012345678;Root={ROOT};Parent={PARENT};Sampled=1;Lineage=a:1", True),
    ],
)
def test_context(value: str, sampled: bool | None) -> None:
    assert xray.read({"x-amzn-trace-id": value}) == ObservedContext(TRACE_ID, bytes.fromhex(PARENT), sampled)


@pytest.mark.parametrize(
    "fields", [{}, {"x-amzn-trace-id": f"Root={ROOT}"}, {"x-amzn-trace-id": f"Root={ROOT};Sampled=1"}]
)
def test_no_parent_is_no_context(fields: dict[str, str]) -> None:
    assert xray.read(fields) is None


@pytest.mark.parametrize(
    "value",
    [
        "",
        ";;;",
        f"Parent={PARENT}",
        f"Root=2{ROOT[1:]};Parent={PARENT}",
        f"Root={ROOT[:-1]};Parent={PARENT}",
        f"Root={ROOT.replace('-b', '_b')};Parent={PARENT}",
        f"Root=1-00000000-{'0' * 24};Parent={PARENT}",
        f"Root={ROOT};Parent={'0' * 16}",
        f"Root={ROOT};Parent={PARENT[1:]}",
        f"Root={ROOT};Parent={PARENT};Sampled=2",
    ],
)
def test_malformed(value: str) -> None:
    assert xray.read({"x-amzn-trace-id": value}) is MALFORMED


@given(value=st.text() | st.lists(st.text(alphabet="RootParentSampled=10-abcé ")).map(";".join))
def test_never_raises(value: str) -> None:
    found = xray.read({"x-amzn-trace-id": value})
    assert found is None or found is MALFORMED or (len(found.trace_id), len(found.span_id)) == (16, 8)
