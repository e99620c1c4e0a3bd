# SPDX-License-Identifier: Apache-2.0
"""Every row: real programs, both roles, captured byte for byte and bound to the right addresses."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from otel_qtap.model.identity import Role
from tests.matrix import results
from tests.matrix.capture import Capture, capturing
from tests.matrix.checking import Side, compare, look_at, require_all
from tests.matrix.protocols import Protocol
from tests.matrix.results import Result
from tests.matrix.row import CONNECTIONS, ROUNDS, Place, Row
from tests.matrix.rows import ROWS, reference
from tests.matrix.running import client, new_place, serving, talk, talk_one_by_one
from tests.support import remembered_plans
from tests.support.pki import Pki

pytestmark = pytest.mark.bpf


@pytest.fixture(scope="module")
def capture() -> Iterator[Capture]:
    plans = remembered_plans.kept()
    plans.mkdir(mode=0o700, exist_ok=True)
    with capturing(plans) as running:
        yield running


@pytest.fixture(scope="module")
def found() -> Iterator[dict[str, Result]]:
    """What the rows came to; kept when OTEL_QTAP_TEST_MATRIX=write, which `make matrix` sets."""
    new: dict[str, Result] = {}
    yield new
    if os.environ.get("OTEL_QTAP_TEST_MATRIX") == "write":
        results.write(new, [row.name for row in ROWS])


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_row(row: Row, capture: Capture, found: dict[str, Result], pki: Pki, tmp_path: Path) -> None:
    near, far, reasons = run(row, capture, Place(pki, tmp_path, 0, CONNECTIONS, ROUNDS))

    for side, program in ((near, row.client), (far, row.server)):
        if row.refused and program:
            assert not side.bindings, "what is refused is captured"
            assert row.refused in reasons
            continue
        require_all(side, CONNECTIONS, ROUNDS)
        assert side.bindings["wrong"] == 0
        if not (row.unbound and program):
            assert side.bindings["unbound"] == 0
    if not row.refused:
        compare(near, far, row.protocol)
        if not row.unbound:
            assert (set(near.roles), set(far.roles)) == ({Role.CLIENT}, {Role.SERVER})
    found[row.name] = result(row, near, far)


@pytest.fixture(scope="module")
def old_capture() -> Iterator[Capture]:
    """As on a kernel before 6.3, which tells sends and receives by syscalls, and before 6.6."""
    with capturing(remembered_plans.kept(), "perf") as running:
        yield running


@pytest.mark.parametrize("runtime", ["asyncio", "Node.js 20"])
def test_row_on_an_older_kernel(runtime: str, old_capture: Capture, pki: Pki, tmp_path: Path) -> None:
    row = next(row for row in ROWS if row.runtime == runtime and row.protocol is Protocol.RAW)
    near, far, _ = run(row, old_capture, Place(pki, tmp_path, 0, CONNECTIONS, ROUNDS))

    for side in near, far:
        require_all(side, CONNECTIONS, ROUNDS)
        assert set(side.bindings) == {"right"}
    compare(near, far, row.protocol)


def run(row: Row, capture: Capture, place: Place) -> tuple[Side, Side, set[str]]:
    """Run a row's programs: what was captured of the client and of the server, and why of others nothing."""
    reasons: set[str] = set()
    place = new_place(place)
    with serving(row.server or reference(row.protocol, "server"), place) as server:
        place = place._replace(port=server.port)
        calling = row.client or row.caller or reference(row.protocol, "client")
        if calling.one_process_each:
            capture.probe_what_runs()
            pids = talk_one_by_one(calling, place)
        else:
            with client(calling, place) as process:
                capture.probe_what_runs()
                reasons = capture.reasons(process.pid)
                talk(process, place)
            pids = frozenset({process.pid})
    pieces = capture.take({*pids, *server.pids})
    return (
        look_at([piece for piece in pieces if piece.event.connection.tgid in pids], row.protocol),
        look_at([piece for piece in pieces if piece.event.connection.tgid in server.pids], row.protocol),
        reasons,
    )


def result(row: Row, near: Side, far: Side) -> Result:
    """What goes into the list."""
    captured = "refused" if row.refused else "exact"
    tested = [side for side, program in ((near, row.client), (far, row.server)) if program]
    return Result(
        runtime=row.runtime,
        library=row.library,
        protocol=row.protocol.value,
        client=captured if row.client else "not tested",
        server=captured if row.server else "not tested",
        bound_by=", ".join(sorted(set().union(*(side.sources for side in tested)))),
        reason=row.refused or row.unbound,
    )
