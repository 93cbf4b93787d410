"""Who may ask: this machine alone, or whoever has the token; and how much may be sent at once."""

import secrets
from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import JSONResponse, RedirectResponse, Response

from mmx.core.present import present

LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE = "mmx_token"
MOST_BYTES = 20_000_000
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'"
)
HEADERS = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}

Next = Callable[[Request], Awaitable[Response]]


class Guard:
    """Lets a request through, or answers it.

    Without a token only requests to this machine by its own name pass, so that no page of the web can reach
    it under a name that it has made point here. With one, it is given once in the address and kept in a
    cookie, or sent as `Authorization: Bearer`.
    """

    def __init__(self, token: str | None) -> None:
        self._token = token

    async def __call__(self, request: Request, call_next: Next) -> Response:
        """Check, answer, and put the headers on that keep a browser from doing more than it should."""
        response = self._refusal(request)
        if response is None and self._token and request.query_params.get("token"):
            response = RedirectResponse(str(request.url.remove_query_params("token")), status_code=303)
            response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict")
        if response is None:
            response = await call_next(request)
        response.headers.setdefault("Content-Security-Policy", POLICY)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        return response

    def _refusal(self, request: Request) -> Response | None:
        if self._token is None and (request.url.hostname or "") not in LOOPBACK:
            return _refused(403, f"'{request.url.hostname}' is not this machine. Ask at http://localhost")
        if request.headers.get("sec-fetch-site") == "cross-site" and request.url.path.startswith("/api/"):
            return _refused(403, "another page may not ask here. Open this one.")
        if self._token is not None and not self._has_token(request):
            return _refused(401, "the token is missing or wrong. Open the address that mmx serve printed.")
        if not _length(request) <= MOST_BYTES:
            return _refused(413, f"more than {MOST_BYTES:,} bytes were sent. Send a smaller picture.")
        return None

    def _has_token(self, request: Request) -> bool:
        bearer = request.headers.get("authorization", "").removeprefix("Bearer ")
        token, given = (
            present(self._token),
            (bearer, request.cookies.get(COOKIE, ""), request.query_params.get("token", "")),
        )
        return any(secrets.compare_digest(word.encode(), token.encode()) for word in given)


def _length(request: Request) -> float:
    """Bytes of the body; without end where it has one and does not say how long it is."""
    said = request.headers.get("content-length", "0")
    counted = said.isdigit() and "transfer-encoding" not in request.headers
    return int(said) if counted else float("inf")


def _refused(status: int, reason: str) -> JSONResponse:
    return JSONResponse({"error": reason}, status_code=status)
