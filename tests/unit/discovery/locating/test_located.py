# SPDX-License-Identifier: Apache-2.0
from otel_qtap.discovery.locating.located import refused
from otel_qtap.probes.openssl import LIBRARY


def test_a_refusal_probes_nothing_and_says_why():
    found = refused(LIBRARY, "two candidates")

    assert (found.functions, found.sites) == ((), ())
    assert [(one.function, one.reason) for one in found.refusals] == [("openssl", "two candidates")]
