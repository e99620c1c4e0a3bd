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
from tests.matrix.results import Result
from tests.matrix.row import CONNECTIONS, ROUNDS, Place, Row
from tests.matrix.rows import ROWS, reference
from tests.matrix.running import client, new_place, serving, talk, talk_one_by_one
from tests.support.cache import cache_root
from tests.support.pki import Pki

pytestmark = pytest.mark.bpf


@pytest.fixture(scope="module")
def capture() -> Iterator[Capture]:
    plans = cache_root() / "plans"
    plans.mkdir(exist_ok=True)
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
    near, far = run(row, capture, Place(pki, tmp_path, 0, CONNECTIONS, ROUNDS))

    for side, program in ((near, row.client), (far, row.server)):
        if row.refused and program:
            assert not side.bindings, "what is refused is captured"
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


def run(row: Row, capture: Capture, place: Place) -> tuple[Side, Side]:
    """Run a row's programs: what was captured of the client, and of the server."""
    place = new_place(place)
    with serving(row.server or reference(row.protocol, "server"), place) as server:
        place = place._replace(port=server.port)
        calling = row.client or reference(row.protocol, "client")
        if calling.one_process_each:
            capture.probe_what_runs()
            pids = talk_one_by_one(calling, place)
        else:
            with client(calling, place) as process:
                capture.probe_what_runs()
                talk(process, place)
            pids = frozenset({process.pid})
    pieces = capture.take({*pids, *server.pids})
    return (
        look_at([piece for piece in pieces if piece.event.connection.tgid in pids], row.protocol),
        look_at([piece for piece in pieces if piece.event.connection.tgid in server.pids], row.protocol),
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
