"""Who may ask, and how much: checks before a request reaches a route. Layer: gateway.

Host header (DNS rebinding), Origin and Sec-Fetch-Site (requests made by other sites), token,
size and pace of the body; and the headers that every answer carries.

Source: OWASP cheat sheets on CSRF and on HTTP headers; W3C Fetch Metadata.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from relook.core.errors import (
    AccessError,
    InputError,
    OverloadError,
    RelookError,
    TooLargeError,
)
from relook.gateway.admission import API, WHO, Admission, NeedOf, ended_session
from relook.gateway.error_answers import answer, internal
from relook.gateway.server_settings import ServerSettings
from relook.people.rights import NOBODY
from relook.serving.pools import busy

if TYPE_CHECKING:
    from relook.people.people import People

_LOG = logging.getLogger(__name__)
_LEFT = 499  # for the log only, as nginx has it: nobody is there to read it
_MIN_RATE = 16_384  # bytes a second that a body must come with
_SAFE = ("GET", "HEAD", "OPTIONS")
_SAYS_BODY = (b"content-length", b"transfer-encoding")
_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:;"
    " media-src 'self';"
    " connect-src 'self'; font-src 'self'; manifest-src 'self'; worker-src 'self';"
    " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


class Guard:
    """ASGI middleware around everything.

    Args:
        app: What answers the requests that pass.
        settings: Who and how much.
        gives_up: Whether a request ends when its client leaves.
        people, need_of: As for `Admission`.
    """

    def __init__(
        self,
        app: ASGIApp,
        settings: ServerSettings,
        *,
        gives_up: bool = False,
        people: People | None = None,
        need_of: NeedOf = lambda scope: None,
    ) -> None:
        self.app, self._settings, self._gives_up = app, settings, gives_up
        self._admission = Admission(settings, people, need_of)
        self._n_large = 0  # counted on the event loop

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request; the only place where an unforeseen error becomes an answer."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":  # there is nothing else here to talk to
                await self.app(scope, receive, send)
            return
        began = time.perf_counter()
        has_body = any(name in _SAYS_BODY for name, _ in scope["headers"])
        body = _Body(receive, self._limit(scope), self._settings.timeout_s, is_whole=not has_body)
        sender = _Sender(send, body)
        scope[WHO] = NOBODY
        try:
            refusal = self._check(scope) or await self._admission.admit(scope)
            with self._slot(scope):
                answering = (refusal or self.app)(_as_get(scope), body, sender)
                if not self._gives_up:
                    await answering
                elif (
                    await _while_wanted(answering, body, sender, self._admission.ended(scope))
                    and not sender.status
                ):
                    raise ended_session()
        except ClientDisconnect:  # in the middle of its body: nobody is there to answer
            sender.status = sender.status or _LEFT
        except Exception as error:
            if sender.status:
                raise  # the answer has begun: only ending the connection is honest
            failed, sender.replaced = body.refused or error, True
            response = answer(failed) if isinstance(failed, RelookError) else internal(failed)
            await response(scope, receive, sender)
        await self._admission.note(scope, sender.status)
        # The query is not logged: it may hold a token, and it is nobody's business.
        took_ms = (time.perf_counter() - began) * 1e3
        path = scope["path"].encode("unicode_escape").decode("ascii")
        _LOG.info("%s %s -> %d in %.1f ms", scope["method"], path, sender.status, took_ms)

    def _check(self, scope: Scope) -> Response | None:
        """Refuses a request, answers it here, or lets it pass (None).

        Raises:
            AccessError: when it is refused.
        """
        headers = Headers(scope=scope)
        if "transfer-encoding" in headers and "content-length" in headers:
            return _two_lengths()
        _check_host(headers, self._settings)
        _check_site(scope, headers)
        return None

    @contextmanager
    def _slot(self, scope: Scope) -> Iterator[None]:
        """Holds one of the places for large requests, whose bodies lie on the disk meanwhile.

        Raises:
            OverloadError: when all are taken.
        """
        if self._limit(scope) <= self._settings.body_bytes or scope["method"] in _SAFE:
            yield
            return
        if self._n_large >= self._settings.n_uploads:
            raise busy(f"{self._n_large} uploads are under way")
        self._n_large += 1
        try:
            yield
        finally:
            self._n_large -= 1

    def _limit(self, scope: Scope) -> int:
        settings, path = self._settings, scope["path"]
        if path.endswith("/uploads"):
            return settings.upload_bytes
        if path.endswith(("/pictures", "/search/picture", "/sessions/import")):
            return settings.picture_bytes
        return settings.body_bytes


async def _while_wanted(
    answering: Awaitable[None], body: _Body, sender: _Sender, ended: Awaitable[None] | None
) -> bool:
    """Answers a request, and gives that up when its client leaves before it has the answer.

    Returns:
        Whether it was given up because `ended` came first: the right to the answer has ended.
    """
    answer = asyncio.ensure_future(answering)
    ends = [asyncio.ensure_future(end) for end in (body.left(), ended) if end is not None]
    try:
        await asyncio.wait((answer, *ends), return_when=asyncio.FIRST_COMPLETED)
        if not answer.done() and not sender.is_whole:
            answer.cancel()
            await asyncio.wait((answer,))
            if answer.cancelled():
                sender.status = sender.status if ends[-1].done() and ended else _LEFT
                return ended is not None and ends[-1].done()
        await answer
    finally:
        for end in ends:
            end.cancel()
        answer.cancel()
    return False


class _CutOffError(Exception):
    """Ends an answer to a body that was cut off; unknown to whatever handles errors inside."""


class _Sender:
    """Adds the headers of every answer, and remembers its status.

    Frameworks answer a body that was cut off with what they make of the rest: the refusal
    takes the place of that answer.
    """

    def __init__(self, send: Send, body: _Body) -> None:
        self._send, self._body = send, body
        self.status, self.replaced = 0, False
        self.is_whole = False

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            if self._body.refused is not None and not self.replaced:
                self.replaced = True
                raise _CutOffError
            self.status = message["status"]
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
            headers.setdefault("Cache-Control", "no-store")
        elif not message.get("more_body", False):
            self.is_whole = True
        await self._send(message)


class _Body:
    """Receives a body that may be only so large and must neither pause nor trickle.

    Args:
        receive: Where it comes from.
        limit: Bytes at most.
        timeout_s: How long it may pause.
        is_whole: Whether the request says that it has none.
    """

    def __init__(
        self, receive: Receive, limit: int, timeout_s: float, *, is_whole: bool = False
    ) -> None:
        self._receive, self._limit, self._timeout_s = receive, limit, timeout_s
        self._n_bytes, self._whole = 0, asyncio.Event()
        self._is_owed = is_whole  # an empty body is given once, to the first who asks
        if is_whole:
            self._whole.set()
        self._began_s: float | None = None
        self.refused: RelookError | None = None

    async def left(self) -> None:
        """Returns when the client has left, or has its answer."""
        await self._whole.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass

    async def __call__(self) -> Message:
        if self._is_owed:
            self._is_owed = False
            return {"type": "http.request", "body": b"", "more_body": False}
        if self._whole.is_set():  # now it only waits for the client to go away
            await self.left()
            return {"type": "http.disconnect"}
        try:
            message = await asyncio.wait_for(self._receive(), self._patience_s())
        except TimeoutError:
            self.refused = OverloadError(
                "body_too_slow",
                f"no part of the body came for {self._timeout_s:g} s, or less than"
                f" {_MIN_RATE:,} bytes a second",
                "send it again, without a break",
            )
            raise self.refused from None
        self._n_bytes += len(message.get("body", b""))
        if not message.get("more_body", False):
            self._whole.set()
        if self._n_bytes > self._limit:
            self.refused = TooLargeError(
                "body_too_large",
                f"the body has more than {self._limit:,} bytes",
                "send less at once",
            )
            raise self.refused
        return message

    def _patience_s(self) -> float:
        """How long the next part may take: dripping bytes would otherwise go on for ever."""
        now_s = time.monotonic()
        if self._began_s is None:
            self._began_s = now_s
        due_s = self._began_s + self._timeout_s + self._n_bytes / _MIN_RATE
        return min(self._timeout_s, max(due_s - now_s, 0.0))


def _as_get(scope: Scope) -> Scope:
    """What is answered: for HEAD what GET is, of which the HTTP server sends the headers only.

    Not of a stream of events: nobody would know when that answer ends.
    """
    if scope["method"] != "HEAD" or scope["path"].endswith("/events"):
        return scope
    return {**scope, "method": "GET"}


def _two_lengths() -> Response:
    """Refuses a body with two lengths, and ends the connection: a proxy may believe the other.

    Source: RFC 9112, section 6.1 (request smuggling).
    """
    error = InputError("bad_request", "the request has two lengths", "send one of them")
    response = answer(error)
    response.headers["Connection"] = "close"
    return response


def _check_host(headers: Headers, settings: ServerSettings) -> None:
    host = headers.get("host", "")
    name = host if host.endswith("]") or ":" not in host else host.rpartition(":")[0]
    if len(headers.getlist("host")) != 1 or not settings.is_our_host(name):
        raise AccessError(
            "bad_host",
            f"this server is not called {name[:100]!r}",
            "use the address that relook serve printed, or start it with --allow-host NAME",
        )


def _check_site(scope: Scope, headers: Headers) -> None:
    """Refuses what another site's page asks for; opening our page by a link is fine."""
    site = headers.get("sec-fetch-site", "none")
    opens_page = (
        scope["method"] in ("GET", "HEAD")
        and headers.get("sec-fetch-mode") == "navigate"
        and not scope["path"].startswith(API)
    )
    origin = headers.get("origin")
    foreign = site not in ("none", "same-origin") and not opens_page
    if origin is not None and scope["method"] not in _SAFE:
        foreign = foreign or _netloc(origin) != headers.get("host", "").lower()
    if foreign:
        raise AccessError(
            "bad_origin", "a page of another site may not use this server", "open its own page"
        )


def _netloc(origin: str) -> str:
    """Host and port of an origin in lower case; empty, as no Host is, when it cannot be read."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:  # such as http://[
        return ""
