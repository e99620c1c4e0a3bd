# SPDX-License-Identifier: Apache-2.0
"""``otel-qtap serve``: stored payloads in a browser, behind a token or an authenticating proxy."""

import argparse
import logging
import os
import secrets
import signal
import stat
import sys
import time
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from threading import Thread
from types import FrameType

from otel_qtap.agent.log_output import set_role, set_up_logging
from otel_qtap.agent.privileges import drop_privileges
from otel_qtap.cli import configuration
from otel_qtap.errors import SettingsError
from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.objectstore.filesystem import directory_of
from otel_qtap.objectstore.registry import open_store
from otel_qtap.settings import Settings
from otel_qtap.settings.values import SHORTEST_TOKEN

logger = logging.getLogger(__name__)


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the command to the command line."""
    parser = subparsers.add_parser(
        "serve",
        help="show stored payloads in a browser",
        description="Serve a read-only viewer of the payloads in OTEL_QTAP_OBJECTS_URL, for links from a "
        "trace view. It listens on loopback, port 13134, and asks for a token, which it prints unless one "
        "was set. Started as root it goes on as the account that owns the payloads.",
    )
    configuration.add_option(parser)
    parser.set_defaults(func=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT."""
    settings = configuration.settings(arguments)
    set_role("viewer")
    set_up_logging(settings.log_level, settings.log.format)
    access = _access(settings)
    from otel_qtap.listening import listen  # noqa: PLC0415
    from otel_qtap.viewer.application import Application  # noqa: PLC0415 - only this command pays
    from otel_qtap.viewer.authentication import Authenticator, Proxy  # noqa: PLC0415
    from otel_qtap.viewer.guard import Guard  # noqa: PLC0415
    from otel_qtap.viewer.server import ViewerServer, tls_context  # noqa: PLC0415
    from otel_qtap.viewer.sessions import Sessions  # noqa: PLC0415
    from otel_qtap.viewer.throttle import Throttle  # noqa: PLC0415

    serve = settings.serve
    tls = (
        tls_context(serve.tls_certificate, serve.tls_key) if serve.tls_certificate and serve.tls_key else None
    )
    listener = listen("OTEL_QTAP_SERVE_ADDRESS", *serve.address)
    host, port = listener.getsockname()[:2]
    store = _store(settings)
    drop_privileges(*settings.pipeline.user)

    sessions = Sessions(access.token, f"otel-qtap-{port}", time.time) if access.token else None
    proxy = Proxy(serve.proxy_header, serve.proxy_addresses) if serve.proxy_header else None
    authenticator = Authenticator(
        token=access.token, sessions=sessions, proxy=proxy, throttle=Throttle(time.monotonic)
    )
    hosts = (*serve.hosts, serve.address.host)
    server = ViewerServer(listener, Application(store, authenticator, Guard(hosts)), tls)

    def stop(number: int, frame: FrameType | None) -> None:
        # From a thread: close waits for the loop that this very handler interrupts.
        Thread(target=server.close, daemon=True).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
    logger.info("serving payloads of %s at %s", store.url, url)
    if access.generated:
        print(f"Log in at {url}/login?token={access.token}", file=sys.stderr, flush=True)
    server.serve()
    return 0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Access:
    """What lets in: a token, or nothing here but a proxy in front."""

    token: str
    generated: bool = False


def _access(settings: Settings) -> _Access:
    """Raises SettingsError where strangers could reach a viewer that nobody protected on purpose."""
    serve = settings.serve
    if serve.token_file:
        return _Access(token=_read_token(serve.token_file))
    if serve.token or serve.proxy_header:
        access = _Access(token=serve.token)
    elif not _is_loopback(serve.address.host):
        raise SettingsError(
            f"OTEL_QTAP_SERVE_ADDRESS={serve.address}: others than this machine could reach payloads there. "
            "Set OTEL_QTAP_SERVE_TOKEN, OTEL_QTAP_SERVE_TOKEN_FILE or OTEL_QTAP_SERVE_PROXY_HEADER, or "
            "listen on 127.0.0.1."
        )
    else:
        access = _Access(token=secrets.token_urlsafe(32), generated=True)
    if not _is_loopback(serve.address.host) and serve.tls_certificate is None:
        logger.warning(
            "payloads leave this machine unencrypted: set OTEL_QTAP_SERVE_TLS_CERTIFICATE, or see to it that "
            "only a proxy with TLS reaches this address"
        )
    return access


def _read_token(path: Path) -> str:
    try:
        with path.open(encoding="ascii") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            token = file.read(4096).strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"OTEL_QTAP_SERVE_TOKEN_FILE: {path} cannot be read as text") from error
    if mode & 0o077:
        raise SettingsError(
            f"OTEL_QTAP_SERVE_TOKEN_FILE: {path} can be read by others (mode {mode:04o}): chmod 600 {path}"
        )
    if len(token) < SHORTEST_TOKEN or not token.isprintable() or " " in token:
        raise SettingsError(
            f"OTEL_QTAP_SERVE_TOKEN_FILE: {path} holds no secret of at least {SHORTEST_TOKEN} visible "
            f"characters. Make one: openssl rand -hex 32 > {path}"
        )
    return token


def _store(settings: Settings) -> ObjectStore:
    """The store, opened while root. Raises SettingsError for one that other processes cannot read."""
    url = settings.objects.url
    if url in ("memory:", "none:"):
        raise SettingsError(
            f"OTEL_QTAP_OBJECTS_URL={url} keeps nothing that could be shown. Name the agent's store."
        )
    store = open_store(url, root=_held_open(url) if url.startswith("file:") else None)
    assert store is not None
    return store


def _held_open(url: str) -> Path | None:
    """A path that works without a walk through directories that are closed to the pipeline's account."""
    directory = directory_of(url)
    try:
        descriptor = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        logger.warning("%s cannot be opened yet: %s", url, error.strerror)
        return None
    return Path(f"/proc/self/fd/{descriptor}")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
