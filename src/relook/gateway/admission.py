"""Who asks, and whether they may: the token, people who signed in, links. Layer: gateway.

Without people everything is open to whoever has the token, or to everybody where there is none.
With people each request is of somebody, and each route needs a right; which one, its server says.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlencode

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.types import Scope

from relook.core.errors import AccessError, NotFoundError, RelookError, SignInError, TokenError
from relook.gateway.server_settings import ServerSettings
from relook.people.rights import EVERYONE, NOBODY, TOKEN, Right, Who

if TYPE_CHECKING:
    from relook.people.people import People

API = "/api/v1"
WHO = "relook.who"
"""Key of a scope: the `Who` that asks."""
ALBUM_PAGE = "/static/shared.html"
"""The page that shows the album of a link."""
_OPEN_PATHS = (f"{API}/health",)
_RECHECK_S = 20.0  # how long a stream may outlive the right to it


@dataclass(frozen=True, slots=True)
class Need:
    """What a route needs of whoever asks.

    Args:
        right: For the library that the request names, or for any where it names none; None where
            nobody has to say who they are.
        library_id: The library in the request's address.
        what: How the log calls it; nothing is logged when it is empty.
        of_album_link: Whether a link to an album opens it, and nothing else does. Such a link is
            looked at for no other route: there, who has one is nobody.
    """

    right: Right | None
    library_id: str | None = None
    what: str = ""
    of_album_link: bool = False


NeedOf = Callable[[Scope], Need | None]
"""From a request to what it needs; None for a route that there is not."""


class Admission:
    """Decides for each request who asks, and whether they may.

    Args:
        settings: With the token.
        people: Who may sign in; None where nobody can.
        need_of: What requests need, where there are people.
    """

    def __init__(
        self,
        settings: ServerSettings,
        people: People | None = None,
        need_of: NeedOf = lambda scope: None,
    ) -> None:
        self._token, self._people, self._need_of = settings.token, people, need_of
        self._cookie, self._cookie_value = _cookie_of(settings.token)
        self._names = cookie_names(settings)

    async def admit(self, scope: Scope) -> Response | None:
        """Says who asks in `scope`; answers here what only sets a cookie, or passes (None).

        Raises:
            AccessError, NotFoundError: when it is refused.
        """
        headers = Headers(scope=scope)
        if self._token is not None and _bearer(headers, self._token):
            scope[WHO] = TOKEN
            return None
        cookies = _cookies(headers)
        people = await self._people_there()
        if people is None:
            if self._token is None or scope["path"] in _OPEN_PATHS:
                scope[WHO] = EVERYONE
                return None
            response = self._by_token(scope, cookies, self._token)
            if response is None and scope[WHO] is not TOKEN:
                raise TokenError(
                    "bad_token",
                    "this server wants its token, and the request shows none or a wrong one",
                    "open the link that relook serve printed, or send Authorization: Bearer TOKEN",
                )
            return response
        if response := await self._opened_link(scope, people):
            return response
        who = await self._who(scope, people, cookies)
        if who is None and self._token is not None:
            if response := self._by_token(scope, cookies, self._token):
                return response
            who = TOKEN if scope[WHO] is TOKEN else None
        scope[WHO] = who or NOBODY
        _authorise(scope[WHO], self._need_of(scope))
        return None

    def ended(self, scope: Scope) -> Awaitable[None] | None:
        """Returns when whoever asked may no longer have the answer; None where nothing ends it."""
        people = self._people
        if people is None or not scope[WHO].is_limited or scope[WHO] is NOBODY:
            return None
        return self._ended(scope, people)

    async def _ended(self, scope: Scope, people: People) -> None:
        cookies = _cookies(Headers(scope=scope))
        while True:
            await asyncio.sleep(_RECHECK_S)
            try:
                who = await self._who(scope, people, cookies)
                _authorise(who or NOBODY, self._need_of(scope))
            except RelookError:
                return

    async def note(self, scope: Scope, status: int) -> None:
        """Logs what somebody did, where there are people and it counts."""
        who: Who = scope[WHO]
        if self._people is None or not self._people.may_be_there() or who is NOBODY:
            return  # what nobody in particular tries would fill the log
        need = self._need_of(scope)
        if need is None or not need.what:
            return
        outcome = "done" if status < 400 else "failed" if status >= 500 else "refused"
        line = (who.name or who.kind, address_of(scope), need.what, need.library_id or "", outcome)
        await asyncio.to_thread(self._people.note, *line)

    async def _people_there(self) -> People | None:
        """The people, where somebody has to sign in."""
        people = self._people
        # On the event loop it is only looked whether there is a file.
        if people is None or not people.may_be_there():
            return None
        if people.have_been_seen:
            return people
        return people if await asyncio.to_thread(people.are_there) else None

    async def _who(self, scope: Scope, people: People, cookies: Mapping[str, str]) -> Who | None:
        is_tls = scope.get("scheme") == "https"
        if (need := self._need_of(scope)) is not None and need.of_album_link:
            album = cookies.get(self._names.album(is_tls))
            return await asyncio.to_thread(people.passes.of_album_link, album) if album else None
        session = cookies.get(self._names.session(is_tls))
        link = cookies.get(self._names.link(is_tls))
        if not session and not link:
            return None
        return await asyncio.to_thread(people.who, session, link)

    async def _opened_link(self, scope: Scope, people: People) -> Response | None:
        """The answer to a link to a library or an album: its token goes into a cookie."""
        if not _is_opened(scope) or scope["path"] != "/":
            return None
        token = _parameters(scope).get("link")
        if token is None:
            return None
        is_tls = scope.get("scheme") == "https"
        who = await asyncio.to_thread(people.who, None, token)
        if who is None:
            if await asyncio.to_thread(people.passes.of_album_link, token) is None:
                return RedirectResponse("/#link-ended", 303)
            response = RedirectResponse(ALBUM_PAGE, 303)
            set_cookie(response, self._names.album(is_tls), token, is_tls=is_tls)
            return response
        library_id = next(iter(who.rights))
        response = RedirectResponse(f"/?{urlencode({'library': library_id})}", 303)
        set_cookie(response, self._names.link(is_tls), token, is_tls=is_tls)
        return response

    def _by_token(self, scope: Scope, cookies: Mapping[str, str], token: str) -> Response | None:
        """The token in a cookie or an address; the latter becomes the former."""
        if _same(cookies.get(self._cookie, ""), self._cookie_value):
            scope[WHO] = TOKEN
            return _without_token(scope)
        if _is_opened(scope) and _same(_parameters(scope).get("token", ""), token):
            response = _without_token(scope) or RedirectResponse("/", 303)
            is_tls = scope.get("scheme") == "https"
            set_cookie(response, self._cookie, self._cookie_value, is_tls=is_tls)
            return response
        return None


@dataclass(frozen=True, slots=True)
class CookieNames:
    """What the cookies of a server are called: servers on one machine share a browser's cookies.

    Args:
        ending: Differs between files of people.
        token: Of the cookie that stands for the token.
    """

    ending: str
    token: str

    def session(self, is_tls: bool) -> str:
        """With the prefix that keeps other hosts from setting it, where there is TLS."""
        return f"{'__Host-' if is_tls else ''}relook_session_{self.ending}"

    def link(self, is_tls: bool) -> str:
        """As `session`."""
        return f"{'__Host-' if is_tls else ''}relook_link_{self.ending}"

    def album(self, is_tls: bool) -> str:
        """Of a link to an album; as `session`."""
        return f"{'__Host-' if is_tls else ''}relook_album_{self.ending}"


def cookie_names(settings: ServerSettings) -> CookieNames:
    """The names of a server's cookies."""
    path = bytes(settings.people.absolute())
    return CookieNames(hashlib.sha256(path).hexdigest()[:8], _cookie_of(settings.token)[0])


def set_cookie(
    response: Response, name: str, value: str, *, is_tls: bool, lasts_s: float | None = None
) -> None:
    """Sets a cookie that no script reads and no other site's request carries."""
    response.set_cookie(
        name, value, httponly=True, samesite="strict", secure=is_tls, path="/",
        max_age=None if lasts_s is None else int(lasts_s),
    )  # fmt: skip


def set_session(
    response: Response, scope: Scope, settings: ServerSettings, token: str, lasts_s: float
) -> None:
    """Gives a browser the token of its session."""
    is_tls = scope.get("scheme") == "https"
    name = cookie_names(settings).session(is_tls)
    set_cookie(response, name, token, is_tls=is_tls, lasts_s=lasts_s)


def forget_cookies(response: Response, scope: Scope, settings: ServerSettings) -> None:
    """Takes every cookie of this server from a browser."""
    is_tls = scope.get("scheme") == "https"
    names = cookie_names(settings)
    for name in (
        names.session(is_tls), names.link(is_tls), names.album(is_tls), names.token,
    ):  # fmt: skip
        response.delete_cookie(name, path="/", secure=is_tls, httponly=True, samesite="strict")


def ended_session() -> SignInError:
    """Nobody is signed in, or no longer."""
    return SignInError(
        "sign_in_needed",
        "this server wants to know who you are",
        "sign in on its page; a program sends Authorization: Bearer TOKEN, or gives relook.Client a"
        " name and a password",
    )


def address_of(scope: Scope) -> str:
    """Where a request comes from."""
    client = scope.get("client")
    return str(client[0]) if client else ""


def _authorise(who: Who, need: Need | None) -> None:
    if need is not None and need.right is None:
        return
    by_album_link = need is not None and need.of_album_link
    if who is NOBODY or (who.is_limited and (who.album is not None) != by_album_link):
        raise ended_session()
    if not who.is_limited or by_album_link:
        return
    if need is None or need.right is None:  # not listed: no right is enough for it
        raise NotFoundError(
            "no_route", "there is nothing at this address", "GET /openapi.json lists every route"
        )
    if need.library_id is not None:
        who.check(need.library_id, need.right)
    elif who.most < need.right:
        raise AccessError(
            "right_needed",
            f"this needs the right to {need.right.word} a library",
            "ask whoever runs this server for it",
        )


def _bearer(headers: Headers, token: str) -> bool:
    scheme, _, shown = headers.get("authorization", "").partition(" ")
    return scheme.lower() == "bearer" and _same(shown.strip(), token)


def _cookies(headers: Headers) -> dict[str, str]:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return {}
    return {name: morsel.value for name, morsel in cookies.items()}


def _parameters(scope: Scope) -> dict[str, str]:
    return dict(parse_qsl(scope["query_string"].decode("latin-1")))


def _is_opened(scope: Scope) -> bool:
    """Whether an address is opened, or looked at before it is."""
    return scope["method"] in ("GET", "HEAD")


def _without_token(scope: Scope) -> Response | None:
    """A redirect to the same page with the token taken out of its address."""
    parameters = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    rest = [(name, value) for name, value in parameters if name != "token"]
    if len(rest) == len(parameters) or not _is_opened(scope):
        return None
    path = "/" + scope["path"].lstrip("/\\")  # never another host
    return RedirectResponse(f"{path}?{urlencode(rest)}" if rest else path, 303)


def _cookie_of(token: str | None) -> tuple[str, str]:
    """Name and value of the cookie that stands for the token, without holding it."""
    key = (token or "").encode()
    value = hmac.new(key, b"relook cookie", hashlib.sha256).hexdigest()
    name = hmac.new(key, b"relook cookie name", hashlib.sha256).hexdigest()
    return f"relook_{name[:8]}", value


def _same(shown: str, wanted: str) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(shown.encode("utf-8", "surrogateescape"), wanted.encode())
