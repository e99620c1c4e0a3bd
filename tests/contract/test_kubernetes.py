# SPDX-License-Identifier: Apache-2.0
"""The manifests of docker/kubernetes/ fit Kubernetes' schema, and the agent accepts what they give it."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.agent import run_cli
from tests.support.capabilities_page import measured_capabilities

MANIFESTS = Path(__file__).parents[2] / "docker" / "kubernetes"
VALIDATE = str(Path(sys.executable).parent / "kubernetes-validate")
VERSIONS = ("1.30", "1.37")
"""Oldest and newest that the manifests are checked against."""


def resources(name: str, kind: str) -> list[dict[str, Any]]:
    documents = yaml.safe_load_all((MANIFESTS / name).read_text())
    return [document for document in documents if document["kind"] == kind]


def daemon_set() -> dict[str, Any]:
    (found,) = resources("agent.yaml", "DaemonSet")
    return found


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("manifest", sorted(path.name for path in MANIFESTS.glob("*.yaml")))
def test_fits_the_schema(manifest: str, version: str) -> None:
    done = subprocess.run(
        [VALIDATE, "--strict", "-k", version, str(MANIFESTS / manifest)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_agent_is_not_privileged_and_sees_the_node() -> None:
    pod = daemon_set()["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    security = container["securityContext"]

    assert pod["hostPID"] is True
    assert "hostNetwork" not in pod
    assert security["privileged"] is False
    assert security["allowPrivilegeEscalation"] is False
    assert security["capabilities"]["drop"] == ["ALL"]
    assert set(security["capabilities"]["add"]) == measured_capabilities() | {"SYS_ADMIN"}
    assert {mount["name"] for mount in container["volumeMounts"]} == {
        volume["name"] for volume in pod["volumes"]
    }


def test_agent_accepts_its_environment() -> None:
    (container,) = daemon_set()["spec"]["template"]["spec"]["containers"]
    known = {"NODE_IP": "192.0.2.7", "NODE_NAME": "node-1"}
    environment = dict(known)
    for variable in container["env"]:
        if "value" in variable:
            value = variable["value"]
            for name, text in known.items():
                value = value.replace(f"$({name})", text)
            environment[variable["name"]] = value
    (secret,) = resources("agent.yaml", "Secret")

    done = run_cli("config", environment={**environment, **secret["stringData"]})

    assert done.returncode == 0, done.stderr.decode()
    assert b"http://192.0.2.7:4318" in done.stdout
    assert container["envFrom"][0]["secretRef"]["name"] == secret["metadata"]["name"]


def test_agent_may_read_pods_of_the_kubelet_and_nothing_else() -> None:
    (role,) = resources("agent.yaml", "ClusterRole")
    (binding,) = resources("agent.yaml", "ClusterRoleBinding")
    (account,) = resources("agent.yaml", "ServiceAccount")
    pod = daemon_set()["spec"]["template"]["spec"]

    assert role["rules"] == [{"apiGroups": [""], "resources": ["nodes/pods"], "verbs": ["get"]}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    assert binding["subjects"] == [{"kind": "ServiceAccount", **account["metadata"]}]
    assert pod["serviceAccountName"] == account["metadata"]["name"]


def test_collector_may_look_up_what_its_configuration_names() -> None:
    config = yaml.safe_load((MANIFESTS.parents[1] / "collector-config" / "kubernetes.yaml").read_text())
    extracted = config["processors"]["k8s_attributes"]["extract"]["metadata"]
    (role,) = resources("collector-access.yaml", "ClusterRole")
    readable = {name for rule in role["rules"] for name in rule["resources"]}

    assert "k8s.deployment.name" in extracted
    assert {"pods", "namespaces", "nodes", "replicasets"} <= readable
    assert {verb for rule in role["rules"] for verb in rule["verbs"]} == {"get", "list", "watch"}
