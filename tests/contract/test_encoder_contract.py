"""Every encoder passes the encoder suite, and the suite rejects encoders that are broken."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from relook.core.types import Box
from relook.core.vectors import Floats
from relook.encoders.base import Fingerprint
from relook.encoders.builtin import BuiltinEncoder
from relook.testing import ColourEncoder, ContractError, check_encoder
from relook.testing.checkpoints import tiny_builtin


def test_the_builtin_encoder_keeps_the_contract() -> None:
    check_encoder(BuiltinEncoder)


def test_a_model_in_a_folder_keeps_the_contract(tmp_path: Path) -> None:
    first, other = tiny_builtin(tmp_path / "first"), tiny_builtin(tmp_path / "other", seed=1)
    check_encoder(lambda: BuiltinEncoder(first), lambda: BuiltinEncoder(other))


def test_the_colour_encoder_keeps_the_contract() -> None:
    check_encoder(ColourEncoder, lambda: ColourEncoder(revision="2"))


class PicturesInWrongOrder(ColourEncoder):
    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        return super().encode_prepared(prepared)[::-1]


class TextsInOrderOfLength(ColourEncoder):
    def encode_texts(self, texts: Sequence[str]) -> Floats:
        return super().encode_texts(sorted(texts, key=len))


class NotUnit(ColourEncoder):
    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        return [rows * np.float32(1.01) for rows in super().encode_prepared(prepared)]


class TextsNotUnit(ColourEncoder):
    def encode_texts(self, texts: Sequence[str]) -> Floats:
        return super().encode_texts(texts) * np.float32(0.5)


class NotANumber(ColourEncoder):
    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        found = super().encode_prepared(prepared)
        for rows in found:
            rows[-1] = np.nan
        return found


class DependsOnBatch(ColourEncoder):
    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        found = super().encode_prepared(prepared)
        mean = np.mean(found, axis=0) if found else 0.0
        centred = [rows - np.float32(0.01) * mean for rows in found]
        return [rows / np.linalg.norm(rows, axis=1, keepdims=True) for rows in centred]


class TextsDependOnBatch(ColourEncoder):
    def encode_texts(self, texts: Sequence[str]) -> Floats:
        vectors = super().encode_texts(texts)
        return np.roll(vectors, len(texts) % 2, axis=1)


class Doubles(ColourEncoder):
    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        return [rows.astype(np.float64) for rows in super().encode_prepared(prepared)]  # type: ignore[misc]


class OneTileOnly(ColourEncoder):
    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        return [rows[:1] for rows in super().encode_prepared(prepared)]


class DropsThePicturesItDislikes(ColourEncoder):
    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        return super().encode_prepared([p for p in prepared if p.any()])


class SameForAll(ColourEncoder):
    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        return super().encode_prepared([np.zeros_like(p) for p in prepared])


class WholeComesLast(ColourEncoder):
    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        return super().tiles_for(width_px, height_px)[::-1]


class RefusesThinPictures(ColourEncoder):
    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        if min(image.size) < 4:
            raise ContractError("too thin for me")
        return super().prepare(image)


class DrawsOnThePicture(ColourEncoder):
    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        image.putpixel((0, 0), (1, 2, 3))
        return super().prepare(image)


class SharesABuffer(ColourEncoder):
    """What `prepare` gives is overwritten by its next call."""

    def __init__(self) -> None:
        super().__init__()
        self._buffer = np.zeros((self.input_px, self.input_px), np.uint8)

    def prepare(self, image: Image.Image) -> NDArray[np.uint8]:
        self._buffer[...] = super().prepare(image)
        return self._buffer


class FlatWhenEmpty(ColourEncoder):
    def encode_texts(self, texts: Sequence[str]) -> Floats:
        return super().encode_texts(texts) if texts else np.zeros(0, np.float32)


class FingerprintOfTheDay(ColourEncoder):
    n_made = 0

    def __init__(self) -> None:
        FingerprintOfTheDay.n_made += 1
        super().__init__(revision=str(self.n_made))


class FingerprintOfAnotherSize(ColourEncoder):
    @property
    def fingerprint(self) -> Fingerprint:
        return Fingerprint("colour", "1", "none", "none", self.dim + 1, "float32")


class FavoursTiles(ColourEncoder):
    def __init__(self) -> None:
        super().__init__(tile_weight=1.5)


class CountsBackwards(ColourEncoder):
    def n_tokens_cut(self, text: str) -> int:
        return len(text.split()) - self.max_words


class ClosesOnce(ColourEncoder):
    def close(self) -> None:
        if self.n_closed:
            raise ContractError("closed twice")
        super().close()


BROKEN = [
    (PicturesInWrongOrder, "do not depend on its batch|order of the pictures"),
    (TextsInOrderOfLength, "does not depend on its batch|order of the texts"),
    (NotUnit, "length 1"),
    (TextsNotUnit, "words: every row has length 1"),
    (NotANumber, "finite"),
    (DependsOnBatch, "do not depend on its batch"),
    (TextsDependOnBatch, "does not depend on its batch"),
    (Doubles, "float32"),
    (OneTileOnly, r"\[t, d\]"),
    (DropsThePicturesItDislikes, "each picture gets its array"),
    (SameForAll, "different vectors"),
    (WholeComesLast, "first tile is the whole"),
    (RefusesThinPictures, "too thin"),
    (DrawsOnThePicture, "leaves the picture"),
    (SharesABuffer, "several threads|different vectors"),
    (FlatWhenEmpty, "no texts"),
    (FingerprintOfTheDay, "same fingerprint"),
    (FingerprintOfAnotherSize, "fingerprint.dim is dim"),
    (FavoursTiles, "tile_weight"),
    (CountsBackwards, "n_tokens_cut"),
    (ClosesOnce, "closed twice"),
]


@pytest.mark.parametrize(("broken", "promise"), BROKEN, ids=[b.__name__ for b, _ in BROKEN])
def test_the_suite_rejects_a_broken_encoder(broken: type[ColourEncoder], promise: str) -> None:
    with pytest.raises(ContractError, match=promise):
        check_encoder(broken)


def test_the_suite_rejects_two_encoders_with_one_fingerprint() -> None:
    with pytest.raises(ContractError, match="another fingerprint"):
        check_encoder(ColourEncoder, lambda: ColourEncoder(tile_weight=0.5))
