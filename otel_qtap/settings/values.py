# SPDX-License-Identifier: Apache-2.0
"""The kinds of value a setting can hold: a parser from text and a sentence on what it wants.

Parsers raise ValueError with a text that says what is wrong and never repeats the value.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple
from urllib.parse import unquote, urlsplit

from pydantic import BeforeValidator, Field

from otel_qtap.settings.shape import shape


@dataclass(frozen=True, slots=True)
class Wants:
    """What a setting takes, to follow the word "wants" in a sentence."""

    text: str


@dataclass(frozen=True, slots=True)
class Secret:
    """Marks a setting whose value is never shown."""


class HostPort(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ProcessSelector(NamedTuple):
    """One process selector: ``pattern`` is a shell glob over the process fact named by ``key``."""

    key: str
    """``exe``, ``comm``, ``pid``, ``user`` or ``container``."""
    pattern: str

    def __str__(self) -> str:
        return f"{self.key}={self.pattern}"


SELECTOR_KEYS = ("exe", "comm", "pid", "user", "container")
STORE_URL_FORMS = "file:///DIRECTORY, s3://BUCKET/PREFIX, memory: or none:"

LARGEST = 2**31 - 1
"""Bound of numbers that need none: every timer, queue and socket takes it."""

_BYTE_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
# RFC 9110 section 5.6.2: the characters of a token, which names a header field.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# The naming rules of S3 buckets, less the reserved prefixes.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")


def byte_count(value: object) -> object:
    """``16777216``, ``16MiB``, ``512 KiB`` to a number of bytes."""
    if not isinstance(value, str):
        return value
    number = value.strip().lower()
    unit = number.lstrip("0123456789")
    digits = number.removesuffix(unit) if unit else number
    if not digits or unit.strip() not in _BYTE_UNITS:
        raise ValueError(f"{shape(value)}, not a number of bytes")
    return int(digits) * _BYTE_UNITS[unit.strip()]


def flag(value: object) -> object:
    """``true`` or ``false``, in any case, as the OpenTelemetry specification spells booleans."""
    if not isinstance(value, str):
        return value
    word = value.strip().lower()
    if word not in ("true", "false"):
        raise ValueError(shape(value))
    return word == "true"


def word(value: object) -> object:
    """One word of a fixed set: white space and case do not count."""
    return value.strip().lower() if isinstance(value, str) else value


def comma_list(value: object) -> object:
    """``a, b`` to ``("a", "b")``; empty items are skipped."""
    if not isinstance(value, str):
        return value
    return tuple(item for part in value.split(",") if (item := part.strip()))


def word_list(value: object) -> object:
    """A comma list of words of a fixed set, each kept once."""
    items = comma_list(value)
    if not isinstance(items, tuple):
        return items
    return tuple(dict.fromkeys(item.lower() for item in items))


def header_names(value: object) -> object:
    """A comma list of header field names, lower-cased."""
    items = comma_list(value)
    if not isinstance(items, tuple):
        return items
    for position, item in enumerate(items, 1):
        if not _TOKEN.fullmatch(item):
            raise ValueError(f"{_nth(position, items)} has a character that no field name may have")
    return tuple(dict.fromkeys(item.lower() for item in items))


def key_values(value: object) -> object:
    """``k=v,k2=v2`` with percent-decoded values, the form of OTEL_RESOURCE_ATTRIBUTES, to a dict."""
    if not isinstance(value, str):
        return value
    items = [item for item in value.split(",") if item.strip()]
    pairs: dict[str, str] = {}
    for position, item in enumerate(items, 1):
        key, equals, content = item.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{_nth(position, items)} is not of the form key=value")
        pairs[unquote(key.strip())] = unquote(content.strip())
    return pairs


def header_fields(value: object) -> object:
    """``name=value,...`` percent-decoded, the form of OTEL_EXPORTER_OTLP_HEADERS; names lower-cased."""
    pairs = key_values(value)
    if not isinstance(pairs, dict):
        return pairs
    for position, (name, content) in enumerate(pairs.items(), 1):
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{_nth(position, pairs)} has a character that no field name may have")
        if any(character in content for character in "\r\n\0"):
            raise ValueError(f"{_nth(position, pairs)} holds a line break or a zero byte after decoding")
    return {name.lower(): content for name, content in pairs.items()}


def process_selectors(value: object) -> object:
    """``exe=/usr/bin/*,user=www-data,curl`` to selectors; a bare glob is an executable's name or path."""
    items = comma_list(value)
    if not isinstance(items, tuple):
        return items
    selectors = []
    for position, item in enumerate(items, 1):
        key, equals, pattern = item.partition("=")
        selector = ProcessSelector(key.strip(), pattern.strip()) if equals else ProcessSelector("exe", item)
        if selector.key not in SELECTOR_KEYS:
            raise ValueError(f"{_nth(position, items)} has a key that is none of {', '.join(SELECTOR_KEYS)}")
        if not selector.pattern:
            raise ValueError(f"{_nth(position, items)} has nothing after '='")
        selectors.append(selector)
    return tuple(selectors)


def absolute_path(value: object) -> object:
    """An absolute path; it need not exist."""
    if not isinstance(value, str):
        return value
    if "\0" in value or not value.startswith("/"):
        raise ValueError(f"{shape(value)} with no '/' at the start")
    return Path(value)


def absolute_paths(value: object) -> object:
    """A comma list of absolute paths."""
    items = comma_list(value)
    if not isinstance(items, tuple):
        return items
    for position, item in enumerate(items, 1):
        if not item.startswith("/"):
            raise ValueError(f"{_nth(position, items)} has no '/' at its start")
    return tuple(Path(item) for item in items)


def existing_file(value: object) -> object:
    """The path of a file that is there now."""
    if not isinstance(value, str):
        return value
    path = Path(value)
    if not path.is_file():
        raise ValueError(f"the path of {'something else' if path.exists() else 'no existing file'}")
    return path


def host_port(value: object) -> object:
    """``127.0.0.1:13133`` or ``[::1]:13133``."""
    if not isinstance(value, str):
        return value
    host, colon, port = value.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise ValueError(f"{shape(value)}, not HOST:PORT")
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError("a port that is not a number from 0 to 65535")
    return HostPort(host.strip("[]"), int(port))


def store_url(value: object) -> object:
    """Where payloads go; the forms of STORE_URL_FORMS, without a trailing slash."""
    if not isinstance(value, str):
        return value
    url = value.strip()
    if url in ("memory:", "none:"):
        return url
    try:
        parts = urlsplit(url)
    except ValueError:  # its text quotes the URL
        raise ValueError("a malformed URL") from None
    if parts.query or parts.fragment or "?" in url:
        raise ValueError("a URL with a query or a fragment")
    match parts.scheme:
        case "file":
            if parts.netloc not in ("", "localhost") or not parts.path.startswith("/"):
                raise ValueError("a file URL without an absolute directory")
            return "file://" + (parts.path.rstrip("/") or "/")
        case "s3":
            if not _BUCKET.fullmatch(parts.netloc):
                raise ValueError("an s3 URL whose bucket name breaks the naming rules of S3")
            return f"s3://{parts.netloc}{parts.path.rstrip('/')}"
    raise ValueError("a value with none of the schemes file, s3, memory, none")


def _nth(position: int, items: object) -> str:
    assert isinstance(items, (tuple, list, dict))
    return f"a list whose item {position} of {len(items)}"


Bytes = Annotated[int, BeforeValidator(byte_count), Wants("a number of bytes, such as 16777216 or 16MiB")]
Flag = Annotated[bool, BeforeValidator(flag), Wants("true or false")]
Count = Annotated[int, Field(le=LARGEST), Wants("a whole number")]
Milliseconds = Annotated[int, Field(le=LARGEST), Wants("a whole number of milliseconds")]
CommaList = Annotated[tuple[str, ...], BeforeValidator(comma_list), Wants("a comma-separated list")]
HeaderNames = Annotated[
    tuple[str, ...],
    BeforeValidator(header_names),
    Wants("a comma-separated list of header field names"),
]
KeyValues = Annotated[
    dict[str, str],
    BeforeValidator(key_values),
    Wants("key=value pairs, comma-separated and percent-encoded"),
]
HeaderFields = Annotated[
    dict[str, str],
    BeforeValidator(header_fields),
    Wants("name=value pairs, comma-separated and percent-encoded"),
    Secret(),
]
ProcessSelectors = Annotated[
    tuple[ProcessSelector, ...],
    BeforeValidator(process_selectors),
    Wants(f"a comma-separated list of KEY=GLOB with KEY one of {', '.join(SELECTOR_KEYS)}, or of bare globs"),
]
AbsolutePath = Annotated[Path, BeforeValidator(absolute_path), Wants("an absolute path")]
AbsolutePaths = Annotated[
    tuple[Path, ...],
    BeforeValidator(absolute_paths),
    Wants("a comma-separated list of absolute paths"),
]
ExistingFile = Annotated[Path, BeforeValidator(existing_file), Wants("the path of a readable file")]
ListenAddress = Annotated[
    HostPort,
    BeforeValidator(host_port),
    Wants("HOST:PORT, such as 127.0.0.1:13133 or [::1]:13133"),
]
StoreUrl = Annotated[str, BeforeValidator(store_url), Wants(STORE_URL_FORMS)]
