"""From names to open models: encoders, captioners, and the encoders of one library. Layer: app.

It reads names and settings and asks the registries; each adapter's class opens itself. A library
keeps the encoder that made its vectors, also while it goes over to another one.
"""

from __future__ import annotations

import logging
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from relook import captioners, encoders
from relook.captioners import CAPTIONERS, About, Captioner
from relook.captioners.base import NOTHING_KNOWN
from relook.core.converter import JsonValue
from relook.core.errors import (
    AnswerError,
    EncoderMismatchError,
    InputError,
    MissingExtraError,
    ModelError,
    NotFoundError,
    RelookError,
    is_no,
)
from relook.core.settings import CaptionerSettings, EncoderSettings, PromptSettings
from relook.encoders import ENCODERS, Encoder
from relook.encoders.known_models import resolve
from relook.encoders.spec import ModelSpec
from relook.library.files import LibraryFiles
from relook.library.manifest import Manifest, check_encoder, keep_manifest
from relook.library.upgrade_staging import staged_for

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


def encoder_fault(folder: Path) -> RelookError | None:
    """Why the encoder that a library names cannot be used here; None when nothing is known of it.

    It is looked for, and not loaded.

    Args:
        folder: The library.
    """
    try:
        manifest = Manifest.read(folder)
    except RelookError:
        return None  # which is told by itself
    try:
        encoder = make_encoder(None, manifest.encoder)
        if manifest.next is None and ModelSpec.parse(manifest.encoder).kind == encoders.DEFAULT:
            check_encoder(manifest, encoder, folder)
        encoder.close()
    except NotFoundError as error:
        hint = (
            "install the package that brings it, or choose another:"
            " relook upgrade --encoder NAME makes the vectors again and keeps words and marks"
        )
        return NotFoundError(error.code, error.message, hint)
    except RelookError as error:
        return error
    return None


def remember(files: LibraryFiles, encoder: Encoder) -> None:
    """Writes into the manifest, and its copy, where an encoder is now. The writer's lock is held.

    Raises:
        StorageError: when the disk refuses.
    """
    spec = getattr(encoder, "spec", None)
    if spec is not None and spec != files.manifest.encoder:
        files.manifest = replace(files.manifest, encoder=str(spec))
        files.manifest.write(files.folder)
    keep_manifest(files.catalog, files.manifest)


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
    if colon and name in CAPTIONERS:  # what follows is the adapter's to read
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
        if not hasattr(crop, "size"):
            hint = "give an open picture: PIL.Image.open(FILE)"
            raise InputError("bad_image", is_no(crop, "picture"), hint)
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


Chosen = str | EncoderSettings | Encoder | None
"""A model by name, settings, an open encoder, or the library's own."""


def _checked(chosen: Chosen) -> Chosen:
    """The choice; InputError `bad_encoder` for what is no encoder."""
    if isinstance(chosen, str | EncoderSettings | None) or hasattr(chosen, "fingerprint"):
        return chosen
    hint = "name a model (relook model list), or give an object with the methods of an Encoder"
    raise InputError("bad_encoder", is_no(chosen, "encoder"), hint)


class LibraryEncoders:
    """Opens the encoder of a library, once, and another one when the library has gone over to it.

    Args:
        folder: The library.
        chosen: A model, settings, or an open encoder, which then stays open; the library's own
            when None.
    """

    def __init__(self, folder: Path, chosen: Chosen) -> None:
        self._folder, self.chosen = folder, _checked(chosen)
        self._opened: dict[str, Encoder] = {}  # by the digest of the manifest's fingerprint
        self._lock = threading.Lock()

    def for_new(self) -> Encoder:
        """The encoder of a library that is not made yet."""
        return self._open("", None)

    def of(self, manifest: Manifest) -> Encoder:
        """The encoder that made the vectors of a library.

        Raises:
            EncoderMismatchError: `other_encoder` when it is not the one at hand.
        """
        encoder = self._open(manifest.fingerprint.digest, manifest.encoder)
        check_encoder(manifest, encoder, self._folder)
        return encoder

    def check(self, manifest: Manifest) -> None:
        """Refuses a named encoder that did not make the library, when the library is opened.

        Raises:
            EncoderMismatchError: `other_encoder`; InputError: `other_tiles`.
        """
        if self.chosen is None:
            return
        try:
            self.of(manifest)
        except EncoderMismatchError:
            if not isinstance(self.chosen, EncoderSettings) or self.chosen.model:
                raise  # else only a search needs it

    def use(self, encoder: Encoder) -> None:
        """Has the library use an encoder that it has gone over to, from now on."""
        if not isinstance(self.chosen, str | EncoderSettings | None):
            self.chosen = encoder
        elif isinstance(self.chosen, EncoderSettings):
            self.chosen = replace(self.chosen, model="", revision="", tiles="")
        else:
            self.chosen = None
        with self._lock:
            self._opened[encoder.fingerprint.digest] = encoder

    def _open(self, digest: str, spec: str | None) -> Encoder:
        if not isinstance(self.chosen, str | EncoderSettings | None):
            return self.chosen
        with self._lock:
            if digest not in self._opened and not digest:
                encoder = make_encoder(self.chosen, None)
                self._opened[""] = self._opened[encoder.fingerprint.digest] = encoder
            elif digest not in self._opened:
                self._opened[digest] = make_encoder(self.chosen, spec)
            return self._opened[digest]

    def close(self) -> None:
        """Frees the models that were opened here; closing twice is fine."""
        with self._lock:
            opened, self._opened = list(self._opened.values()), {}
        for encoder in {id(encoder): encoder for encoder in opened}.values():
            if encoder is not self.chosen:
                encoder.close()


def upgrade_encoder(chosen: Chosen, manifest: Manifest) -> Encoder:
    """Opens the encoder that a library is to go over to, and loads it.

    The library's tiles hold for the new one, too, unless the settings say otherwise.

    Args:
        chosen: A model, settings, or an open encoder; what the library names when None.
        manifest: Of the library.

    Raises:
        RelookError: when it cannot be opened, as `make_encoder`.
    """
    if not isinstance(chosen := _checked(chosen), str | EncoderSettings | None):
        return chosen
    settings = chosen if isinstance(chosen, EncoderSettings) else EncoderSettings(chosen or "")
    kept = ModelSpec.parse(manifest.encoder)
    spec = resolve(ModelSpec.parse(settings.model), kept) if settings.model else kept
    if "model" in ENCODERS.fact(spec.kind, "needs", ()):  # else its tiles are part of it
        tiles = settings.tiles or spec.options.get("tiles") or kept.options.get("tiles")
        spec = spec.with_options(tiles=tiles)
    return make_encoder(replace(settings, model=str(spec), tiles=""), None)


@dataclass(frozen=True, slots=True)
class UpgradeOffer(JsonValue):
    """A newer version of the encoder that made a library.

    Args:
        after: The new encoder, as messages name it.
        begun: Whether an upgrade to it was begun, and stopped.
    """

    after: str
    begun: bool


def upgrade_offer(files: LibraryFiles) -> UpgradeOffer | None:
    """What there is to say of an upgrade to the encoder of this Relook; None where there is none.

    Only for the built-in encoder and models of its form: to look at another takes loading it.
    """
    manifest = files.manifest
    if ModelSpec.parse(manifest.encoder).kind != encoders.DEFAULT or manifest.store:
        return None
    try:
        encoder = make_encoder(manifest.encoder, manifest.encoder)
    except ModelError:  # of a folder that is not there any more; a search says so
        return None
    try:
        fingerprint = encoder.fingerprint
    finally:
        encoder.close()
    if fingerprint.digest == manifest.fingerprint.digest:
        return None
    target = staged_for(files.folder)
    begun = target is not None and target.fingerprint.digest == fingerprint.digest
    return UpgradeOffer(fingerprint.told, begun)
