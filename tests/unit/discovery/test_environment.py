# SPDX-License-Identifier: Apache-2.0
import pytest

from otel_qtap.discovery.environment import MAX_DECLARED, MAX_VALUE, bounded, read_environment
from otel_qtap.model.identity import PodFacts


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        (b"OTEL_SERVICE_NAME=a\0OTEL_RESOURCE_ATTRIBUTES=service.name=b", {"service.name": "a"}),
        (b"OTEL_SERVICE_NAME= \0OTEL_RESOURCE_ATTRIBUTES=service.name=b", {"service.name": "b"}),
        (b"OTEL_RESOURCE_ATTRIBUTES=service.name=caf%C3%A9, ,x=1", {"service.name": "caf\u00e9", "x": "1"}),
        (b"OTEL_RESOURCE_ATTRIBUTES=service.name=b,broken", {}),
        (b"OTEL_RESOURCE_ATTRIBUTES=service.name=%ff", {}),
        (b"XOTEL_SERVICE_NAME=x\0OTEL_SERVICE_NAMEX=y\0PASSWORD=z", {}),
        (b"\0\0\xff=\xff\0", {}),
        (b"", {}),
    ],
)
def test_what_a_process_declares(environment: bytes, expected: dict[str, str]) -> None:
    assert dict(read_environment(environment).declared) == expected


def test_what_is_observed_cannot_be_declared() -> None:
    text = "container.id=x,k8s.pod.uid=x,host.name=x,process.pid=1,telemetry.sdk.name=x,os.type=x,region=eu"
    declared = read_environment(f"OTEL_RESOURCE_ATTRIBUTES={text}".encode()).declared
    assert declared == (("region", "eu"),)


def test_declarations_are_bounded_and_the_services_own_come_first() -> None:
    many = {f"k{number}": "v" * 1000 for number in range(100)}
    kept = bounded({**many, "y" * 200: "too long a key", "": "none", "service.name": "web"})
    assert kept[0] == ("service.name", "web")
    assert len(kept) == MAX_DECLARED
    assert all(len(value) <= MAX_VALUE and 0 < len(key) < 200 for key, value in kept)


def test_a_pod_by_its_downward_variables() -> None:
    raw = b"POD_NAME=web-1\0MY_POD_NAMESPACE=shop\0NODE_NAME=n1\0HOSTNAME=other"
    assert read_environment(raw).pod("uid", "n1") == PodFacts(
        uid="uid", name="web-1", namespace="shop", node="n1"
    )


def test_a_pods_name_is_its_host_name_unless_that_is_the_machines() -> None:
    environment = read_environment(b"HOSTNAME=web-1\0KUBERNETES_SERVICE_HOST=10.0.0.1")
    assert environment.pod("", "n1") == PodFacts(name="web-1")
    assert environment.pod("", "web-1") == PodFacts()


def test_outside_of_pods_a_host_name_means_nothing() -> None:
    assert read_environment(b"HOSTNAME=web-1\0POD_NAME=x").pod("", "n1") is None
