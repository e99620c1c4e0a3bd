# SPDX-License-Identifier: Apache-2.0
"""The kinds of value a setting can hold: a parser from text and a sentence on what it wants.

Parsers raise ValueError with a text that says what is wrong and never repeats the value.
"""

import re
from collections.abc import Collection
from ipaddress import IPv4Network, IPv6Network, ip_network
from math import isnan
from pathlib import Path
from typing import Any, NamedTuple, get_args
from urllib.parse import unquote, urlsplit

from otel_qtap.settings.fields import Kind
from otel_qtap.settings.shape import shape


class HostPort(NamedTuple):
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class ProcessSelector(NamedTuple):
    """One process selector: ``pattern`` is a shell glob over the process fact named by ``key``."""

    key: str
    """``exe``, ``comm``, ``pid``, ``user``, ``container`` or ``service``."""
    pattern: str

    def __str__(self) -> str:
        return f"{self.key}={self.pattern}"


SELECTOR_KEYS = ("exe", "comm", "pid", "user", "container", "service")
STORE_URL_FORMS = "file:///DIRECTORY, s3://BUCKET/PREFIX, memory: or none:"

SHORTEST_TOKEN = 16

LARGEST = 2**31 - 1
"""Bound of numbers that need none: every timer, queue and socket takes it."""

_BYTE_UNITS = {"": 1, "b": 1, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
# RFC 9110 section 5.6.2: the characters of a token, which names a header field.
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
# The naming rules of S3 buckets, less the reserved prefixes.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9.\-]{1,61}[a-z0-9]")


def byte_count(value: str) -> int:
    """``16777216``, ``16MiB``, ``512 KiB`` to a number of bytes."""
    number = value.strip().lower()
    unit = number.lstrip("0123456789")
    digits = number.removesuffix(unit) if unit else number
    if not digits or unit.strip() not in _BYTE_UNITS:
        raise ValueError(f"{shape(value)}, not a number of bytes")
    return int(digits) * _BYTE_UNITS[unit.strip()]


def whole_number(value: str) -> int:
    """``512``, white space around does not count."""
    try:
        return int(value)
    except ValueError:  # its text quotes the value
        raise ValueError(f"{shape(value)}, not a whole number") from None


def number(value: str) -> float:
    """``0.5``, ``5``, ``1e3``."""
    try:
        result = float(value)
    except ValueError:  # its text quotes the value
        raise ValueError(f"{shape(value)}, not a number") from None
    if isnan(result):  # it would pass any bound
        raise ValueError(f"{shape(value)}, not a number")
    return result


def flag(value: str) -> bool:
    """``true`` or ``false``, in any case, as the OpenTelemetry specification spells booleans."""
    word = value.strip().lower()
    if word not in ("true", "false"):
        raise ValueError(shape(value))
    return word == "true"


def word(value: str) -> str:
    """One word of a fixed set: white space and case do not count."""
    return value.strip().lower()


def comma_list(value: str) -> tuple[str, ...]:
    """``a, b`` to ``("a", "b")``; empty items are skipped."""
    return tuple(item for part in value.split(",") if (item := part.strip()))


def word_list(value: str) -> tuple[str, ...]:
    """A comma list of words of a fixed set, each kept once."""
    items = comma_list(value)
    return tuple(dict.fromkeys(item.lower() for item in items))


def header_names(value: str) -> tuple[str, ...]:
    """A comma list of header field names, lower-cased."""
    items = comma_list(value)
    for position, item in enumerate(items, 1):
        if not _TOKEN.fullmatch(item):
            raise ValueError(f"{_nth(position, items)} has a character that no field name may have")
    return tuple(dict.fromkeys(item.lower() for item in items))


def header_name(value: str) -> str:
    """The name of one header field, lower-cased."""
    name = value.strip()
    if not _TOKEN.fullmatch(name):
        raise ValueError(f"{shape(name)}, among them one that no field name may have")
    return name.lower()


def key_values(value: str) -> dict[str, str]:
    """``k=v,k2=v2`` with percent-decoded values, the form of OTEL_RESOURCE_ATTRIBUTES, to a dict."""
    items = [item for item in value.split(",") if item.strip()]
    pairs: dict[str, str] = {}
    for position, item in enumerate(items, 1):
        key, equals, content = item.partition("=")
        if not equals or not key.strip():
            raise ValueError(f"{_nth(position, items)} is not of the form key=value")
        pairs[unquote(key.strip())] = unquote(content.strip())
    return pairs


def header_fields(value: str) -> dict[str, str]:
    """``name=value,...`` percent-decoded, the form of OTEL_EXPORTER_OTLP_HEADERS; names lower-cased."""
    pairs = key_values(value)
    for position, (name, content) in enumerate(pairs.items(), 1):
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"{_nth(position, pairs)} has a character that no field name may have")
        if any(character in content for character in "\r\n\0"):
            raise ValueError(f"{_nth(position, pairs)} holds a line break or a zero byte after decoding")
    return {name.lower(): content for name, content in pairs.items()}


def process_selectors(value: str) -> tuple[ProcessSelector, ...]:
    """``exe=/usr/bin/*,user=www-data,curl`` to selectors; a bare glob is an executable's name or path."""
    items = comma_list(value)
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


def absolute_path(value: str) -> Path:
    """An absolute path; it need not exist."""
    if "\0" in value or not value.startswith("/"):
        raise ValueError(f"{shape(value)} with no '/' at the start")
    return Path(value)


def absolute_paths(value: str) -> tuple[Path, ...]:
    """A comma list of absolute paths."""
    items = comma_list(value)
    for position, item in enumerate(items, 1):
        if not item.startswith("/"):
            raise ValueError(f"{_nth(position, items)} has no '/' at its start")
    return tuple(Path(item) for item in items)


def existing_file(value: str) -> Path:
    """The path of a file that is there now."""
    path = Path(value)
    try:
        is_file, is_there = path.is_file(), path.exists()
    except OSError:  # a name that is longer than any file's, or a directory that is closed to us
        is_file = is_there = False
    if not is_file:
        raise ValueError(f"the path of {'something else' if is_there else 'no existing file'}")
    return path


def host_port(value: str) -> HostPort:
    """``127.0.0.1:13133`` or ``[::1]:13133``."""
    host, colon, port = value.strip().rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if not colon or not host or (":" in host and not bracketed):
        raise ValueError(f"{shape(value)}, not HOST:PORT")
    if not port.isdecimal() or int(port) > 65535:
        raise ValueError("a port that is not a number from 0 to 65535")
    return HostPort(host.strip("[]"), int(port))


def networks(value: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """A comma list of addresses and networks: ``10.0.0.7, 10.1.0.0/16, ::1``."""
    items = comma_list(value)
    found = []
    for position, item in enumerate(items, 1):
        try:
            found.append(ip_network(item))
        except ValueError:  # its text quotes the value
            raise ValueError(f"{_nth(position, items)} is no IP address and no network") from None
    return tuple(found)


def secret_token(value: str) -> str:
    """A secret of at least SHORTEST_TOKEN visible ASCII characters."""
    token = value.strip()
    if len(token) < SHORTEST_TOKEN or not (token.isascii() and token.isprintable()) or " " in token:
        raise ValueError(f"{shape(token)} that are too few or not all of them visible ASCII")
    return token


def store_url(value: str) -> str:
    """Where payloads go; the forms of STORE_URL_FORMS, without a trailing slash."""
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


def kubelet(value: str) -> str:
    """``auto``, ``none``, or where a kubelet is, without a path."""
    url = value.strip().rstrip("/")
    if url.lower() in ("auto", "none"):
        return url.lower()
    try:
        parts = urlsplit(url)
        is_place = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # its text quotes the URL
        raise ValueError("a malformed URL") from None
    if parts.scheme not in ("http", "https") or not is_place or parts.username or parts.path or parts.query:
        raise ValueError(f"{shape(value)}, none of these words and no URL of a scheme, a host and a port")
    return url


def _nth(position: int, items: Collection[object]) -> str:
    return f"a list whose item {position} of {len(items)}"


TEXT = Kind(str, "text")
BYTES = Kind(byte_count, "a number of bytes, such as 16777216 or 16MiB")
FLAG = Kind(flag, "true or false")
NUMBER = Kind(number, "a number")
COUNT = Kind(whole_number, "a whole number", largest=LARGEST)
MILLISECONDS = Kind(whole_number, "a whole number of milliseconds", largest=LARGEST)
COMMA_LIST = Kind(comma_list, "a comma-separated list", collects="list")
HEADER_NAMES = Kind(header_names, "a comma-separated list of header field names", collects="list")
KEY_VALUES = Kind(key_values, "key=value pairs, comma-separated and percent-encoded", collects="map")
HEADER_FIELDS = Kind(
    header_fields, "name=value pairs, comma-separated and percent-encoded", secret=True, collects="map"
)
PROCESS_SELECTORS = Kind(
    process_selectors,
    f"a comma-separated list of KEY=GLOB with KEY one of {', '.join(SELECTOR_KEYS)}, or of bare globs",
    collects="list",
)
ABSOLUTE_PATH = Kind(absolute_path, "an absolute path")
ABSOLUTE_PATHS = Kind(absolute_paths, "a comma-separated list of absolute paths", collects="list")
NETWORKS = Kind(
    networks, "a comma-separated list of IP addresses and networks, such as 10.0.0.7 or 10.1.0.0/16"
)
HEADER_NAME = Kind(header_name, "the name of a header field")
SECRET_TOKEN = Kind(
    secret_token, f"a secret of at least {SHORTEST_TOKEN} visible ASCII characters", secret=True
)
EXISTING_FILE = Kind(existing_file, "the path of a readable file")
LISTEN_ADDRESS = Kind(host_port, "HOST:PORT, such as 127.0.0.1:13133 or [::1]:13133")
KUBELET = Kind(kubelet, "auto, none, or a URL such as https://10.0.0.7:10250")
STORE_URL = Kind(store_url, STORE_URL_FORMS)


def one_of(words: Any) -> Kind[Any]:
    """One of the words of a Literal; its empty word, which stands for unset, is not offered."""
    allowed = tuple(filter(None, get_args(words)))

    def parse(value: str) -> str:
        chosen = word(value)
        if chosen not in allowed:
            raise ValueError(f"{shape(value)}, none of these words")
        return chosen

    return Kind(parse, "one of " + ", ".join(allowed))


def some_of(words: Any, wants: str) -> Kind[tuple[Any, ...]]:
    """A comma list of the words of a Literal."""
    allowed = get_args(words)

    def parse(value: str) -> tuple[str, ...]:
        chosen = word_list(value)
        if not set(chosen) <= set(allowed):
            raise ValueError(f"{shape(value)}, not all of these words")
        return chosen

    return Kind(parse, wants, collects="list")
