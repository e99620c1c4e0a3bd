# SPDX-License-Identifier: Apache-2.0
from pathlib import Path

import pytest

from otel_qtap.discovery.containers.kubelet_access import kubelet_url


@pytest.fixture
def account(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("t")
    return tmp_path


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({"NODE_IP": "10.0.0.7", "NODE_NAME": "n"}, "https://10.0.0.7:10250"),
        ({"HOST_IP": "fd00::7"}, "https://[fd00::7]:10250"),
        ({"NODE_NAME": "node-7", "NODE_IP": ""}, "https://node-7:10250"),
        ({}, ""),
    ],
)
def test_the_kubelet_of_the_node_that_the_pod_is_told(
    account: Path, environment: dict[str, str], url: str
) -> None:
    assert kubelet_url(environment, account) == url


def test_outside_of_pods_there_is_none(tmp_path: Path) -> None:
    assert kubelet_url({"NODE_IP": "10.0.0.7"}, tmp_path) == ""
