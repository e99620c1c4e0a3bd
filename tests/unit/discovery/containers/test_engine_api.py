# SPDX-License-Identifier: Apache-2.0
"""The real engine is asked in tests/containers; here it answers what a real one would not."""

from typing import Any

import pytest

from otel_qtap.discovery.containers.answer import Query
from otel_qtap.discovery.containers.engine_api import EngineApi
from otel_qtap.model.identity import ContainerFacts, PodFacts

ID = "0123456789abcdef" * 4
QUERY = Query(ID, "docker")
PATH = f"/containers/{ID}/json"


def api(engine: Any, *labels: str) -> EngineApi:
    return EngineApi(engine.path, seconds=0.5, labels=labels)


def test_name_image_and_wanted_labels(engine: Any) -> None:
    labels = {"team": "shop", "unwanted": "x"}
    config = {"Image": "shop/web:1.2", "Labels": labels}
    engine.pages[PATH] = {"Name": "/web", "Image": "sha256:ab", "Config": config}
    engine.pages["/images/sha256:ab/json"] = {"RepoDigests": ["shop/web@sha256:cd"]}
    answer = api(engine, "team", "absent").ask(QUERY)
    assert answer
    assert answer.pod is None
    assert answer.container == ContainerFacts(
        runtime="docker",
        name="web",
        image="shop/web:1.2",
        image_id="sha256:ab",
        image_digests=("shop/web@sha256:cd",),
        labels=(("team", "shop"),),
    )


def test_an_image_is_asked_for_once(engine: Any) -> None:
    engine.pages[PATH] = {"Name": "/web", "Image": "sha256:ab"}
    asking = api(engine)
    asking.ask(QUERY)
    asking.ask(QUERY)
    assert engine.asked.count("/images/sha256:ab/json") == 1


def test_a_pod_by_the_labels_that_kubernetes_sets(engine: Any) -> None:
    prefix = "io.kubernetes"
    labels = {
        f"{prefix}.pod.uid": "u",
        f"{prefix}.pod.name": "p",
        f"{prefix}.pod.namespace": "n",
        f"{prefix}.container.name": "c",
    }
    engine.pages[PATH] = {"Config": {"Labels": labels}}
    answer = api(engine).ask(QUERY)
    assert answer
    assert answer.pod == PodFacts(uid="u", name="p", namespace="n", container="c")


def test_an_unknown_container_is_unknown(engine: Any) -> None:
    assert api(engine).ask(QUERY) is None


@pytest.mark.parametrize("page", [[], "text", 7, {"Name": 5, "Config": [], "Image": {}}, {"Config": None}])
def test_an_answer_of_another_shape_tells_nothing(engine: Any, page: Any) -> None:
    engine.pages[PATH] = page
    answer = api(engine, "team").ask(QUERY)
    assert answer
    assert answer.container == ContainerFacts(runtime="docker")


def test_texts_are_cut(engine: Any) -> None:
    engine.pages[PATH] = {"Name": "/" + "n" * 9999, "Config": {"Labels": {"team": "t" * 9999}}}
    answer = api(engine, "team").ask(QUERY)
    assert answer
    assert len(answer.container.name) < 300
    assert len(answer.container.labels[0][1]) < 300


@pytest.mark.parametrize("page", [b"no JSON", b"{", b"\xff", b" " * (5 << 20)])
def test_what_is_no_answer_is_an_error_that_does_not_quote_it(engine: Any, page: bytes) -> None:
    engine.pages[PATH] = page
    with pytest.raises(ValueError):  # noqa: PT011 - of any kind: its text goes nowhere
        api(engine).ask(QUERY)


def test_an_engine_that_hangs_is_an_error_in_time(engine: Any) -> None:
    engine.hold.clear()
    with pytest.raises(TimeoutError):
        api(engine).ask(QUERY)
