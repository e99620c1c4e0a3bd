# SPDX-License-Identifier: Apache-2.0
from otel_qtap.protocols.http1 import HttpOptions
from otel_qtap.protocols.registry import new_protocols


def test_names_are_unique_and_lower_case():
    names = [spec.name for spec in new_protocols(HttpOptions())]
    assert len(set(names)) == len(names) > 0
    assert all(name.isidentifier() and name.islower() for name in names)
