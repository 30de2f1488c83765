"""From what a person wrote to an encoder. Layer: app."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from relook.core.errors import InputError
from relook.core.settings import EncoderSettings
from relook.encoders import DEFAULT, ENCODERS, Encoder
from relook.encoders.spec import ModelSpec

if TYPE_CHECKING:
    from relook.library.files import LibraryFiles

__all__ = ["make_encoder", "remember", "spec_of"]

_LOG = logging.getLogger(__name__)
_MODEL_OPTIONS = ("revision", "tiles")
_OF_CHECKPOINTS = ("hf", "st")


def make_encoder(chosen: str | EncoderSettings | None, remembered: str | None = None) -> Encoder:
    """Opens an encoder.

    Args:
        chosen: Spec (`hf:org/name`), settings, or None for the remembered one.
        remembered: Spec that a library keeps; None for a new library, whose encoder is then
            loaded at once, so that one which cannot be loaded leaves no empty library.

    Raises:
        InputError: `bad_model`, `other_tiles`, `bad_device`, ...
        NotFoundError: `unknown_encoder`.
        ModelError, MissingExtraError: when it cannot be opened.
    """
    settings = chosen if isinstance(chosen, EncoderSettings) else EncoderSettings(chosen or "")
    spec = _wanted(settings, remembered)
    make = ENCODERS.load(spec.kind)
    if spec.kind not in _OF_CHECKPOINTS:
        spec.check_options(())
        if (settings.device, settings.dtype) != (EncoderSettings().device, EncoderSettings().dtype):
            _LOG.warning(
                "device and precision are for hf: and st: encoders; %s has its own", spec.kind
            )
        made: Encoder = make()
        return made
    spec.check_options(_MODEL_OPTIONS)
    made = make(spec.model, **spec.options, device=settings.device, dtype=settings.dtype)
    if remembered is None:
        made.load()  # type: ignore[attr-defined]
    return made


def _wanted(settings: EncoderSettings, remembered: str | None) -> ModelSpec:
    """The model that is meant: what was said, and what the library keeps where nothing was."""
    kept = ModelSpec.parse(remembered) if remembered else None
    spec = ModelSpec.parse(settings.model) if settings.model else kept or ModelSpec(DEFAULT)
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
    if spec.kind == kept.kind and tiles:
        spec = spec.with_options(tiles=tiles)
    if spec.model == kept.model and "revision" not in spec.options:
        spec = spec.with_options(revision=kept.options.get("revision"))
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
