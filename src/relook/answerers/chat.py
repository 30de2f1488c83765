"""Any OpenAI-compatible chat endpoint that takes pictures. Layer: answerers.

Hosted services, vLLM, Ollama, LM Studio, llama.cpp's server: what speaks `chat/completions`.
This module waits and tries again itself instead of leaving that to the client, so that the
person is told and the time stays inside `timeout_s`. It follows no redirect.

Source: the public reference of the chat completions API.
"""

from __future__ import annotations

import base64
import ipaddress
import logging
import os
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx2  # a stream that breaks raises its error, not openai's
import openai

from relook.answerers.base import Prompt, Reply, Shown, Tell
from relook.answerers.chat_errors import (
    ServiceFaultError,
    is_passing,
    is_refusal,
    said,
    status_of,
    wanted_pause_s,
    what_failed,
)
from relook.answerers.chat_reply import Collected, read_reply
from relook.core.errors import AnswerError, InputError, proxies_understood
from relook.core.retry import Deadline, Retries
from relook.core.secret import Secret, find_secret
from relook.core.settings import ModelSettings

_LOG = logging.getLogger(__name__)
_KEY_VARIABLES = ("OPENAI_API_KEY",)
_CONNECT_S = 10.0
_SAY_WAIT_S = 1.0
Request = dict[str, Any]
_FAILURES = (openai.OpenAIError, httpx2.HTTPError, ServiceFaultError, ValueError, OSError)


class ChatAnswerer:
    """Asks a model behind an OpenAI-compatible address.

    Args:
        model: The model, as the service calls it.
        settings: Address, limits and patience.
        key: The service's key; `$OPENAI_API_KEY` or the keyring's when None. A service on
            this machine needs none.
        sleep: How to wait, for tests.

    Raises:
        InputError: `bad_address` for one that is not http(s).
        AnswerError: `no_model_key` when a service elsewhere has no key.
    """

    name = "openai"
    remote = True
    needs = ("model", "key")

    def __init__(
        self,
        model: str,
        settings: ModelSettings | None = None,
        *,
        key: Secret | None = None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.model, self._settings = model, settings or ModelSettings()
        self._sleep, self._key = sleep, key or find_secret("openai", _KEY_VARIABLES)
        self._client = self._made_client()
        address = urlsplit(str(self._client.base_url))
        if address.scheme not in ("http", "https") or not address.hostname:
            raise InputError(
                "bad_address",
                f"{self._settings.base_url!r} is not the address of a service",
                "it looks like http://127.0.0.1:11434/v1",
            )
        self.host = address.hostname
        self.third_party = not _is_here(self.host)
        if self._key is None and self.third_party:
            raise AnswerError(
                "no_model_key",
                f"there is no key for {self.host}",
                "set OPENAI_API_KEY, or run: keyring set relook openai",
            )

    @classmethod
    def open(cls, spec: str, settings: ModelSettings, key: Secret | None = None) -> ChatAnswerer:
        """Opens a model; `MODEL@URL` names its service, too."""
        model, at, address = spec.partition("@http")
        if at:
            settings = replace(settings, base_url=f"http{address}")
        return cls(model, settings, key=key)

    def _made_client(self) -> openai.OpenAI:
        address = self._settings.base_url or os.environ.get("OPENAI_BASE_URL") or None
        # What stays on this machine goes through no proxy of the environment.
        is_here = _is_here(urlsplit(address or "").hostname or "")
        with proxies_understood():
            # Consent is for the address that was typed, and a redirect names another.
            http = openai.DefaultHttpxClient(trust_env=not is_here, follow_redirects=False)
        return openai.OpenAI(
            # The client does not start without a key; a service of one's own ignores this word.
            api_key=self._key.reveal() if self._key else "none",
            max_retries=0,
            timeout=openai.Timeout(self._settings.timeout_s, connect=_CONNECT_S),
            base_url=address,
            http_client=http,
        )

    def reply(self, prompt: Prompt, tell: Tell | None = None) -> Reply:
        """See `Answerer.reply`."""
        deadline = Deadline(self._settings.timeout_s)
        collected = Collected(tell, deadline)
        backoff_s, n_retries = self._settings.backoff_s, self._settings.retries
        retries = Retries(n_retries, backoff_s, deadline=deadline, sleep=self._sleep)
        request, notes = self._request(prompt), list[str]()
        while True:
            try:
                self._ask(request, collected, deadline)
                break
            except _FAILURES as error:
                if collected.has_begun:  # asking again would double it
                    collected.cut(self._reason(error))
                    break
                if is_refusal(error):
                    collected.add_refusal(self._scrub(said(error)))
                    break
                if accepted := _without_unknown_key(request, error):
                    request, left_out = accepted
                    notes.append(f"asked without {left_out}, which the service does not take")
                else:
                    self._wait(error, retries, notes, tell)
        return collected.reply(self.model, notes)

    def close(self) -> None:
        """Closes the connections; closing twice is fine."""
        self._client.close()

    def _request(self, prompt: Prompt) -> Request:
        content = [_part(part) for part in prompt.parts]
        rules = [{"role": "system", "content": prompt.system}] if prompt.system else []
        request: Request = {
            "model": self.model,
            "messages": [*rules, {"role": "user", "content": content}],
            "max_tokens": self._settings.max_tokens,
        }
        if self._settings.temperature is not None:
            request["temperature"] = self._settings.temperature
        if self._settings.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return request

    def _ask(self, request: Request, collected: Collected, deadline: Deadline) -> None:
        timeout = openai.Timeout(deadline.left_s, connect=min(_CONNECT_S, deadline.left_s))
        asking = self._client.chat.completions.with_streaming_response
        with asking.create(**request, timeout=timeout) as response:
            read_reply(_in_time(response.iter_lines(), deadline), collected)

    def _wait(
        self, error: Exception, retries: Retries, notes: list[str], tell: Tell | None
    ) -> None:
        """Waits before the next attempt, or raises when there is to be none."""
        pause = retries.pause_s(wanted_pause_s(error))
        if not is_passing(error) or not retries.may_wait(pause):
            failed = what_failed(error, self.host, self.model, pause)
            raise AnswerError(failed.code, self._scrub(failed.message), failed.hint) from None
        why = f"{self.host} is busy or failed ({self._reason(error)}): waited {pause:.1f} s"
        _LOG.info("%s", why)
        notes.append(why)
        if tell and pause >= _SAY_WAIT_S:
            tell("note", why.replace("waited", "waiting"))
        retries.wait(pause)

    def _reason(self, error: Exception) -> str:
        status, words = status_of(error), self._scrub(said(error))
        return f"status {status}: {words}" if status and words else words or f"status {status}"

    def _scrub(self, text: str) -> str:
        return self._key.scrub(text) if self._key else text


def _is_here(host: str) -> bool:
    """Whether a host is this machine, where nothing leaves it."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _part(part: str | Shown) -> dict[str, Any]:
    if isinstance(part, str):
        return {"type": "text", "text": part}
    data = base64.b64encode(part.data).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:{part.mime};base64,{data}"}}


def _in_time(lines: Iterator[str], deadline: Deadline) -> Iterator[str]:
    """The lines, as long as there is time: a service may send them slowly for ever."""
    for line in lines:
        if deadline.is_over:
            raise TimeoutError("the time for a reply is over")
        yield line


def _without_unknown_key(request: Request, error: Exception) -> tuple[Request, str] | None:
    """The request as this service takes it, when it was rejected for one of its keys."""
    if status_of(error) not in (400, 404, 415, 422, 500, 501):
        return None
    message = said(error).lower()
    if "stream_options" in request and "stream_options" in message:
        return _less(request, "stream_options"), "stream_options"
    if "max_tokens" in request and "max_tokens" in message and "max_completion_tokens" in message:
        rest = _less(request, "max_tokens")
        return {**rest, "max_completion_tokens": request["max_tokens"]}, "max_tokens"
    if "temperature" in request and "temperature" in message:
        return _less(request, "temperature"), "temperature"
    if "stream" in request and _NO_STREAM.search(message):
        return _less(request, "stream", "stream_options"), "streaming"
    return _without_system(request, message)


def _without_system(request: Request, message: str) -> tuple[Request, str] | None:
    rules, *turns = request["messages"]
    if rules["role"] == "system" and _NO_SYSTEM.search(message):
        content = [{"type": "text", "text": rules["content"]}, *turns[0]["content"]]
        return {**request, "messages": [{**turns[0], "content": content}]}, "a system message"
    return None


_NO_STREAM = re.compile(
    r"stream\w*.{0,40}(?:not|n't|un)\s?(?:be )?support|stream.{0,20}must be false"
)
_NO_SYSTEM = re.compile(
    r"system (?:role|message|prompt).{0,40}(?:not|n't|un)\s?support|roles must alternate"
)


def _less(request: Request, *keys: str) -> Request:
    return {key: value for key, value in request.items() if key not in keys}
