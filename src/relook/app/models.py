"""From the name of a model to an open encoder or captioner. Layer: app.

It reads names and settings and asks the registries; each adapter's class opens itself.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from relook import captioners, encoders
from relook.captioners import CAPTIONERS, About, Captioner
from relook.captioners.base import NOTHING_KNOWN
from relook.core.errors import AnswerError, InputError, MissingExtraError, ModelError
from relook.core.settings import CaptionerSettings, EncoderSettings, PromptSettings
from relook.encoders import ENCODERS, Encoder
from relook.encoders.known_models import resolve
from relook.encoders.spec import ModelSpec

if TYPE_CHECKING:
    from PIL import Image

    from relook.library.files import LibraryFiles

_LOG = logging.getLogger(__name__)


def make_encoder(chosen: str | EncoderSettings | None, remembered: str | None = None) -> Encoder:
    """Opens an encoder.

    Args:
        chosen: Spec (`hf:org/name`), short name (`siglip2-base`), settings, or None for the
            remembered one.
        remembered: Spec that a library keeps; None for a new library, whose encoder is then
            loaded at once, so that one which cannot be loaded leaves no empty library.

    Raises:
        InputError: `bad_model`, `other_tiles`, `bad_device`, ...
        NotFoundError: `unknown_encoder`.
        ModelError, MissingExtraError: when it cannot be opened.
    """
    settings = chosen if isinstance(chosen, EncoderSettings) else EncoderSettings(chosen or "")
    spec = _wanted(settings, remembered)
    encoder: Encoder = ENCODERS.open(spec.kind, spec, settings)
    if remembered is None and hasattr(encoder, "load"):
        encoder.load()
    return encoder


def _wanted(settings: EncoderSettings, remembered: str | None) -> ModelSpec:
    """The model that the settings name, and what the library keeps where they name nothing."""
    kept = ModelSpec.parse(remembered) if remembered else None
    spec = (
        ModelSpec.parse(settings.model) if settings.model else kept or ModelSpec(encoders.DEFAULT)
    )
    spec = resolve(spec, kept)
    spec = spec.with_options(revision=settings.revision or None, tiles=settings.tiles or None)
    if kept is None:
        return spec
    tiles = kept.options.get("tiles")
    if tiles and spec.options.get("tiles", tiles) != tiles:
        raise InputError(
            "other_tiles",
            f"this library's pictures are tiled by {tiles!r}, not {spec.options['tiles']!r}",
            "leave --tiles out, or index the pictures into a new library",
        )
    if spec.kind == kept.kind:  # a model that was moved is still the same variant of it
        same_place = spec.model == kept.model
        for name, value in kept.options.items():
            if name not in spec.options and (same_place or name != "revision"):
                spec = spec.with_options(**{name: value})
    return spec


def spec_of(encoder: Encoder) -> str:
    """What a manifest keeps of an encoder, so that its library opens without a flag."""
    return str(getattr(encoder, "spec", "")) or encoder.fingerprint.name


def remember(files: LibraryFiles, encoder: Encoder) -> None:
    """Writes into the manifest where an encoder is now. The writer's lock is held.

    Raises:
        StorageError: when the disk refuses.
    """
    spec = getattr(encoder, "spec", None)
    if spec is not None and spec != files.manifest.encoder:
        files.manifest = replace(files.manifest, encoder=str(spec))
        files.manifest.write(files.folder)


def make_captioner(
    chosen: str | CaptionerSettings | None, prompts: PromptSettings | None = None
) -> Captioner:
    """Opens a captioner.

    Args:
        chosen: `builtin`, `hf:ORG/NAME`, `openai:MODEL@URL`, or settings.
        prompts: The question for it.

    Raises:
        InputError, NotFoundError, ModelError, MissingExtraError, AnswerError: when it cannot
            be opened; AccessError: `no_consent`.
    """
    settings = chosen if isinstance(chosen, CaptionerSettings) else CaptionerSettings(chosen or "")
    prompt = (prompts or PromptSettings()).caption
    name, spec = _captioner_of(settings.model or captioners.DEFAULT)
    if prompt and not CAPTIONERS.fact(name, "takes_prompt", False):
        raise InputError(
            "bad_prompt",
            f"the captioner {name!r} cannot be asked anything, and there is a prompt",
            "leave the prompt out, or name another captioner",
        )
    captioner: Captioner = CAPTIONERS.open(name, spec, settings, prompt)
    return captioner


def _captioner_of(model: str) -> tuple[str, str]:
    """Which captioner a person means, and what stands behind its name."""
    name, colon, rest = model.partition(":")
    if colon and name in CAPTIONERS.adapters():  # what follows is the adapter's to read
        return name, rest
    spec = ModelSpec.parse(model)
    return spec.kind, str(replace(spec, kind="")).removeprefix(":")


def check_captioner(chosen: CaptionerSettings, prompts: PromptSettings) -> None:
    """Raises before any work what would else be raised at the first box. Loads no weights.

    Raises:
        RelookError: as `make_captioner`.
    """
    if not chosen.model and not prompts.caption:
        return
    try:
        make_captioner(chosen, prompts).close()
    except (MissingExtraError, ModelError) as error:
        hint = f"{error.hint}; or do without this captioner: --captioner {captioners.DEFAULT}"
        raise type(error)(error.code, error.message, hint) from error


class Captions:
    """Puts words to crops; what is known of a session goes into the question.

    Args:
        chosen: As for `make_captioner`, or an open captioner, which then stays open.
        prompts: The question, and an instruction for every session without its own.
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
        about = replace(about, instruction=about.instruction or self._prompts.instruction)
        captioned = self.open().caption([crop], 1, about)[0]
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
