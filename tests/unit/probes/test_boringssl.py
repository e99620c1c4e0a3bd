# SPDX-License-Identifier: Apache-2.0
from otel_qtap.probes.boringssl import LIBRARY
from otel_qtap.probes.spec import Count


def test_only_the_functions_that_carry_plaintext_are_probed_and_never_a_peek():
    data = [probe for path in LIBRARY.data_paths for probe in path.public]
    assert [(probe.symbol, probe.count, probe.nargs) for probe in data] == [
        ("SSL_read", Count.RC, 3),
        ("SSL_write", Count.RC, 3),
    ]
    assert not any("peek" in probe.symbol for probe in LIBRARY.lifecycle)
    assert not any(path.inner for path in LIBRARY.data_paths)


def test_no_file_is_taken_for_it_by_its_name():
    assert LIBRARY.path_marks == ()
