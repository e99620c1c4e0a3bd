# SPDX-License-Identifier: Apache-2.0
from otel_qtap.probes.registry import LIBRARIES
from otel_qtap.probes.spec import Count, Hook


def test_library_ids_are_distinct_and_fit_the_cookie():
    ids = [library.library_id for library in LIBRARIES]
    assert len(set(ids)) == len(ids)
    assert all(0 < library_id < 256 for library_id in ids)


def test_count_pointers_lie_within_the_arguments_that_a_site_must_leave_intact():
    needed = {Count.RC: 0, Count.ARG4: 4, Count.ARG5: 5}
    for library in LIBRARIES:
        for path in library.data_paths:
            for probe in (*path.public, *(inner.function for inner in path.inner)):
                assert probe.nargs >= max(needed[probe.count], 3), probe.symbol
                assert probe.needs_return, probe.symbol


def test_every_library_can_read_write_and_end_a_conversation():
    for library in LIBRARIES:
        if library.name == "go":  # its methods are no C functions, and its sockets' ends tell enough
            continue
        hooks = {probe.hook for path in library.data_paths for probe in path.public}
        assert hooks == {Hook.READ, Hook.WRITE}
        assert Hook.FREE in {probe.hook for probe in library.lifecycle}
