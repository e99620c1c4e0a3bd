# SPDX-License-Identifier: Apache-2.0
"""Two hosts as their programs see them: a network namespace and an address each, and a wire between them."""

import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.support.network import current_network, entered, own_network


@dataclass(frozen=True, slots=True)
class Host:
    """A network with the loopback and one interface, at ``address``."""

    address: str
    _network: int

    @contextmanager
    def inside(self) -> Iterator[None]:
        """This thread, and what it starts, is on the host; what it started stays there."""
        with entered(self._network):
            yield


@contextmanager
def two_hosts() -> Iterator[tuple[Host, Host]]:
    """Hosts that reach each other and nothing else; needs root. Both are this machine, with its processes."""
    with ExitStack() as stack:
        networks = []
        for _ in range(2):
            with own_network():
                networks.append(stack.enter_context(current_network()))
        hosts = [Host(f"10.83.0.{number}", network) for number, network in enumerate(networks, 1)]
        with hosts[0].inside():
            _ip("link", "add", "wire", "type", "veth", "peer", "name", "far")
            _ip("link", "set", "far", "netns", f"/proc/self/fd/{networks[1]}", keep=networks[1])
            _ip("address", "add", f"{hosts[0].address}/24", "dev", "wire")
            _ip("link", "set", "wire", "up")
        with hosts[1].inside():
            _ip("address", "add", f"{hosts[1].address}/24", "dev", "far")
            _ip("link", "set", "far", "up")
        yield hosts[0], hosts[1]


def _ip(*arguments: str, keep: int | None = None) -> None:
    subprocess.run(
        ["ip", *arguments], check=True, capture_output=True, pass_fds=() if keep is None else (keep,)
    )
