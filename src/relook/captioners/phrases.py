"""Captions from a bank of phrases, ranked by the built-in encoder. Layer: captioners.

`training/phrases.py` makes the bank: noun phrases of up to four words that people use of
photographs, with their vectors. A crop's caption is the phrase whose vector fits the
crop's best once each modality's mean is taken off, so that phrases which fit every
picture do not win.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from relook.captioners.base import NOTHING_KNOWN, About, Cancelled, Captioned, Phrase, cancelled
from relook.core.errors import InputError, ModelError
from relook.core.settings import CaptionerSettings
from relook.core.vectors import Floats, top, unit
from relook.encoders.base import encode_images
from relook.encoders.builtin import BuiltinEncoder

if TYPE_CHECKING:
    from PIL import Image

_FOLDER = Path(__file__).with_name("phrase_bank")


class PhraseCaptioner:
    """Ranks the phrase bank for a crop.

    Args:
        folder: Where the bank is; the package's own when None.
        encoder: The built-in encoder, when one is open already.

    Raises:
        ModelError: `model_missing` when the bank is not there, `other_bank` when it was
            made for other weights of the encoder.
    """

    name = "builtin"
    remote = False
    needs = ()
    takes_prompt = False

    def __init__(
        self, folder: str | os.PathLike[str] | None = None, encoder: BuiltinEncoder | None = None
    ) -> None:
        self.folder = _FOLDER if folder is None else Path(folder)
        self._encoder = encoder or BuiltinEncoder()
        try:
            card = json.loads((self.folder / "phrases.json").read_text("utf-8"))
            self._phrases: list[str] = card["phrases"]
        except OSError as error:
            raise ModelError(
                "model_missing",
                f"the captioner's phrases are not in {self.folder}",
                "install relook again: the wheel carries them",
            ) from error
        if card["encoder"] != self._encoder.fingerprint.digest:
            raise ModelError(
                "other_bank",
                "the captioner's phrases were made for other weights of the built-in encoder",
                "run training/phrases.py again",
            )

    @property
    def revision(self) -> str:
        """What its words depend on: the encoder that ranks the bank, by its digest."""
        return self._encoder.fingerprint.digest

    @classmethod
    def open(cls, spec: str, settings: CaptionerSettings, prompt: str = "") -> PhraseCaptioner:
        """Opens the package's own bank.

        Raises:
            InputError: `bad_model` when a model is named: there is none to choose.
        """
        if spec:
            raise InputError("bad_model", f"{cls.name!r} has no {spec!r}", "write builtin alone")
        return cls()

    def caption(
        self,
        images: Sequence[Image.Image],
        limit: int = 1,
        about: About = NOTHING_KNOWN,
        stop: Cancelled | None = None,
    ) -> list[Captioned]:
        """See `Captioner.caption`. A phrase that repeats the words of a better one is left out.

        The bank is ranked by the pixels alone: it cannot be asked anything.
        """
        if not images or (stop is not None and stop()):
            return [cancelled() for _ in images]
        means = self._encoder.means
        vectors = encode_images(self._encoder, images)  # [n, d]
        centred = unit(vectors - means.image) if means else vectors
        scores = centred @ self._bank.T  # [n, p]
        return [self._pick(row, limit) for row in scores]

    def close(self) -> None:
        """Frees the encoder; closing twice is fine."""
        self._encoder.close()
        self.__dict__.pop("_bank", None)

    def _pick(self, scores: Floats, limit: int) -> list[Phrase]:
        picked: list[Phrase] = []
        used: set[str] = set()
        for at in top(scores, 12 * limit):
            phrase = self._phrases[int(at)]
            words = set(phrase.split())
            if picked and words <= used:
                continue
            picked.append(Phrase(phrase, float(scores[at])))
            used |= words
            if len(picked) == limit:
                break
        return picked

    @cached_property
    def _bank(self) -> Floats:
        """[p, d] centred unit vectors of the phrases."""
        vectors = _unpacked(np.load(self.folder / "phrases.npy", allow_pickle=False))
        means = self._encoder.means
        return unit(vectors - means.text) if means else vectors


def packed(vectors: NDArray[np.float16]) -> NDArray[np.uint8]:
    """[2, p, d] low and high bytes of vectors [p, d], which take less room in a packed wheel."""
    parts = np.ascontiguousarray(vectors, "<f2").view(np.uint8).reshape(*vectors.shape, 2)
    return np.ascontiguousarray(np.moveaxis(parts, -1, 0))


def _unpacked(planes: NDArray[np.uint8]) -> Floats:
    parts = np.ascontiguousarray(np.moveaxis(planes, 0, -1))
    vectors: Floats = parts.view("<f2")[..., 0].astype(np.float32)
    return vectors
