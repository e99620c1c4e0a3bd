# SPDX-License-Identifier: Apache-2.0
"""Strings that must not get out, and every form in which they could."""

import base64
import secrets
from collections.abc import Iterable


def new_canary(place: str) -> str:
    """A string that occurs nowhere else; ``place`` (letters only) says where it was put."""
    return f"{place}{secrets.token_hex(8)}"


def forms_of(canary: str) -> dict[str, bytes]:
    """The canary as it is, and in base64 (each alignment), hexadecimal and percent-encoding."""
    plain = canary.encode()
    forms = {
        "as it is": plain,
        "hex": plain.hex().encode(),
        "HEX": plain.hex().upper().encode(),
        "percent": b"".join(b"%%%02x" % byte for byte in plain),
        "PERCENT": b"".join(b"%%%02X" % byte for byte in plain),
        "json": b"".join(b"\\u%04x" % byte for byte in plain),
    }
    for shift in range(3):
        # The characters that also hold bits of what stands before or behind are left out.
        encoded = base64.b64encode(b"\0" * shift + plain)
        first = -(-shift * 8 // 6)
        last = (shift + len(plain)) * 8 // 6
        forms[f"base64 shifted by {shift}"] = encoded[first:last]
        forms[f"url-safe base64 shifted by {shift}"] = encoded[first:last].translate(
            bytes.maketrans(b"+/", b"-_")
        )
    return forms


def leaks(canaries: Iterable[str], haystack: bytes) -> list[str]:
    """Which canaries are in the haystack, and in what form."""
    return [
        f"{canary} ({form})"
        for canary in canaries
        for form, needle in forms_of(canary).items()
        if needle in haystack
    ]
