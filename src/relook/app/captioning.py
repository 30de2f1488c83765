"""The captioner of a library, opened when the first box is drawn. Layer: app."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from relook.captioners import CAPTIONERS, DEFAULT, About, Captioner
from relook.captioners.base import NOTHING_KNOWN
from relook.core.errors import AnswerError, InputError, MissingExtraError, ModelError
from relook.core.settings import CaptionerSettings, PromptSettings
from relook.encoders.spec import ModelSpec

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Captions", "check_captioner", "make_captioner"]

_LOG = logging.getLogger(__name__)
_PROMPTED = ("hf", "openai")


def make_captioner(
    chosen: str | CaptionerSettings | None, prompts: PromptSettings | None = None
) -> Captioner:
    """Opens a captioner.

    Args:
        chosen: `builtin`, `hf:ORG/NAME`, `openai:MODEL@URL`, or settings.
        prompts: What it is asked.

    Raises:
        InputError, NotFoundError, ModelError, MissingExtraError, AnswerError: when it cannot
            be opened; AccessError: `no_consent`.
    """
    settings = chosen if isinstance(chosen, CaptionerSettings) else CaptionerSettings(chosen or "")
    kind, colon, model = settings.model.partition(":")
    if colon and kind == "openai":  # an address is no spec: it may hold anything
        spec = ModelSpec(kind, model)
    else:
        spec = ModelSpec.parse(settings.model or DEFAULT)
    make = CAPTIONERS.load(spec.kind)
    prompt = (prompts or PromptSettings()).caption
    if spec.kind == "openai":
        made: Captioner = make(spec.model, prompt=prompt, allow_upload=settings.allow_upload)
    elif spec.kind == "hf":
        spec = spec.with_options(revision=settings.revision or None)
        spec.check_options(("revision",))
        made = make(
            spec.model, **spec.options, prompt=prompt, device=settings.device, dtype=settings.dtype
        )
    else:
        spec.check_options(())
        made = make()
    if prompt and spec.kind not in _PROMPTED:
        made.close()
        raise InputError(
            "bad_prompt",
            f"the captioner {spec.kind!r} cannot be asked anything, and there is a prompt",
            "leave the prompt out, or name another captioner",
        )
    return made


def check_captioner(chosen: CaptionerSettings, prompts: PromptSettings) -> None:
    """Says before any work what would else be said at the first box. Loads no weights.

    Raises:
        RelookError: as `make_captioner`.
    """
    if not chosen.model and not prompts.caption:
        return
    try:
        make_captioner(chosen, prompts).close()
    except (MissingExtraError, ModelError) as error:
        hint = f"{error.hint}; or do without this captioner: --captioner {DEFAULT}"
        raise type(error)(error.code, error.message, hint) from error


class Captions:
    """Puts words to crops; what it is told of a session goes into the question.

    Args:
        chosen: As for `make_captioner`, or an open captioner, which then stays open.
        prompts: What is asked, and an instruction for every session without its own.
    """

    def __init__(
        self,
        chosen: str | CaptionerSettings | Captioner | None = None,
        prompts: PromptSettings | None = None,
    ) -> None:
        self._chosen, self._prompts = chosen, prompts or PromptSettings()
        self._lock = threading.Lock()
        self._captioner: Captioner | None = None

    def open(self) -> Captioner:
        """The captioner; opened by the first call."""
        if not isinstance(self._chosen, str | CaptionerSettings | None):
            return self._chosen
        with self._lock:
            if self._captioner is None:
                self._captioner = make_captioner(self._chosen, self._prompts)
            return self._captioner

    def __call__(self, crop: Image.Image, about: About = NOTHING_KNOWN) -> str:
        """A few words for what a crop shows.

        Raises:
            AnswerError: when there are none, with the reason; ModelError and others when the
                captioner cannot be opened.
        """
        context = replace(about, instruction=about.instruction or self._prompts.instruction)
        captioned = self.open().caption([crop], 1, context)[0]
        if isinstance(captioned, AnswerError):
            raise captioned
        return captioned[0].text

    def or_nothing(self, crop: Image.Image, about: About = NOTHING_KNOWN) -> str:
        """As a call; empty where the captioner finds no words, and the reason is logged.

        For a person who marks a box by hand: the mark counts without words, too. A captioner
        that cannot be opened at all is an error here as well.
        """
        self.open()
        try:
            return self(crop, about)
        except AnswerError as error:
            _LOG.warning("%s", error)
            return ""

    def close(self) -> None:
        """Frees the captioner; closing twice is fine."""
        with self._lock:
            if self._captioner is not None:
                self._captioner.close()
                self._captioner = None
