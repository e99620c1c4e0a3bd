# SPDX-License-Identifier: Apache-2.0
"""What went wrong, why, and how to fix it: the errors that a visitor sees."""

from http import HTTPStatus

from otel_qtap.errors import NotStoredError, StoreError, TooLargeError


class ProblemError(Exception):
    """A request that is not answered with what it asked for. Never holds a byte of payload."""

    def __init__(
        self, status: HTTPStatus, what: str, why: str, fix: str, *, headers: tuple[tuple[str, str], ...] = ()
    ) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.why = why
        self.fix = fix
        self.headers = headers


def of_store(error: StoreError) -> ProblemError:
    """The problem behind an error of the object store or of what it holds."""
    why = f"{error}."
    match error:
        case NotStoredError():
            return ProblemError(
                HTTPStatus.NOT_FOUND,
                "This payload is not in the store",
                why,
                "It may have expired by the store's retention rules, or it is still on its way: a segment is "
                "uploaded within seconds. A span of a dropped segment has a qtap.payload.dropped event.",
            )
        case TooLargeError():
            return ProblemError(
                HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
                "This payload is too large to be shown here",
                why,
                "Fetch it with the command: otel-qtap payload get REFERENCE -o FILE",
            )
    if error.retryable:
        fix = "Try again in a while; the store may be busy or out of reach."
    else:
        fix = "Check the reference, and that the viewer's account and credentials may read the store."
    return ProblemError(HTTPStatus.BAD_GATEWAY, "The object store did not give this payload", why, fix)
