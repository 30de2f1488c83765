"""The encoders of one library: the one that made its vectors, also after an upgrade. Layer: app."""

import threading
from dataclasses import dataclass, replace
from pathlib import Path

from relook import encoders
from relook.app.models import make_encoder
from relook.core.converter import JsonValue
from relook.core.errors import EncoderMismatchError, ModelError
from relook.core.settings import EncoderSettings
from relook.encoders import ENCODERS, Encoder
from relook.encoders.known_models import resolve
from relook.encoders.spec import ModelSpec
from relook.library.files import LibraryFiles
from relook.library.manifest import Manifest, check_encoder
from relook.library.upgrade_staging import staged_for

Chosen = str | EncoderSettings | Encoder | None
"""A model by name, settings, an open encoder, or the library's own."""


class LibraryEncoders:
    """Opens the encoder of a library, once, and another one when the library has gone over to it.

    Args:
        folder: The library.
        chosen: A model, settings, or an open encoder, which then stays open; the library's own
            when None.
    """

    def __init__(self, folder: Path, chosen: Chosen) -> None:
        self._folder, self.chosen = folder, chosen
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
    if not isinstance(chosen, str | EncoderSettings | None):
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
