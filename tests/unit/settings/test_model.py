# SPDX-License-Identifier: Apache-2.0
import os
import pickle
import pwd
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

from otel_qtap.errors import SettingsError
from otel_qtap.settings import load_settings
from otel_qtap.settings.model import MIB, ROOMS, Capture

ACCOUNT = next(entry for entry in pwd.getpwall() if entry.pw_uid and entry.pw_gid)


@pytest.mark.parametrize(
    ("ring", "largest_body", "effective"),
    [
        (0, 8 * MIB, 32 * MIB),
        (0, 0, 32 * MIB),
        (0, 20 * MIB, 64 * MIB),
        (0, 128 * MIB, 512 * MIB),
        (4096, 8 * MIB, 4096),
    ],
)
def test_the_ring_has_room_for_three_of_the_largest_bodies(
    ring: int, largest_body: int, effective: int
) -> None:
    assert Capture(ring_bytes=ring, max_body_bytes=largest_body).effective_ring_bytes() == effective


@pytest.mark.parametrize("ring", ["3000", "2048", "48MiB"])
def test_a_ring_that_the_kernel_would_refuse_is_refused(ring: str) -> None:
    with pytest.raises(SettingsError, match=r"OTEL_QTAP_CAPTURE_RING_BYTES .* power of two"):
        load_settings({"OTEL_QTAP_CAPTURE_RING_BYTES": ring})


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        (ACCOUNT.pw_name, (ACCOUNT.pw_uid, ACCOUNT.pw_gid)),
        (str(ACCOUNT.pw_uid), (ACCOUNT.pw_uid, ACCOUNT.pw_gid)),
        ("60999", (60999, 60999)),
    ],
)
def test_the_pipeline_runs_as_a_named_account_or_a_uid(user: str, identity: tuple[int, int]) -> None:
    assert load_settings({"OTEL_QTAP_PIPELINE_USER": user}).pipeline.user == identity


@pytest.mark.parametrize("user", ["root", "0", "no-such-account", "99999999999"])
def test_root_and_unknown_accounts_are_refused(user: str) -> None:
    with pytest.raises(SettingsError, match="OTEL_QTAP_PIPELINE_USER wants"):
        load_settings({"OTEL_QTAP_PIPELINE_USER": user})


def test_without_a_word_the_pipeline_still_is_not_root() -> None:
    uid, gid = load_settings({}).pipeline.user

    assert uid != 0
    assert gid != 0


def test_a_kms_key_needs_kms_encryption() -> None:
    with pytest.raises(SettingsError, match="needs OTEL_QTAP_OBJECTS_SSE=aws:kms"):
        load_settings({"OTEL_QTAP_OBJECTS_SSE_KMS_KEY_ID": "alias/x"})
    both = {"OTEL_QTAP_OBJECTS_SSE": "aws:kms", "OTEL_QTAP_OBJECTS_SSE_KMS_KEY_ID": "alias/x"}
    assert load_settings(both).objects.sse_kms_key_id == "alias/x"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        load_settings(os.environ).objects.url = "memory:"  # type: ignore[misc]


def test_no_room_and_no_field_makes_the_split_at_the_first_underscore_ambiguous() -> None:
    assert not [room for room in ROOMS if "_" in room]


def test_settings_are_plain_data() -> None:
    settings = load_settings({"OTEL_QTAP_OBJECTS_TAGS": "a=b", "OTEL_QTAP_CAPTURE_INCLUDE": "curl"})

    assert pickle.loads(pickle.dumps(settings)) == settings


def test_the_viewer_takes_its_token_from_one_place(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.touch()
    both = {"OTEL_QTAP_SERVE_TOKEN": "0123456789abcdef", "OTEL_QTAP_SERVE_TOKEN_FILE": str(file)}
    with pytest.raises(SettingsError, match="set one of them"):
        load_settings(both)
    with pytest.raises(SettingsError, match="both or neither"):
        load_settings({"OTEL_QTAP_SERVE_TLS_KEY": str(file)})
