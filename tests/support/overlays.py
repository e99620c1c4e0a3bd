# SPDX-License-Identifier: Apache-2.0
"""Overlay mounts as container engines make them: one read-only image below, a layer of its own above each."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def scratch_file_system(directory: Path) -> Iterator[Path]:
    """A tmpfs for layers, for the directory of a test may itself be on an overlay; goes with all on it."""
    directory.mkdir(parents=True, exist_ok=True)
    _mount("-t", "tmpfs", "tmpfs", str(directory))
    try:
        yield directory
    finally:
        subprocess.run(["umount", "--lazy", "--recursive", str(directory)], check=True)


def mount_overlay(place: Path, image: Path, *options: str) -> Path:
    """Mount ``image`` below ``place``, with an empty upper layer; where it can be seen."""
    for name in ("upper", "work", "merged"):
        (place / name).mkdir(parents=True)
    layers = f"lowerdir={image},upperdir={place}/upper,workdir={place}/work"
    _mount("-t", "overlay", "-o", ",".join((*options, layers)), "overlay", str(place / "merged"))
    return place / "merged"


@contextmanager
def mounted_overlay(place: Path, image: Path) -> Iterator[Path]:
    """As ``mount_overlay``, unmounted with the block; what was changed stays in the layer."""
    merged = mount_overlay(place, image)
    try:
        yield merged
    finally:
        subprocess.run(["umount", str(merged)], check=True)


def _mount(*arguments: str) -> None:
    subprocess.run(["mount", *arguments], check=True)
