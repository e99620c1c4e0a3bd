# SPDX-License-Identifier: Apache-2.0
"""Where the kubelet of this node is, and how it is trusted."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
PORT = 10250

_NODE_VARIABLES = ("NODE_IP", "K8S_NODE_IP", "HOST_IP", "NODE_NAME", "K8S_NODE_NAME")
"""Under which names pod specifications usually put the node's address."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KubeletAccess:
    """How one kubelet is asked."""

    url: str
    """``https://HOST:PORT``; over ``http`` no token is sent."""
    certificate: str = ""
    """File of the authorities that sign its certificate; empty means those of the service account."""
    verify: bool = True


def kubelet_url(environment: Mapping[str, str] = os.environ, account: Path = SERVICE_ACCOUNT) -> str:
    """Of the kubelet beside which this runs in a pod; empty where it runs in none or is not told its node."""
    node = next((environment[name] for name in _NODE_VARIABLES if environment.get(name)), "")
    if not node or not (account / "token").exists():
        return ""
    return f"https://[{node}]:{PORT}" if ":" in node else f"https://{node}:{PORT}"
