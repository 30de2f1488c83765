"""Calls to a web service that answers in JSON. Layer: providers.

Every failure becomes a `CallError` with the result to report: never an exception of the HTTP
library, never a text with a key in it. A key that a service wants in the address is put there
below the layer that logs addresses. Services do not guarantee the shape of their JSON: reading it
never raises.
"""

import json
import threading
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx

from relook.core.errors import InputError, proxies_understood
from relook.core.plain_text import plain
from relook.core.retry import retry_after_s
from relook.core.secret import Secret
from relook.core.web import host_of, user_agent
from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.providers.match import Sent

_MAX_ANSWER_BYTES = 16 * 1024**2


class CallError(Exception):
    """No usable answer; `result` is what to report."""

    def __init__(self, result: ProviderResult) -> None:
        super().__init__(result.message)
        self.result = result


@dataclass(frozen=True, slots=True)
class Call:
    """One request.

    Args:
        method: "GET" or "POST".
        url: Without key and parameters.
        what: What of the picture it sends, for people.
        params: Of the address.
        body: Sent as JSON; None for none.
        headers: Further ones; may hold a key.
    """

    method: str
    url: str
    what: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] | None = None
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)


class JsonService:
    """One service, used from several threads.

    Args:
        provider: Name of the provider, for results.
        secret: The service's key, which is scrubbed from every text; None when it has none.
        key_param: Name of the address parameter that carries the key; empty when none does.
        base_url: The service's address, to look up its proxy in the environment.
    """

    def __init__(
        self, provider: str, secret: Secret | None, key_param: str = "", base_url: str = ""
    ) -> None:
        self.provider = provider
        self._secret = secret
        self._key_param, self._base_url = key_param, base_url
        self._client: httpx.Client | None = None
        self._closed = False
        self._lock = threading.Lock()

    def close(self) -> None:
        """Closes the connections; closing twice is fine."""
        with self._lock:
            self._closed = True
            if self._client is not None:
                self._client.close()

    def _opened(self) -> httpx.Client:
        """The client. The first call makes it, since that reads every certificate authority:
        a question that the cache answers does without.
        """
        with self._lock:
            if self._closed:
                raise RuntimeError(f"{self.provider} is closed")
            if self._client is None:
                transport = None
                if self._key_param and self._secret is not None:
                    proxy = _proxy_for(self._base_url)
                    with proxies_understood():
                        transport = _KeyedTransport(self._secret, self._key_param, proxy)
                agent = {"User-Agent": user_agent(), "Accept": "application/json"}
                with proxies_understood():
                    self._client = httpx.Client(transport=transport, headers=agent)
            return self._client

    def call(self, call: Call, timeout_s: float) -> tuple[int, dict[str, Any], Sent]:
        """Sends a request and reads its JSON object.

        Returns:
            The HTTP status (2xx or 4xx other than 408 and 429), the object, and what was sent.

        Raises:
            CallError: with the result to report.
        """
        content = b"" if call.body is None else json.dumps(call.body).encode()
        n_bytes = len(content) or sum(len(name) + len(v) for name, v in call.params.items())
        sent = Sent(host_of(call.url), n_bytes, call.what)
        headers = dict(call.headers)
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            client = self._opened()
        except InputError as error:  # a proxy that cannot be used: nothing was sent
            raise self.trouble(Outcome.FAILED, error.message, error.hint) from error
        request = client.build_request(
            call.method,
            call.url,
            params=dict(call.params) or None,
            content=content or None,
            headers=headers,
            timeout=max(timeout_s, 0.05),
        )
        status, data, wait_s = self._exchange(client, request, sent, time.monotonic() + timeout_s)
        if 300 <= status < 400:  # what is sent, and the key, are for the address that was named
            message = f"{sent.host} answered {status}: a redirect, which is not followed"
            raise self.trouble(
                Outcome.FAILED, message, "is a proxy between, or its address old?", sent
            )
        if status in (408, 429) or status >= 500:
            raise CallError(self._busy(status, data, wait_s, sent))
        return status, self._object(status, data, sent), sent

    def trouble(
        self, outcome: Outcome, message: str, hint: str = "", *sent: Sent, **more: Any
    ) -> CallError:
        """An error whose texts are plain and have no key in them."""
        scrub = self._secret.scrub if self._secret else (lambda text: text)
        message, hint = plain(scrub(message), 400), plain(scrub(hint), 400)
        return CallError(ProviderResult(self.provider, outcome, (), message, hint, sent, **more))

    def _exchange(
        self, client: httpx.Client, request: httpx.Request, sent: Sent, deadline: float
    ) -> tuple[int, bytes, float | None]:
        try:
            response = client.send(request, stream=True)
            try:
                data = bytearray()
                for chunk in response.iter_bytes():
                    data += chunk
                    if len(data) > _MAX_ANSWER_BYTES:
                        message = f"the answer has more than {_MAX_ANSWER_BYTES:,} bytes"
                        raise self.trouble(Outcome.FAILED, message, "", sent)
                    if time.monotonic() > deadline:
                        raise httpx.ReadTimeout("the answer did not end in time")
            finally:
                response.close()
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing was sent
            message = f"{sent.host} cannot be reached: {error}"
            hint = "check the network connection"
            raise self.trouble(Outcome.FAILED, message, hint, passing=True) from None
        except httpx.TimeoutException:
            message, hint = f"{sent.host} did not answer in time", "raise the time limit"
            raise self.trouble(Outcome.TIMED_OUT, message, hint, sent) from None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            message = f"the line to {sent.host} broke: {error}"
            hint = "check the network connection"
            # The chain is cut: the library's exception holds the request, which holds the key.
            raise self.trouble(Outcome.FAILED, message, hint, sent, passing=True) from None
        return (
            response.status_code,
            bytes(data),
            retry_after_s(response.headers.get("retry-after", "")),
        )

    def _object(self, status: int, data: bytes, sent: Sent) -> dict[str, Any]:
        try:
            values = json.loads(data)
        except (ValueError, RecursionError):
            values = None
        if not isinstance(values, dict):
            start = data[:80].decode("utf-8", "replace")
            message = f"{sent.host} answered {status} with something that is no JSON: {start!r}"
            raise self.trouble(Outcome.FAILED, message, "", sent)
        return values

    def _busy(self, status: int, data: bytes, wait_s: float | None, sent: Sent) -> ProviderResult:
        reason = _error_text(data)
        message = f"{sent.host} answered {status}" + (f": {reason}" if reason else "")
        if status == 429:
            hint = f"ask again in {wait_s:.0f} s" if wait_s else "ask again later"
            outcome = Outcome.QUOTA
        else:
            outcome, hint = Outcome.FAILED, "the service has a fault; ask again later"
        more = {"passing": True, "retry_after_s": wait_s}
        return self.trouble(outcome, message, hint, sent, **more).result


class JsonProvider(ABC):
    """Base of providers that ask one `JsonService`: a failure becomes a result, with its time."""

    _service: JsonService

    @abstractmethod
    def _find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """Asks the service; raises `CallError` with what went wrong."""

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        """See `Provider.find`."""
        began = time.perf_counter()
        try:
            result = self._find(subject, lookup)
        except CallError as error:
            result = error.result
        return result.timed(time.perf_counter() - began)

    def close(self) -> None:
        """Closes the connections."""
        self._service.close()


class _KeyedTransport(httpx.BaseTransport):
    """Adds the key to the address below everything that logs addresses."""

    def __init__(self, secret: Secret, param: str, proxy: str | None) -> None:
        self._secret, self._param = secret, param
        self._inner = httpx.HTTPTransport(proxy=proxy)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        url = request.url.copy_set_param(self._param, self._secret.reveal())
        keyed = httpx.Request(
            request.method,
            url,
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return self._inner.handle_request(keyed)

    def close(self) -> None:
        self._inner.close()


def _proxy_for(url: str) -> str | None:
    """The environment's proxy for an address: httpx does not look for one behind a transport."""
    parts = httpx.URL(url)
    if urllib.request.proxy_bypass(parts.host):
        return None
    proxies = urllib.request.getproxies()
    return proxies.get(parts.scheme) or proxies.get("all")


def _error_text(data: bytes) -> str:
    """The message of a JSON error, in the two shapes that services use."""
    try:
        error = json.loads(data).get("error", "")
    except (ValueError, AttributeError, RecursionError):
        return ""
    return plain(error.get("message", "") if isinstance(error, dict) else error, 200)


def object_of(value: object) -> Mapping[str, Any]:
    """The object, or an empty one when it is something else."""
    return value if isinstance(value, dict) else {}


def rows_of(values: Mapping[str, Any], field: str) -> list[Mapping[str, Any]]:
    """The objects in a list; empty when there is no list."""
    rows = values.get(field)
    return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []


def text_of(value: object) -> str:
    """The string, or a number as one; empty for anything else."""
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return ""
    return str(value)


def url_of(value: object) -> str:
    """An http(s) address, given as a string or as an object with a `link`; empty otherwise."""
    if isinstance(value, dict):
        value = value.get("link") or value.get("url")
    text = value.strip() if isinstance(value, str) else ""
    return text if text.startswith(("http://", "https://")) else ""
