# SPDX-License-Identifier: Apache-2.0
import pytest
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_qtap import __version__
from otel_qtap.model.identity import ContainerFacts, PodFacts, ProcessFacts, ProcessId
from otel_qtap.telemetry.resource import (
    AgentIdentity,
    HostIdentity,
    agent_resource,
    resource_message,
    split_image,
    workload_resource,
)

HOST = HostIdentity(name="node-1", id="0123abcd", arch="amd64", os_type="linux")
PROCESS = ProcessId(42, 1)
DISTRO = {"telemetry.distro.name": "otel-qtap", "telemetry.distro.version": __version__}


def test_workload_with_everything_known():
    facts = ProcessFacts(
        process=PROCESS,
        executable="/usr/bin/python3",
        command_line=("python3", "--token=secret"),
        container_id="c0ffee",
        service_name="orders",
        service_namespace="shop",
        service_version="2.1",
    )
    assert workload_resource(facts, HOST) == {
        "service.name": "orders",
        "service.namespace": "shop",
        "service.version": "2.1",
        "container.id": "c0ffee",
        "host.name": "node-1",
        "host.id": "0123abcd",
        "host.arch": "amd64",
        "os.type": "linux",
        **DISTRO,
    }


def test_workload_in_a_pod():
    facts = ProcessFacts(
        process=PROCESS,
        container_id="c0ffee",
        container=ContainerFacts(
            runtime="containerd",
            image="registry.example:5000/shop/web:1.2@sha256:ab",
            image_id="sha256:cd",
            image_digests=("registry.example:5000/shop/web@sha256:ab",),
            labels=(("team", "shop"),),
        ),
        pod=PodFacts(
            uid="u",
            name="web-1-2",
            namespace="ns",
            node="node-1",
            container="web",
            owners=(("deployment", "web"), ("replicaset", "web-1"), ("unheard.of", "x")),
        ),
        service_name="web",
        service_instance_id="ns.web-1-2.web",
    )
    assert workload_resource(facts, HostIdentity()) == {
        "service.name": "web",
        "service.instance.id": "ns.web-1-2.web",
        "container.id": "c0ffee",
        "container.runtime.name": "containerd",
        "container.image.name": "registry.example:5000/shop/web",
        "container.image.tags": ("1.2",),
        "container.image.id": "sha256:cd",
        "container.image.repo_digests": ("registry.example:5000/shop/web@sha256:ab",),
        "container.label.team": "shop",
        "k8s.pod.uid": "u",
        "k8s.pod.name": "web-1-2",
        "k8s.namespace.name": "ns",
        "k8s.node.name": "node-1",
        "k8s.container.name": "web",
        "k8s.deployment.name": "web",
        "k8s.replicaset.name": "web-1",
        **DISTRO,
    }


def test_what_a_workload_declares_stands_below_what_is_known():
    declared = (("region", "eu"), ("service.name", "declared"), ("k8s.pod.name", "a"), ("k8s.node.name", "b"))
    facts = ProcessFacts(
        process=PROCESS, declared=declared, service_name="shop", unit="shop.service", pod=PodFacts(name="c")
    )
    assert workload_resource(facts, HostIdentity()) == {
        "service.name": "shop",
        "region": "eu",
        "k8s.pod.name": "c",
        "k8s.node.name": "b",
        "qtap.systemd.unit": "shop.service",
        **DISTRO,
    }


@pytest.mark.parametrize(
    ("reference", "name", "tag"),
    [
        ("web", "web", ""),
        ("shop/web:1.2", "shop/web", "1.2"),
        ("localhost:5000/web", "localhost:5000/web", ""),
        ("web:1@sha256:ab", "web", "1"),
        ("sha256:0123abcd", "", ""),
        ("", "", ""),
    ],
)
def test_name_and_tag_of_an_image(reference, name, tag):
    assert split_image(reference) == (name, tag)


def test_workload_without_a_name_is_called_by_its_executable():
    def name(**facts):
        return workload_resource(ProcessFacts(process=PROCESS, **facts), HostIdentity())["service.name"]

    assert name(executable="/usr/bin/curl", command="curl-thread") == "unknown_service:curl"
    assert name(command="curl") == "unknown_service:curl"
    assert name() == "unknown_service"


def test_workload_of_an_unknown_host():
    assert workload_resource(ProcessFacts(process=PROCESS, command="curl"), HostIdentity()) == {
        "service.name": "unknown_service:curl",
        **DISTRO,
    }


def test_agent_describes_itself():
    agent = AgentIdentity(
        service_instance_id="8e3c",
        process_id=7,
        resource_attributes={"deployment.environment.name": "prod", "host.name": "set by the user"},
    )
    assert agent_resource(agent, HOST) == {
        "service.name": "otel-qtap",
        "service.version": __version__,
        "service.instance.id": "8e3c",
        "host.name": "set by the user",
        "host.id": "0123abcd",
        "host.arch": "amd64",
        "os.type": "linux",
        "process.pid": 7,
        "deployment.environment.name": "prod",
        **DISTRO,
    }


def test_each_run_is_an_instance_of_its_own():
    assert AgentIdentity().service_instance_id != AgentIdentity().service_instance_id


def test_message_is_a_resource():
    message = Resource.FromString(resource_message({"service.name": "orders", "process.pid": 7}))
    assert [(one.key, one.value.string_value, one.value.int_value) for one in message.attributes] == [
        ("service.name", "orders", 0),
        ("process.pid", "", 7),
    ]
