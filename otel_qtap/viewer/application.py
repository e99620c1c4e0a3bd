# SPDX-License-Identifier: Apache-2.0
"""A request -> an answer. Nothing of the store is read before it is known who asks.

Every access leaves a line in the log: who, from where, what, with which outcome; never a byte of it.
"""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from importlib.resources import files

from otel_qtap.model.exchange import Part
from otel_qtap.objectstore.base import ObjectStore
from otel_qtap.viewer import pages, requests, responses
from otel_qtap.viewer.authentication import Authenticator
from otel_qtap.viewer.bodies import body_of
from otel_qtap.viewer.exchanges import ExchangeReader
from otel_qtap.viewer.guard import READING, Guard
from otel_qtap.viewer.payload_page import payload_page
from otel_qtap.viewer.problems import ProblemError
from otel_qtap.viewer.requests import Request
from otel_qtap.viewer.resolving import Resolver
from otel_qtap.viewer.responses import Response
from otel_qtap.viewer.views import image
from otel_qtap.viewer.visitors import Visitor

logger = logging.getLogger(__name__)

_LONGEST_LOGGED = 300
_POSTED = (requests.LOGIN, requests.LOGOUT)


class Application:
    """The viewer without its sockets."""

    def __init__(self, store: ObjectStore, authenticator: Authenticator, guard: Guard) -> None:
        self._resolver = Resolver(store)
        self._reader = ExchangeReader(store)
        self._authenticator = authenticator
        self._guard = guard
        self._style = files(__package__).joinpath("style.css").read_bytes()

    def answer(self, request: Request) -> Response:
        """The answer to a request. Does not raise."""
        visitor = None
        try:
            self._guard.check(request)
            _check_method(request)
            if request.path == requests.HEALTH:
                return responses.text("ok\n")
            if request.path == requests.STYLE:
                return Response(
                    status=HTTPStatus.OK, content_type="text/css; charset=utf-8", body=self._style
                )
            if request.path == requests.ICON:  # browsers ask for it unbidden
                return responses.text("", HTTPStatus.NO_CONTENT)
            response, visitor = self._answer_visitor(request)
        except ProblemError as problem:
            response = _problem(request, problem)
        except Exception as error:
            # Its text may quote what was captured: its type must do.
            logger.error("unexpected %s: a defect of otel-qtap, please report it", type(error).__name__)
            response = _problem(request, _DEFECT)
        _log(request, response, visitor)
        return response

    def _answer_visitor(self, request: Request) -> tuple[Response, Visitor | None]:
        """The answer, and who got it."""
        path = request.path
        if path == requests.LOGIN and request.method == "POST":
            return self._log_in(request, request.form.get(requests.TOKEN, ""), request.form)
        if path == requests.LOGOUT:
            cookie = self._authenticator.log_out(request)
            return responses.redirect(requests.HOME, (("Set-Cookie", cookie),) if cookie else ()), None
        if requests.TOKEN in request.query and path in (requests.LOGIN, requests.HOME, requests.PAYLOAD):
            # The token leaves the address bar, and with it the browser's history.
            return self._log_in(request, request.query[requests.TOKEN], request.query)
        visitor = self._authenticator.visitor(request)
        if visitor is None:
            return self._stranger(request), None
        try:
            return self._show(request, visitor), visitor
        except ProblemError as problem:
            return _problem(request, problem, visitor), visitor

    def _show(self, request: Request, visitor: Visitor) -> Response:
        match request.path:
            case requests.HOME:
                return responses.page(pages.home(visitor))
            case requests.LOGIN:
                return responses.redirect(requests.location(request.query))
            case requests.PAYLOAD:
                uri = _reference(request)
                exchange = self._reader.exchange(self._resolver.resolve(uri))
                page = payload_page(
                    uri,
                    exchange,
                    part=request.part,
                    view=request.query.get("view", ""),
                    offset=request.offset,
                    visitor=visitor,
                )
                return responses.page(page)
            case requests.BODY:
                record = self._reader.half(self._resolver.resolve(_reference(request)), request.part)
                return responses.download(record.body, _filename(record.fields, record.part))
            case requests.IMAGE:
                record = self._reader.half(self._resolver.resolve(_reference(request)), request.part)
                content = body_of(record).content.data
                media_type = image.media_type(content)
                if not media_type:
                    raise ProblemError(
                        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
                        "This body is no picture",
                        "It does not begin as a PNG, JPEG, GIF or WebP file does.",
                        "Open the payload's page, which has other views of it.",
                    )
                return responses.image(content, media_type)
        raise ProblemError(
            HTTPStatus.NOT_FOUND,
            "There is no such page",
            "The path is none of this viewer's.",
            "Use a link of the form /payload?uri=REFERENCE with a percent-encoded reference.",
        )

    def _log_in(
        self, request: Request, token: str, wanted: Mapping[str, str]
    ) -> tuple[Response, Visitor | None]:
        try:
            visitor, cookie = self._authenticator.log_in(request, token)
        except ProblemError as problem:
            page = pages.login(wanted, problem)
            return responses.page(page, problem.status, problem.headers), None
        return responses.redirect(requests.location(wanted), (("Set-Cookie", cookie),)), visitor

    def _stranger(self, request: Request) -> Response:
        challenge = (("WWW-Authenticate", 'Bearer realm="otel-qtap"'),)
        if self._authenticator.takes_token and _wants_page(request):
            return responses.page(pages.login(request.query, None), HTTPStatus.UNAUTHORIZED, challenge)
        if self._authenticator.takes_token:
            fix = "Send the token in the header field: Authorization: Bearer TOKEN"
        else:
            fix = (
                "Come through the proxy that logs you in. If you did, list its address in "
                "OTEL_QTAP_SERVE_PROXY_ADDRESSES."
            )
        return _problem(
            request,
            ProblemError(
                HTTPStatus.UNAUTHORIZED,
                "Payloads are for those who are logged in",
                "The request says of nobody who sent it.",
                fix,
                headers=challenge,
            ),
        )


_DEFECT = ProblemError(
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "The viewer failed",
    "This is a defect of otel-qtap; its log names the place.",
    "Please report it. The command 'otel-qtap payload get' may still show this payload.",
)


def _check_method(request: Request) -> None:
    allowed: tuple[str, ...] = ("POST",) if request.path == requests.LOGOUT else READING
    if request.path == requests.LOGIN:
        allowed = (*READING, "POST")
    if request.method not in allowed:
        raise ProblemError(
            HTTPStatus.METHOD_NOT_ALLOWED,
            "This page only takes other methods",
            "The viewer reads; it changes nothing.",
            f"Use {' or '.join(allowed)}.",
            headers=(("Allow", ", ".join(allowed)),),
        )


def _reference(request: Request) -> str:
    uri = request.query.get("uri", "")
    if not uri:
        raise requests.malformed("The parameter uri is missing.")
    return uri


def _wants_page(request: Request) -> bool:
    return any("text/html" in value for value in request.headers.get("accept", ()))


def _problem(request: Request, problem: ProblemError, visitor: Visitor | None = None) -> Response:
    if _wants_page(request):
        return responses.page(pages.problem(problem, visitor), problem.status, problem.headers)
    return responses.text(pages.problem_text(problem), problem.status, problem.headers)


def _filename(fields: dict[str, str], part: Part) -> str:
    span = fields.get("qtap-span-id", "")
    name = span if len(span) == 16 and span.isalnum() and span.isascii() else "unknown"
    return f"payload-{name}-{part}.bin"


def _log(request: Request, response: Response, visitor: Visitor | None) -> None:
    uri = request.query.get("uri") or request.form.get("uri") or "-"
    logger.info(
        "access: %s %s %d, visitor %s, from %s, reference %s",
        request.method,
        request.path[:_LONGEST_LOGGED],
        response.status,
        visitor.name if visitor else "-",
        request.peer,
        uri[:_LONGEST_LOGGED],
    )
