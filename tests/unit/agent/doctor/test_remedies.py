# SPDX-License-Identifier: Apache-2.0
from collections.abc import Callable

import pytest

from otel_qtap.agent.doctor import Host
from otel_qtap.agent.doctor.host import Runtime
from otel_qtap.agent.doctor.remedies import capability_flags, remedy, volume_flags


@pytest.mark.parametrize(
    ("runtime", "text", "flags"),
    [
        (Runtime.NONE, "mount it", ()),
        (Runtime.DOCKER, "Start the container with --a --b", ("--a", "--b")),
        (Runtime.PODMAN, "Start the container with --a --b", ("--a", "--b")),
        (Runtime.KUBERNETES, "In the pod's manifest: field: true", ()),
        (Runtime.OTHER, "Start the container with --a --b; in a pod's manifest: field: true", ("--a", "--b")),
    ],
)
def test_each_is_told_in_its_own_words(
    make_host: Callable[..., Host], runtime: Runtime, text: str, flags: tuple[str, ...]
) -> None:
    told = remedy(make_host(runtime=runtime), flags=("--a", "--b"), pod="field: true", outside="mount it")

    assert (told.text, told.flags) == (text, flags)


def test_flags_are_the_engines() -> None:
    assert capability_flags(["CAP_BPF", "CAP_SYS_PTRACE"]) == ("--cap-add=BPF", "--cap-add=SYS_PTRACE")
    assert volume_flags("/sys/kernel/btf") == ("--volume=/sys/kernel/btf:/sys/kernel/btf:ro",)
