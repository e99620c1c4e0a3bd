# SPDX-License-Identifier: Apache-2.0
"""The systemd unit, and its confinement without systemd: what a container without one can try of it."""

from pathlib import Path

UNIT = Path(__file__).parents[2] / "packaging" / "systemd" / "otel-qtap.service"


def values(key: str) -> list[str]:
    """What the unit says of a key, in order."""
    lines = UNIT.read_text().splitlines()
    return [line.partition("=")[2] for line in lines if line.startswith(f"{key}=")]


def confinement(*writable: Path) -> list[str]:
    """A command before another, which gets the unit's capabilities and a host that it can only read.

    ProtectSystem=strict, ProtectHome=read-only and ProtectKernelTunables make every mount read-only but
    for StateDirectory, here ``writable``, and /proc and /dev.
    """
    keep = [f"--bind {path} {path}" for path in writable]
    script = "\n".join(
        [
            "set -eu",
            *(f"mount {bind}" for bind in keep),
            "while read -r _ _ _ _ place _; do",
            f'  case "$place" in /proc*|/dev*|{"|".join(map(str, writable))}) ;;',
            '  *) mount -o remount,bind,ro "$place" 2>/dev/null || true ;;',
            "  esac",
            "done </proc/self/mountinfo",
            "if touch /etc/.otel-qtap-test 2>/dev/null; then echo not confined >&2; exit 77; fi",
            'exec "$@"',
        ]
    )
    names = " ".join(values("CapabilityBoundingSet")).split()
    allowed = ",".join(f"+{name.removeprefix('CAP_').lower()}" for name in names)
    limits = ["setpriv", f"--bounding-set=-all,{allowed}", "--inh-caps=-all", "--no-new-privs"]
    return ["unshare", "--mount", "sh", "-c", script, "sh", *limits]
