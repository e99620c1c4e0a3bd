# SPDX-License-Identifier: Apache-2.0
import ctypes
from collections.abc import Callable

import pytest

from otel_qtap.agent.doctor import Host, Status, clock


@pytest.mark.parametrize(
    ("answer", "status"), [(0, Status.OK), (1, Status.OK), (5, Status.WARN), (-1, Status.SKIP)]
)
def test_what_the_kernel_answers(
    make_host: Callable[..., Host], monkeypatch: pytest.MonkeyPatch, answer: int, status: Status
) -> None:
    class Libc:
        def __init__(self, *_: object, **__: object) -> None: ...

        def adjtimex(self, _buffer: object) -> int:
            return answer

    monkeypatch.setattr(ctypes, "CDLL", Libc)

    assert clock.synchronised(make_host()).status is status


def test_this_kernel_tells(make_host: Callable[..., Host]) -> None:
    assert clock.synchronised(make_host()).status in (Status.OK, Status.WARN)
