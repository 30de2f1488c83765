"""What `relook.Client` speaks by: requests, errors, streams, signing in. Layer: above none."""

import json
import logging
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from relook.core import errors
from relook.core.errors import InputError, MissingExtraError, RelookError, SignInError

try:
    import httpx
except ModuleNotFoundError as missing:
    raise MissingExtraError(
        "missing_extra", "relook.Client needs the package 'httpx'", "pip install 'relook[client]'"
    ) from missing

_LOG = logging.getLogger(__name__)
_API = "/api/v1"
_SIGN_OUT_S = 10.0  # a server that is away keeps nobody from closing
_CLASSES: Mapping[int, type[RelookError]] = {
    400: errors.InputError,
    401: errors.TokenError,
    403: errors.AccessError,
    404: errors.NotFoundError,
    409: errors.LibraryBusyError,
    413: errors.TooLargeError,
    422: errors.InputError,
    429: errors.TriesError,
    501: errors.MissingExtraError,
    503: errors.OverloadError,
    507: errors.StorageError,
}
_SIGN_IN = ("bad_sign_in", "sign_in_needed")  # as a missing token they have the status 401
Json = dict[str, Any]


class Connection:
    """Opens, keeps and closes the way to a server; arguments and errors are those of `Client`."""

    def __init__(
        self,
        address: str = "http://127.0.0.1:8765",
        *,
        token: str | None = None,
        name: str | None = None,
        password: str | None = None,
        timeout_s: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        if (name is None) != (password is None) or (name is not None and token is not None):
            raise InputError(
                "bad_credentials",
                "a name goes with a password, and neither with a token",
                "give token, or name and password, or nothing",
            )
        self._timeout_s = timeout_s
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        # A proxy that the environment names would get local pictures.
        try:
            self._http = httpx.Client(
                base_url=address, headers=headers, timeout=timeout_s, transport=transport,
                trust_env=False,
            )  # fmt: skip
        except (httpx.InvalidURL, TypeError) as error:
            hint = "it looks like http://127.0.0.1:8765"
            raise InputError("bad_address", f"{address!r}: {error}", hint) from error
        self._signed_in: str | None = None
        if name is not None:
            try:
                self._send("POST", "/sign-in", json={"name": name, "password": password})
            except BaseException:
                self.close()
                raise
            self._signed_in = name

    def close(self) -> None:
        """Signs out, where somebody signed in, and closes the connections.

        Closing twice is fine. A server that does not answer keeps the session until it ends.
        """
        name, self._signed_in = self._signed_in, None
        try:
            if name is not None:
                self._send("POST", "/sign-out", timeout=min(self._timeout_s, _SIGN_OUT_S))
        except SignInError:
            pass  # it has ended already
        except RelookError as error:
            _LOG.warning("%s is not signed out of %s: %s", name, self._http.base_url, error)
        finally:
            self._http.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _ask(self, method: str, path: str, **how: Any) -> Json:
        response = self._send(method, path, **how)
        try:
            answer: Json = response.json()
        except ValueError as error:
            what = f"{self._http.base_url} answered with something that is no JSON"
            raise RelookError("bad_answer", what, "is it relook serve that runs there?") from error
        return answer

    def _send(self, method: str, path: str, **how: Any) -> httpx.Response:
        try:
            response = self._http.request(method, _API + path, **how)
        except httpx.TransportError as error:
            raise self._no_server(error) from error
        except (ValueError, TypeError) as error:
            what = f"the request cannot be written as JSON: {error}"
            raise InputError("bad_request", what, "give finite numbers, texts and lists") from error
        self._check(response)
        return response

    def _events(self, path: str, wanted: str) -> Iterator[Json]:
        quiet = httpx.Timeout(self._timeout_s, read=None)  # events come when they come
        try:
            with self._http.stream("GET", _API + path, timeout=quiet) as response:
                if not response.is_success:
                    response.read()
                self._check(response)
                name = ""
                for line in response.iter_lines():
                    field, _, value = line.partition(": ")
                    if field == "event":
                        name = value
                    elif field == "data" and name == wanted:
                        yield json.loads(value)
        except httpx.TransportError as error:
            raise self._no_server(error) from error

    def _no_server(self, error: Exception) -> errors.OverloadError:
        return errors.OverloadError(
            "no_server",
            f"no answer from {self._http.base_url}: {error or type(error).__name__}",
            "is relook serve running there?",
        )

    def _check(self, response: httpx.Response) -> None:
        """Raises what the server raised; a redirect is not followed, for the token's sake."""
        if response.has_redirect_location:
            target = response.headers["location"].partition("?")[0][:200]
            raise InputError(
                "server_redirects",
                f"{self._http.base_url} answered with status {response.status_code}: it points to"
                f" {target}. Nothing was sent there",
                "if you trust that address, give it to relook.Client",
            )
        if response.is_success:
            return
        try:
            body = response.json()["error"]
            code, message, hint = body["code"], body["message"], body["hint"]
        except (ValueError, KeyError, TypeError):
            code, message, hint = "bad_answer", f"status {response.status_code}", ""
        if code == "sign_in_needed" and self._signed_in is not None:
            raise SignInError(
                "session_ended",
                f"{self._signed_in!r} is signed out, or the session's time is over",
                "sign in again: make another relook.Client with name and password",
            )
        kind = _CLASSES.get(response.status_code, RelookError)
        raise (SignInError if code in _SIGN_IN else kind)(code, message, hint)
