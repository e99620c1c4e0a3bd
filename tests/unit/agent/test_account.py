# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.agent.account import own_account, pipeline_account
from otel_qtap.settings import load_settings

ROOT = Path(__file__).parents[3]
as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes others")


def account_of(*wrapper: str) -> str:
    program = (
        "from otel_qtap.agent.account import pipeline_account; from otel_qtap.settings import load_settings;"
        "print(*pipeline_account(load_settings({'OTEL_QTAP_PIPELINE_USER': '64123'})))"
    )
    done = subprocess.run(
        [*wrapper, sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


@as_root
def test_root_never_keeps_its_own() -> None:
    assert pipeline_account(load_settings({"OTEL_QTAP_PIPELINE_USER": "64123"}))[0] == 64123
    assert account_of("setpriv", "--bounding-set=-all").startswith("64123 ")


@as_root
@pytest.mark.parametrize(
    ("capabilities", "uid"), [("+setuid,+setgid", 64123), ("+setuid", 64999), ("+setgid", 64999)]
)
def test_others_keep_theirs_unless_they_can_change(capabilities: str, uid: int) -> None:
    became = account_of(
        "setpriv", "--reuid=64999", "--regid=64999", "--clear-groups",
        f"--inh-caps={capabilities},+dac_read_search", f"--ambient-caps={capabilities},+dac_read_search",
    )  # fmt: skip

    assert became.split()[0] == str(uid)


def test_our_own() -> None:
    assert own_account() == (os.geteuid(), os.getegid())
