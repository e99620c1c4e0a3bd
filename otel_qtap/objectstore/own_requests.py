# SPDX-License-Identifier: Apache-2.0
"""How requests of an otel-qtap to the payload store are told from traffic.

Agents on several hosts, the viewer and the commands are one deployment with one store. Where a host that is
observed serves the store, or a command runs on one, their requests come by like any other. Stored as
payloads, an upload would be uploaded and seen again, without end, and a request's session token would lie in
the store.

What any of them sends bears the product's name and goes to the store. Both can be forged, so the place is
narrow: segments and the doctor's object, below the prefix of the bucket, and the listing that tries whether
it can be reached. In a path the bucket stands for itself. In a host's name it is believed to a client on
this host and for Amazon's hosts only: nothing else is addressed so by us, and a server takes any name.
"""

from typing import Final
from urllib.parse import unquote, urlsplit

from otel_qtap import __version__
from otel_qtap.model.exchange import Attributes, SpanKind
from otel_qtap.objectstore.segment import SEALED_SUFFIX

_PRODUCT: Final = "otel-qtap/"
MARK: Final = f"{_PRODUCT}{__version__}"
"""Part of the user agent of all requests to a store. Other versions of a deployment are known by its name."""
PROBE_KEY: Final = ".otel-qtap-doctor"
"""The object that the doctor writes; it stays, and is overwritten by its next check."""
AMAZON: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")
"""Whose hosts have a name for each bucket."""

_OBJECT_METHODS: Final = frozenset({"GET", "HEAD", "PUT"})
_LISTING: Final = frozenset({"list-type", "prefix", "max-keys", "encoding-type"})
_RELATIVE: Final = frozenset({".", ".."})


class OwnRequests:
    """The requests to one bucket, below a prefix (empty, or with a slash at its end).

    ``endpoint`` is the server's URL; one behind a proxy may have a path of its own.
    """

    __slots__ = ("_bucket", "_has_bucket_hosts", "_prefix", "_roots")

    def __init__(self, bucket: str, prefix: str, endpoint: str) -> None:
        url = urlsplit(endpoint)
        self._bucket = bucket
        self._prefix = prefix
        self._roots = tuple({f"{url.path.rstrip('/')}/{bucket}": None, f"/{bucket}": None})
        self._has_bucket_hosts = (url.hostname or "").endswith(AMAZON)

    def include(self, kind: SpanKind, attributes: Attributes) -> bool:
        """Whether the exchange that was seen on this side, with these attributes, is one of ours."""
        agent = attributes.get("user_agent.original")
        if not isinstance(agent, str) or _PRODUCT not in agent:
            return False
        if not any(word.startswith(_PRODUCT) for word in agent.split()):
            return False
        method = str(attributes.get("http.request.method", ""))
        if kind is SpanKind.CLIENT:
            path, _, query = _target(str(attributes.get("url.full", ""))).partition("?")
        else:
            path, query = str(attributes.get("url.path", "")), str(attributes.get("url.query", ""))
        in_bucket = self._in_bucket(path, self._host(kind, attributes))
        if in_bucket is None:
            return False
        return self._is_ours(method, unquote(in_bucket), query)

    def _host(self, kind: SpanKind, attributes: Attributes) -> str:
        """The name that the request went to; empty where that may not tell the bucket."""
        believed = self._has_bucket_hosts and kind is SpanKind.CLIENT
        return str(attributes.get("server.address", "")) if believed else ""

    def _in_bucket(self, path: str, host: str) -> str | None:
        """What of the path is in the bucket; None where the request goes elsewhere."""
        for root in self._roots:
            if path == root:
                return ""
            if path.startswith(f"{root}/"):
                return path[len(root) + 1 :]
        if host.startswith(f"{self._bucket}.") and host.endswith(AMAZON):
            return path.removeprefix("/")
        return None

    def _is_ours(self, method: str, key: str, query: str) -> bool:
        if not key:
            names = {part.partition("=")[0] for part in query.split("&")} if query else set()
            return (method == "HEAD" and not names) or (
                method == "GET" and "list-type" in names and names <= _LISTING
            )
        if method not in _OBJECT_METHODS or not key.startswith(self._prefix):
            return False
        name = key.removeprefix(self._prefix)
        return (name.endswith(SEALED_SUFFIX) or name == PROBE_KEY) and _RELATIVE.isdisjoint(key.split("/"))


def _target(url: str) -> str:
    """Path and query of an absolute URL that was seen on the wire: whatever it is, this does not raise."""
    return "/" + url.partition("://")[2].partition("/")[2]
