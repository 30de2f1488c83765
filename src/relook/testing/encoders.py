"""The contract of the encoder seam, as checks. Layer: testing.

Sizes are small and pictures are made up, so a run costs a few dozen forward passes.
"""

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image

from relook.core.types import WHOLE
from relook.core.vectors import Floats
from relook.encoders.base import Encoder, Fingerprint
from relook.testing.contract import TOLERANCE, close_to, require, unit_rows
from relook.testing.fakes import noise, solid

_SIZES = ((64, 48), (1, 1), (1000, 3), (3, 1000), (333, 777))
_TEXTS = (
    "a red ball",
    "zwei Hunde",
    "犬が走る",
    "🐕 on a 🏖",
    "one\ntwo\tthree",
    "odd byte \udcff",
    "naïve café",
    "word " * 300,
    "x" * 3000,
    "?",
)


def check_encoder(
    make: Callable[[], Encoder],
    other: Callable[[], Encoder] | None = None,
    tolerance: float = TOLERANCE,
) -> None:
    """Runs the contract of the encoder seam.

    Args:
        make: Makes the encoder, anew at each call; a class without required arguments is one.
        other: Makes an encoder of the same family whose vectors are not comparable (other
            weights, for one); its fingerprint must differ. Left out when there is none.
        tolerance: How far the numbers of a picture's vector may change with its batch; more
            than 1e-4 only where pictures run in half precision. Words have no such leave.

    Raises:
        ContractError: with the first promise that is broken.
    """
    encoder = make()
    try:
        _check_identity(encoder, make)
        _check_tiles(encoder)
        _check_pictures(encoder, tolerance)
        _check_prepare(encoder)
        _check_texts(encoder)
        if other is not None:
            _check_differs(encoder, other)
    finally:
        encoder.close()
    encoder.close()  # a second time is fine


def _check_identity(encoder: Encoder, make: Callable[[], Encoder]) -> None:
    fingerprint = encoder.fingerprint
    require(encoder.dim > 0, "dim is positive", encoder.dim)
    require(fingerprint.dim == encoder.dim, "fingerprint.dim is dim", fingerprint.dim)
    require(encoder.input_px > 0, "input_px is positive", encoder.input_px)
    require(0 < encoder.tile_weight <= 1, "tile_weight is in (0, 1]", encoder.tile_weight)
    stored = Fingerprint.from_dict(json.loads(json.dumps(fingerprint.as_dict())))
    require(stored == fingerprint, "the fingerprint survives JSON", stored)
    again = make()
    same = again.fingerprint.digest == fingerprint.digest == encoder.fingerprint.digest
    again.close()
    require(same, "the same encoder made twice has the same fingerprint")
    means = encoder.means
    if means is not None:
        for mean in (means.image, means.text):
            require(mean.shape == (encoder.dim,), "a mean has shape [d]", mean.shape)


def _check_differs(encoder: Encoder, other: Callable[[], Encoder]) -> None:
    another = other()
    differs = another.fingerprint.digest != encoder.fingerprint.digest
    another.close()
    require(differs, "an encoder with other vectors has another fingerprint")


def _check_tiles(encoder: Encoder) -> None:
    for width, height in _SIZES:
        boxes = encoder.tiles_for(width, height)
        require(len(boxes) >= 1, f"a picture of {width}x{height} px has a tile")
        require(boxes[0] == WHOLE, "the first tile is the whole picture", boxes[0])
        require(boxes == encoder.tiles_for(width, height), "tiles depend on the size only")


def _pictures() -> list[Image.Image]:
    odd = [noise(seed, width, height) for seed, (width, height) in enumerate(_SIZES)]
    return [solid("red"), solid("blue"), solid("black"), *odd]


def _encode(encoder: Encoder, images: list[Image.Image]) -> list[Floats]:
    return encoder.encode_prepared([encoder.prepare(image) for image in images])


def _check_pictures(encoder: Encoder, tolerance: float) -> None:
    images = _pictures()
    together = _encode(encoder, images)
    require(len(together) == len(images), "each picture gets its array", len(together))
    for image, rows in zip(images, together, strict=True):
        n_tiles = len(encoder.tiles_for(*image.size))
        what = f"vectors of a picture of {image.width}x{image.height} px"
        require(rows.dtype == np.float32, f"{what}: float32", rows.dtype)
        require(rows.shape == (n_tiles, encoder.dim), f"{what}: [t, d]", rows.shape)
        unit_rows(rows, what)
    apart = float(np.abs(together[0] - together[1]).max())
    require(apart > 1e-3, "a red and a blue picture get different vectors")
    for image, rows in zip(images, together, strict=True):
        alone = _encode(encoder, [image])[0]
        close_to(alone, rows, "a picture's vectors do not depend on its batch", tolerance)
    backwards = _encode(encoder, images[::-1])
    for rows, same in zip(together, backwards[::-1], strict=True):
        close_to(same, rows, "vectors come in the order of the pictures", tolerance)
    require(list(encoder.encode_prepared([])) == [], "no pictures make no vectors")


def _check_prepare(encoder: Encoder) -> None:
    images = _pictures()
    before = [image.tobytes() for image in images]
    serial = [encoder.prepare(image) for image in images]
    require([image.tobytes() for image in images] == before, "prepare leaves the picture as it was")
    many = images * 8
    with ThreadPoolExecutor(8) as pool:
        threaded = list(pool.map(encoder.prepare, many))
    for at, prepared in enumerate(threaded):
        same = np.array_equal(prepared, serial[at % len(serial)])
        require(same, "prepare gives the same from several threads as from one")


def _check_texts(encoder: Encoder) -> None:
    texts = list(_TEXTS)
    together = encoder.encode_texts(texts)
    require(together.dtype == np.float32, "vectors of words: float32", together.dtype)
    require(together.shape == (len(texts), encoder.dim), "vectors of words: [n, d]", together.shape)
    unit_rows(together, "vectors of words")
    apart = float(np.abs(together[0] - together[1]).max())
    require(apart > 1e-3, "different words get different vectors")
    for text, row in zip(texts, together, strict=True):
        alone = encoder.encode_texts([text])
        close_to(alone[0], row, "a text's vector does not depend on its batch")
    backwards = encoder.encode_texts(texts[::-1])
    close_to(backwards[::-1], together, "vectors come in the order of the texts")
    empty = encoder.encode_texts([])
    require(empty.shape == (0, encoder.dim), "no texts make an array of [0, d]", empty.shape)
    for text in texts:
        n_cut = encoder.n_tokens_cut(text)
        require(isinstance(n_cut, int) and n_cut >= 0, "n_tokens_cut is a count", n_cut)
    require(encoder.n_tokens_cut("a dog") == 0, "two words are not cut")
