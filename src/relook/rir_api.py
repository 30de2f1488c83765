"""A drop-in for the package `rir_api` of Reverse Image RAG. Layer: beside cli and server.

    from relook import rir_api  # instead of: import rir_api

    api = rir_api.RIR_API(openai_api_key)
    response = api.query_with_image(image_url, "What is in this image?")
    response.choices[0].message.content

The names and their meaning are the old package's. Behind them is Relook: evidence with numbers,
any provider, any model, files and bytes as well as addresses, JSON instead of pickle.
`response.relook` is the whole answer.

Source: github.com/mi92/reverse-image-rag, `rir_api.py`, for names and defaults.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from relook.answerers import Finish
from relook.app.asking import (
    AskedLibrary,
    Asking,
    make_answerer,
    make_provider,
    open_asker,
    subject_of,
)
from relook.core.errors import FetchError, InputError, MissingExtraError, StorageError
from relook.core.outputs import check_output, check_place
from relook.core.secret import Secret
from relook.core.settings import AskSettings, EvidenceSettings, GatherSettings, ModelSettings
from relook.providers import Provider
from relook.providers.base import Lookup, Outcome, ProviderResult
from relook.rag.answer import Answer

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion

_LOG = logging.getLogger(__name__)
_DEFAULT_MODEL, _MODEL_VARIABLE = "gpt-4o", "RELOOK_MODEL"
_MAX_TOKENS = 200
_N_MATCHES, _SEARCH_S = 20, 60.0
_RESULT, _SCREENSHOT = "api_gpt4v_result.json", "search_results.png"
_FINISHES = {Finish.LENGTH: "length", Finish.REFUSED: "content_filter"}
Picture = str | os.PathLike[str] | bytes


class RIR_API:  # noqa: N801 (the old package's name)
    """Answers questions about pictures with what a reverse image search finds.

    Args:
        openai_api_key: The key of the model's service; `$OPENAI_API_KEY` or the keyring's
            when None.
        model: As `relook ask --model`; `$RELOOK_MODEL` or a model of OpenAI's when None.
        provider: As `relook ask --provider`, or several, or providers by name.
        library: For the provider `library`.
        form: How the model sees what was found: `screenshot` as the old package (and as
            text from providers that keep none), `text` or `sheet` with numbers to cite.
        allow_upload: Whether files and bytes may go to the provider and the model's service.
        settings: Address, limits and patience of the model's service.
        cache: Whether a look-up may be answered by what an earlier one recorded, as
            `relook ask` does; then `delay` and `headless` have no meaning for it.

    Raises:
        AnswerError: `no_model_key` when a hosted service has no key.
        InputError: `bad_library` for the folder of a library, which is not opened here.
        MissingExtraError: `pip install 'relook[ask,browser]'` is needed.
    """

    def __init__(
        self,
        openai_api_key: str | None = None,
        *,
        model: str | None = None,
        provider: str | Sequence[str] | Mapping[str, Provider] = "lens-browser",
        library: AskedLibrary | None = None,
        form: str = "screenshot",
        allow_upload: bool = False,
        settings: ModelSettings | None = None,
        cache: bool = False,
    ) -> None:
        if isinstance(library, str | os.PathLike):
            raise InputError(
                "bad_library", f"library is a name here, {os.fspath(library)!r}",
                "open it: library=relook.Library(FOLDER)",
            )  # fmt: skip
        self.openai_api_key = openai_api_key
        self._cache = cache
        self._provider: Sequence[str] | Mapping[str, Provider]
        self._provider = [provider] if isinstance(provider, str) else provider
        self._library, self._form, self._allow_upload = library, form, allow_upload
        self._settings = settings or ModelSettings(max_tokens=_MAX_TOKENS, stream=False)
        key = Secret(openai_api_key, "RIR_API") if openai_api_key else None
        model = model or os.environ.get(_MODEL_VARIABLE) or _DEFAULT_MODEL
        self._answerer = make_answerer(model, self._settings, key=key)

    def query_with_image(
        self,
        image_url: Picture,
        query_text: str | None = None,
        output_path: str | os.PathLike[str] | None = None,
        delay: float = 2.0,
        show_result: bool = False,
        headless: bool = True,
    ) -> ChatCompletion:
        """Looks a picture up and asks the model about it.

        Args:
            image_url: Address of a picture, a file, or the bytes of one.
            query_text: The question; what the picture shows when None.
            output_path: Folder for the response as JSON and the screenshot; nothing is
                written when None.
            delay: Seconds that a browser waits for late results.
            show_result: Whether the screenshot is shown in a window.
            headless: Whether the browser has no window.

        Returns:
            A response as the openai package has them: `.choices[0].message.content`,
            `.usage`, and the whole answer as `.relook`.

        Raises:
            ImageError, FetchError: when the picture cannot be had.
            InputError: `no_display` when a window is wanted and there is no display, `in_library`
                for an `output_path` in a library; no model is asked then.
            AccessError: `upload_not_allowed`; AnswerError: when there is no response.
        """
        if output_path:
            check_place(Path(output_path))
        gather = GatherSettings() if self._cache else GatherSettings(cache_age_s=0.0)
        asking = Asking(AskSettings(form=self._form), self._settings, gather)
        subject = subject_of(image_url, self._library, replace(asking.web, private_ok=True))
        providers = self._providers(delay, headless)
        with ExitStack() as stack:
            asker = stack.enter_context(
                open_asker(
                    asking,
                    library=self._library,
                    model=self._answerer,
                    providers=providers,
                    allow_upload=self._allow_upload,
                )
            )
            if asker.gatherer is not None and providers is not self._provider:
                stack.callback(asker.gatherer.close)
            answer = asker.ask(subject, query_text or "")
        for result in answer.evidence.results:
            if result.message:
                _LOG.warning("%s", " ".join([result.message, result.hint]).strip())
        if show_result and answer.evidence.screenshot:
            _show(answer.evidence.screenshot)
        response = _response(answer)
        if output_path:
            _write(Path(output_path), response, answer.evidence.screenshot)
        return response

    @cached_property
    def client(self) -> OpenAI:
        """The openai package's own client, for calls of yours; `query_with_image` does without."""
        from openai import DefaultHttpxClient, OpenAI

        return OpenAI(
            api_key=self.openai_api_key,
            base_url=self._settings.base_url or None,
            http_client=DefaultHttpxClient(follow_redirects=False),  # to no other address
        )

    def close(self) -> None:
        """Closes the model's connections; closing twice is fine."""
        self._answerer.close()
        if "client" in self.__dict__:
            self.client.close()

    def _providers(self, delay_s: float, headless: bool) -> Mapping[str, Provider]:
        """The providers of one question: each call names its own delay and window."""
        if isinstance(self._provider, Mapping):
            return self._provider
        shown = EvidenceSettings(thumbnails=self._form == "sheet")
        return {
            name: _browser(delay_s, headless)
            if name == "lens-browser"
            else make_provider(name, self._library, shown)
            for name in self._provider
        }


def _browser(delay_s: float, headless: bool) -> Provider:
    try:
        from relook.providers.lens_browser import BrowserOptions, LensBrowserProvider
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "missing_extra", f"rir_api needs the package {error.name!r}",
            "pip install 'relook[ask,browser]', or name another provider",
        ) from error  # fmt: skip
    return LensBrowserProvider(BrowserOptions(headless, delay_s, full_page=True))


async def search_by_image(
    image_url: str,
    screenshot_path: str | os.PathLike[str] = "search_results.png",
    delay: float = 2.0,
    headless: bool = False,
) -> str:
    """Looks a picture up in a browser and keeps a screenshot of the results.

    Args:
        image_url: Address of the picture.
        screenshot_path: Where the screenshot goes.
        delay: Seconds that the browser waits for late results.
        headless: Whether the browser has no window.

    Returns:
        `screenshot_path`, as it was given.

    Raises:
        InputError: `no_display`; `file_exists` for another picture that is there already.
        FetchError: `no_results_page` when there is no page of results. StorageError: `not_written`.
    """
    path = Path(screenshot_path)
    # What this wrote before, under the name that it has when nobody says, may be written over.
    check_place(path) if path.name == _SCREENSHOT else check_output(path)
    web = replace(Asking().web, private_ok=True)
    browser = _browser(delay, headless)

    def find() -> ProviderResult:
        lookup = Lookup(_N_MATCHES, timeout_s=_SEARCH_S + delay)
        return browser.find(subject_of(image_url, None, web), lookup)

    result = await asyncio.to_thread(find)
    if result.outcome is not Outcome.FOUND or result.screenshot is None:
        reason = result.message or "nothing was found"
        raise FetchError("no_results_page", f"no page of results: {reason}", result.hint)
    _write_files(path.parent, {path.name: result.screenshot})
    return os.fspath(screenshot_path)


def _response(answer: Answer) -> ChatCompletion:
    """The answer in the shape of the openai package, which the old package returned."""
    from openai.types.chat import ChatCompletion

    written = answer.written
    usage = None
    if written.usage.prompt_tokens is not None and written.usage.completion_tokens is not None:
        read, wrote = written.usage.prompt_tokens, written.usage.completion_tokens
        usage = {"prompt_tokens": read, "completion_tokens": wrote, "total_tokens": read + wrote}
    refused = written.finish is Finish.REFUSED
    return ChatCompletion.model_validate(
        {
            "id": "relook",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": written.model or answer.answerer,
            "choices": [
                {
                    "index": 0,
                    "finish_reason": _FINISHES.get(written.finish, "stop"),
                    "message": {
                        "role": "assistant",
                        "content": written.text,
                        "refusal": written.text if refused else None,
                    },
                    "logprobs": None,
                }
            ],
            "usage": usage,
            "relook": answer.as_dict(),
        }
    )


def _show(screenshot: bytes) -> None:
    """Opens a window, where there is a program for it; the answer does not hang on it."""
    from PIL import Image

    try:
        with Image.open(io.BytesIO(screenshot)) as image:
            image.show(title="what was found")
    except OSError as error:
        _LOG.warning("the screenshot cannot be shown: %s", error)


def _write(folder: Path, response: ChatCompletion, screenshot: bytes | None) -> None:
    payload: dict[str, Any] = response.model_dump(mode="json")
    files = {_RESULT: (json.dumps(payload, indent=2) + "\n").encode()}
    _write_files(folder, files | ({_SCREENSHOT: screenshot} if screenshot else {}))


def _write_files(folder: Path, files: Mapping[str, bytes]) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, data in files.items():
            (folder / name).write_bytes(data)
    except OSError as error:
        raise StorageError(
            "not_written", f"{folder} cannot be written: {error.strerror or error}",
            "give output_path a folder that can be written to",
        ) from error  # fmt: skip
