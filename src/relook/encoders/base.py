"""The encoder seam. Layer: encoders.

An encoder turns pictures and words into unit vectors of one space. Preprocessing is its
own business: a caller hands it decoded pictures and never resizes them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from relook.core.converter import JsonValue
from relook.core.json_form import JsonShape
from relook.core.progress import check_cancelled
from relook.core.types import Box
from relook.core.vectors import Floats

if TYPE_CHECKING:
    from PIL import Image

_AT_ONCE = 16  # pictures between two looks at whether they are still wanted


@dataclass(frozen=True, slots=True)
class Fingerprint(JsonValue):
    """What must be equal for two encoders' vectors to be comparable.

    Args:
        name: Registry name or model id.
        revision: Version of the weights as their maker names it.
        weights: Digest of the weight files.
        preprocessing: How a picture becomes the tower's input.
        dim: Length of a vector.
        dtype: Precision the towers run in.
    """

    json_shape: ClassVar[JsonShape] = JsonShape(ignore_unknown=True, code="bad_fingerprint")

    name: str
    revision: str
    weights: str
    preprocessing: str
    dim: int
    dtype: str

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that stand for all fields."""
        return _digest(self)

    @property
    def number(self) -> int:
        """The digest as a number that a catalog's counter can hold; never 0."""
        return int(self.digest[:15], 16) or 1

    @property
    def told(self) -> str:
        """The encoder as messages name it."""
        return f"{self.name} {self.revision} ({self.digest})"


@lru_cache(maxsize=64)
def _digest(fingerprint: Fingerprint) -> str:
    """As `Fingerprint.digest`, which every step of a search asks for."""
    fields = json.dumps(asdict(fingerprint), sort_keys=True).encode()
    return hashlib.sha256(fields).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class FitMap:
    """From a score to the probability that the picture shows the words; see `relook.search.fit`.

    Args:
        weights: [6] of the score, the mean and deviation of the library's scores, the nearest
            phrasing's likeness, the ten nearest's mean likeness, the expected score.
        bias: Added to the weighted sum; the logistic of it is the probability.
        expected: [d] with a text's vector: what a picture that shows it scores.
        expected_bias: Added to that.
        usual: Mean and deviation of scores in a library of photographs, for small libraries.
        line: [6] of the same numbers, for whether anything fits: the best picture's weighted sum
            is 0 or more.
        line_bias: Added to that sum.
        line_size: Added to it, too, times the logarithm of how many thousand images there are.
    """

    weights: Floats
    bias: float
    expected: Floats
    expected_bias: float
    usual: tuple[float, float]
    line: Floats
    line_bias: float
    line_size: float = 0.0


@dataclass(frozen=True, slots=True)
class Means:
    """What an encoder knows of its own space; feedback and captions compare against it.

    Args:
        image: [d] mean unit vector of pictures.
        text: [d] mean unit vector of texts.
        phrasings: [p, d] unit vectors of how people describe pictures, or None.
        fit: What scores are worth, or None; needs phrasings.
        spelling: How much the word that was surely meant counts beside a mistyped one, which
            counts 1; 0 where the text tower reads mistyped words itself, or nobody measured it.
    """

    image: Floats
    text: Floats
    phrasings: Floats | None = None
    fit: FitMap | None = None
    spelling: float = 0.0


class Encoder(Protocol):
    """Pictures and words to unit vectors.

    A class that `ENCODERS` or an entry point names opens itself: `open(spec, settings)` gets the
    `ModelSpec` and `EncoderSettings`. It declares `remote` (whether it sends anything elsewhere)
    and `needs` (`model`, when one has to be named). An encoder that loads its weights late may
    have a `load()`, which is called before a library is made for it; one whose text tower gives
    other lengths than one may have `text_features(texts)`, and one that knows which words it
    cannot read `unread(text)`: see `text_features` and `unread_of`.

    Attributes:
        fingerprint: Identity of the space the vectors live in.
        dim: Length d of a vector.
        input_px: A picture need not be decoded larger than this on its shorter side.
        tile_weight: Factor on the score of every tile but the whole picture's, in (0, 1].
        means: Mean vectors of the modalities, or None when they are not known.
        batch: Pictures that `encode_prepared` is best given at once; may change as it runs.
    """

    @property
    def fingerprint(self) -> Fingerprint: ...
    @property
    def dim(self) -> int: ...
    @property
    def input_px(self) -> int: ...
    @property
    def tile_weight(self) -> float: ...
    @property
    def means(self) -> Means | None: ...
    @property
    def batch(self) -> int: ...

    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        """The rectangles that a picture of this size gets vectors for; the first is the whole."""
        ...

    def prepare(self, image: Image.Image) -> NDArray[Any]:
        """Makes the tower's input from an RGB picture. Safe to call from several threads."""
        ...

    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        """Encodes what `prepare` made.

        Returns:
            A [t, d] float32 array of unit rows for each picture, t as `tiles_for` says. A
            picture's vectors do not depend on the batch it comes in: within 1e-4, or within
            what the encoder states where it runs in half precision.
        """
        ...

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        """Encodes words.

        Returns:
            [n, d] float32, unit rows. A text's vector does not depend on the others (within
            1e-4), on whatever device and processor.
        """
        ...

    def n_tokens_cut(self, text: str) -> int:
        """How many tokens at the end of `text` the tower cannot take; 0 for most."""
        ...

    def close(self) -> None:
        """Frees the model; closing twice is fine."""
        ...


@dataclass(frozen=True, slots=True)
class Unread:
    """What an encoder does not read of a text.

    Args:
        words: Words that its tokenizer has no token for, in their order.
        is_all: Whether nothing of the text is read.
    """

    words: tuple[str, ...] = ()
    is_all: bool = False


def unread_of(encoder: Encoder, text: str) -> Unread:
    """What an encoder does not read of a text: nothing, of those that do not say."""
    own = getattr(encoder, "unread", None)
    return Unread() if own is None else own(text)


def text_features(encoder: Encoder, texts: Sequence[str]) -> Floats:
    """Words as long as the model makes them, where it makes other vectors than unit ones.

    Returns:
        [n, d] float32, in the directions of `Encoder.encode_texts`.
    """
    own = getattr(encoder, "text_features", encoder.encode_texts)
    features: Floats = own(texts)
    return features


def encode_images(encoder: Encoder, images: Sequence[Image.Image]) -> Floats:
    """Whole-picture vectors of a few pictures, for queries and crops.

    Returns:
        [n, d] float32, unit rows.

    Raises:
        CancelledWork: when this is part of work that is not wanted any more.
    """
    rows: list[Floats] = []
    for at in range(0, len(images), _AT_ONCE):
        check_cancelled()
        prepared = [encoder.prepare(image) for image in images[at : at + _AT_ONCE]]
        rows += [tiles[0] for tiles in encoder.encode_prepared(prepared)]
    return np.stack(rows)
