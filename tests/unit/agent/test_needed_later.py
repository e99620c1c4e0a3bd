# SPDX-License-Identifier: Apache-2.0
import subprocess
import sys
from pathlib import Path

import pytest

from otel_qtap.agent.needed_later import is_open_to_all

IMPORTED = (
    "import sys; from otel_qtap.agent import needed_later as n; {}; n.import_needed_later(); "
    "print('unicodedata' in sys.modules, 'cryptography.x509' in sys.modules)"
)


@pytest.mark.parametrize(
    ("closed", "imported"), [("pass", "True False"), ("n.is_open_to_all = lambda path: False", "True True")]
)
def test_what_is_large_is_imported_early_only_where_it_is_closed(closed: str, imported: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED.format(closed)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == imported


def test_a_file_is_open_to_all_with_all_directories_above_it(tmp_path: Path) -> None:
    inner = tmp_path / "inner"
    inner.mkdir()
    file = inner / "module.py"
    file.write_text("")
    file.chmod(0o644)
    inner.chmod(0o700)
    assert not is_open_to_all(file)
    assert is_open_to_all(Path("/usr/bin/env"))
    for above in file.parents:
        if above.is_relative_to(tmp_path):
            above.chmod(0o755)
    file.chmod(0o600)
    assert not is_open_to_all(file)
