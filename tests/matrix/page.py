# SPDX-License-Identifier: Apache-2.0
"""docs/coverage.md, made from the results of the matrix: ``python -m tests.matrix.page``."""

from collections.abc import Mapping

from tests.matrix import results
from tests.matrix.results import Result
from tests.matrix.row import CONNECTIONS, ROUNDS

_HEAD = f"""\
# Coverage

Which runtimes and TLS libraries the agent captures, as the tests found it: this page is made from their
results by `make matrix`, and not written by hand.

Each row is a test with real programs, a client and a server in processes of their own: {CONNECTIONS}
connections in parallel, half of them TLS 1.2 and half TLS 1.3, {ROUNDS} messages each way on each, of up to
40 KB. Every message says which connection it belongs to, by its ports, and what its bytes are. **exact**
means: everything was captured, byte for byte, in the right order, at both ends, and each event had the right
addresses and the right role. Where a runtime was tested in one role only, a program of CPython was the other
end.

*Bound by* is how the agent knew the addresses of a connection (span attribute `qtap.peer.source`).

| Runtime | TLS library | Protocol | As client | As server | Bound by |
|---|---|---|---|---|---|
"""
_REFUSED = """
## Refused, or without addresses

| Runtime | TLS library | Protocol | Why |
|---|---|---|---|
"""


def render(found: Mapping[str, Result]) -> str:
    """The page."""
    lines = [
        f"| {r.runtime} | {r.library} | {r.protocol} | {r.client} | {r.server} | {r.bound_by or '-'} |\n"
        for r in found.values()
    ]
    reasons = [
        f"| {r.runtime} | {r.library} | {r.protocol} | {r.reason} |\n" for r in found.values() if r.reason
    ]
    return _HEAD + "".join(lines) + (_REFUSED + "".join(reasons) if reasons else "")


if __name__ == "__main__":
    print(render(results.read()), end="")
