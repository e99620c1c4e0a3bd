# SPDX-License-Identifier: Apache-2.0
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from otel_qtap import __version__
from otel_qtap.model.identity import ProcessFacts, ProcessId
from otel_qtap.telemetry.resource import (
    AgentIdentity,
    HostIdentity,
    agent_resource,
    resource_message,
    workload_resource,
)

HOST = HostIdentity(name="node-1", id="0123abcd")
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
        **DISTRO,
    }


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
