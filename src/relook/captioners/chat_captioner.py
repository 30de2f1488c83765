"""Captions from any OpenAI-compatible service. Layer: captioners.

vLLM, Ollama, LM Studio, llama.cpp's server, hosted models. `ChatAnswerer` does the requests
(keys, waiting, trying again); this module prepares the crops, checks the consent and cleans the
captions. A crop goes to another machine only when the person allowed it.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING

from relook.answerers.base import Finish, Shown
from relook.answerers.base import Prompt as ModelPrompt
from relook.answerers.chat import ChatAnswerer
from relook.captioners.base import NOTHING_KNOWN, About, Cancelled, Captioned, Phrase, cancelled
from relook.captioners.wording import Prompt, clean, find_prompt, sized_prompt
from relook.core.errors import AccessError, AnswerError, InputError
from relook.core.settings import CaptionerSettings, ModelSettings

if TYPE_CHECKING:
    from PIL import Image

_SYSTEM = "You write short captions for parts of photographs, in English."
_AT_ONCE = 4  # requests
_SIDE_PX = 512  # of the crop that is sent
_MIN_PX = 28
_TIMEOUT_S = 60.0
_HINTS_THAT_FIT = ("model_key_refused", "model_busy", "model_redirects")


class ChatCaptioner:
    """A model behind an OpenAI-compatible address.

    Args:
        model: `MODEL@URL`, or a model of `$OPENAI_BASE_URL` or of OpenAI's own service.
        prompt: What it is asked; see `find_prompt`.
        allow_upload: Whether crops may go to another machine.
        settings: Limits and patience; the address in `model` wins.

    Raises:
        InputError: `no_model` or `bad_address`.
        AnswerError: `no_model_key`.
        AccessError: `no_consent` when the service is on another machine and crops may not
            go there.
    """

    remote = True
    needs = ("model", "key")
    takes_prompt = True

    def __init__(
        self,
        model: str,
        *,
        prompt: Prompt | str = "",
        allow_upload: bool = False,
        settings: ModelSettings | None = None,
    ) -> None:
        self.prompt = prompt if isinstance(prompt, Prompt) else find_prompt(prompt)
        name, _, address = model.rpartition("@") if "://" in model else (model, "", "")
        if not name.strip():
            raise InputError(
                "no_model", f"{model!r} names no model", "write openai:MODEL@http://HOST:PORT/v1"
            )
        settings = settings or ModelSettings(timeout_s=_TIMEOUT_S)
        settings = replace(
            settings,
            base_url=address or settings.base_url,
            max_tokens=self.prompt.max_tokens,
            stream=False,
        )
        self._answerer = ChatAnswerer(name, settings)
        self.name = f"openai:{model}"
        if self._answerer.third_party and not allow_upload:
            self._answerer.close()
            raise AccessError(
                "no_consent",
                f"to be captioned, every box that you draw would be cut out and sent, with the"
                f" words of your search, to {self._answerer.host}",
                "allow it with --allow-upload (captioner.allow_upload in a configuration), or use"
                " a captioner on this machine",
            )

    @classmethod
    def open(cls, spec: str, settings: CaptionerSettings, prompt: str = "") -> ChatCaptioner:
        """Opens the service `MODEL@URL`."""
        return cls(spec, prompt=sized_prompt(prompt, settings), allow_upload=settings.allow_upload)

    def caption(
        self,
        images: Sequence[Image.Image],
        limit: int = 1,
        about: About = NOTHING_KNOWN,
        stop: Cancelled | None = None,
    ) -> list[Captioned]:
        """See `Captioner.caption`. One phrase a crop, whatever the limit; scores are 1."""
        if not images:
            return []

        def caption_of(image: Image.Image) -> Captioned:
            if stop is not None and stop():
                return cancelled()
            try:
                return [Phrase(self._ask(image, about), 1.0)]
            except AnswerError as error:
                return _about_a_captioner(error)

        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="relook-caption") as pool:
            return list(pool.map(caption_of, images))

    def _ask(self, image: Image.Image, about: About) -> str:
        picture = Shown(_jpeg(image), "image/jpeg", "the crop")
        reply = self._answerer.reply(ModelPrompt(_SYSTEM, (picture, self.prompt.ask(about))))
        if reply.finish is Finish.REFUSED:
            raise AnswerError(
                "no_caption", f"no caption: {self._answerer.host} declines", "write it yourself"
            )
        if reply.finish is Finish.EMPTY:
            hint = "write it yourself, or take a model that answers without thinking"
            raise AnswerError("no_caption", f"no caption: {reply.notes[-1]}", hint)
        return clean(reply.text, self.prompt.max_words)

    def close(self) -> None:
        """Closes the connections; closing twice is fine."""
        self._answerer.close()


def _about_a_captioner(error: AnswerError) -> AnswerError:
    """The answerer's error, without a hint that names options of `relook ask`."""
    if not error.code.startswith("model_") or error.code in _HINTS_THAT_FIT:
        return error
    hint = "does it run, and is it a model that takes pictures? It is openai:MODEL@URL"
    return AnswerError(error.code, error.message, hint)


def _jpeg(image: Image.Image) -> bytes:
    """The crop as a JPEG file without any of the original's metadata, 512 pixels at most."""
    from PIL import Image as Pillow

    from relook.core.picture import reencoded  # Pillow is loaded with the first crop

    scale = min(_SIDE_PX / max(image.size), 1.0)
    size = tuple(max(round(side * scale), _MIN_PX) for side in image.size)
    if size != image.size:
        image = image.resize((size[0], size[1]), Pillow.Resampling.BICUBIC)
    return reencoded(image, quality=90)
