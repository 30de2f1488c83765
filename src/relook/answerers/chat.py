"""Any OpenAI-compatible chat endpoint that takes pictures. Layer: answerers.

Hosted services, vLLM, Ollama, LM Studio, llama.cpp's server: what speaks `chat/completions`.
This module waits and tries again itself instead of leaving that to the client, so that the
person is told and the time stays inside `timeout_s`.

Source: the public reference of the chat completions API.
"""

from __future__ import annotations

import base64
import ipaddress
import logging
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import httpx2  # a stream that breaks raises its error, not openai's
import openai

from relook.answerers.base import Prompt, Reply, Shown, Tell
from relook.answerers.chat_reply import (
    Collected,
    is_passing,
    read_stream,
    read_whole,
    wanted_pause_s,
    what_failed,
)
from relook.core.errors import AnswerError, InputError
from relook.core.retry import Deadline, Retries
from relook.core.secret import Secret, find_secret
from relook.core.settings import ModelSettings

_LOG = logging.getLogger(__name__)
_KEY_VARIABLES = ("OPENAI_API_KEY",)
_CONNECT_S = 10.0
_SAY_WAIT_S = 1.0
Request = dict[str, Any]


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
        address = self._settings.base_url or None
        timeout = openai.Timeout(self._settings.timeout_s, connect=_CONNECT_S)
        # The client does not start without a key; a service of one's own ignores this word.
        key = self._key.reveal() if self._key else "none"
        made = openai.OpenAI(api_key=key, max_retries=0, timeout=timeout, base_url=address)
        if not _is_here(urlsplit(str(made.base_url)).hostname or ""):
            return made
        made.close()
        # What stays on this machine goes through no proxy of the environment.
        direct = openai.DefaultHttpxClient(trust_env=False)
        return openai.OpenAI(
            api_key=key, max_retries=0, timeout=timeout, base_url=address, http_client=direct
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
            except (openai.OpenAIError, httpx2.HTTPError, ValueError, OSError) as error:
                if collected.text:  # an answer has begun; asking again would double it
                    collected.cut(self._reason(error))
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
        request: Request = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": content},
            ],
            "max_tokens": self._settings.max_tokens,
        }
        if self._settings.temperature is not None:
            request["temperature"] = self._settings.temperature
        if self._settings.stream:
            request |= {"stream": True, "stream_options": {"include_usage": True}}
        return request

    def _ask(self, request: Request, collected: Collected, deadline: Deadline) -> None:
        timeout = openai.Timeout(deadline.left_s, connect=min(_CONNECT_S, deadline.left_s))
        answer: Any = self._client.chat.completions.create(**request, timeout=timeout)
        if not request.get("stream"):
            read_whole(answer, collected)
            return
        with answer as stream:
            read_stream(_in_time(stream, deadline), collected)

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
        status = getattr(error, "status_code", None)
        return f"status {status}" if status else self._scrub(str(error) or type(error).__name__)

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


def _in_time(stream: Iterator[Any], deadline: Deadline) -> Iterator[Any]:
    """The pieces, as long as there is time: a service may send them slowly for ever."""
    for piece in stream:
        if deadline.is_over:
            raise TimeoutError("the time for a reply is over")
        yield piece


def _without_unknown_key(request: Request, error: Exception) -> tuple[Request, str] | None:
    """The request as this service takes it, when it was rejected for one of its keys."""
    if not isinstance(error, (openai.BadRequestError, openai.UnprocessableEntityError)):
        return None
    message = str(error)
    if "stream_options" in request and "stream_options" in message:
        return {k: v for k, v in request.items() if k != "stream_options"}, "stream_options"
    if "max_tokens" in request and "max_tokens" in message and "max_completion_tokens" in message:
        rest = {k: v for k, v in request.items() if k != "max_tokens"}
        return {**rest, "max_completion_tokens": request["max_tokens"]}, "max_tokens"
    if "temperature" in request and "temperature" in message:
        return {k: v for k, v in request.items() if k != "temperature"}, "temperature"
    return None
