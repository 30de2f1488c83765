"""Large libraries without pictures: vectors that are spread like real tiles.

Real pictures are encoded by the built-in encoder; each synthetic image mixes the tiles of two
of them, tile by tile with one weight, and adds noise with the covariance of real tiles. So
images form clusters, tiles of an image resemble each other, and words stay as far from tiles
as they really are. The library is written through its own classes.
"""

import itertools
from pathlib import Path

import numpy as np
from photographs import variants

from relook.app.indexing import text_queries as text_queries_of
from relook.core.images import load
from relook.core.settings import SearchSettings
from relook.core.types import Box
from relook.encoders import Encoder
from relook.library.files import LibraryFiles
from relook.library.records import FileFacts, ImageRecord
from relook.stores.centres import Report

_BLOCK = 4096  # images written in one transaction
_NOISE = 0.35  # of the length of a tile

SUBJECTS = (
    "a dog", "two dogs", "a black cat", "a man in a red shirt", "a woman with an umbrella",
    "children", "a baby", "a horse", "a flock of birds", "an old truck", "a bicycle",
    "a motorcycle", "a sailing boat", "a cup of coffee", "a plate of food", "a violin",
    "a church", "a rocket", "a football team", "a crowd of people",
)  # fmt: skip
PLACES = (
    "", "on a beach", "in the snow", "at night", "in a kitchen", "on a city street",
    "in a forest", "beside a lake", "jumping in the air", "in front of a brick wall",
)  # fmt: skip


def text_queries(n: int) -> list[str]:
    """Up to 200 short queries as people type them, in a fixed mixed order."""
    words = [f"{who} {where}".strip() for where, who in itertools.product(PLACES, SUBJECTS)]
    order = np.random.default_rng(3).permutation(len(words))
    return [words[at] for at in order[:n]]


def real_tiles(encoder: Encoder, pictures: Path | None, n: int) -> np.ndarray:
    """Tiles of real pictures, as [n, t, d] float32 unit vectors.

    Args:
        encoder: The one whose space it is.
        pictures: A folder of photographs; crops of scikit-image's when None.
        n: At most so many pictures.
    """
    if pictures is None:
        images = variants(n, 320, seed=11)
    else:
        files = sorted(path for path in pictures.iterdir() if path.is_file())
        chosen = np.random.default_rng(11).permutation(len(files))[:n]
        images = [load(files[at], encoder.input_px).image for at in chosen]
    tiles = []
    for start in range(0, len(images), 16):
        prepared = [encoder.prepare(image) for image in images[start : start + 16]]
        tiles += encoder.encode_prepared(prepared)
    return np.stack(tiles)


def make_library(folder: Path, encoder: Encoder, tiles: np.ndarray, n_images: int) -> None:
    """Writes a library of synthetic images, without its index.

    Args:
        folder: New.
        encoder: The one that made `tiles`.
        tiles: [n, t, d], see `real_tiles`.
        n_images: How many images it gets, each with t tiles.
    """
    random = np.random.default_rng(5)
    boxes = encoder.tiles_for(1, 1)
    noise = _noise_map(tiles)
    with LibraryFiles.create(folder, "builtin", encoder.fingerprint) as files:
        for start in range(0, n_images, _BLOCK):
            n = min(_BLOCK, n_images - start)
            mixed = _mix(tiles, noise, n, random)  # [n, t, d]
            first = files.vectors.append(mixed.reshape(-1, mixed.shape[2]))
            _put(files, range(start, start + n), first, boxes)


def build_index(files: LibraryFiles, encoder: Encoder, report: Report | None = None) -> None:
    """Builds a library's index as a run of indexing does: how far it looks is measured with words.

    Args:
        files: Of the library.
        encoder: Its encoder.
        report: Told how far it is.
    """
    files.build_index(SearchSettings(), text_queries_of(files, encoder), report)


def _noise_map(tiles: np.ndarray) -> np.ndarray:
    """[d, d]: turns white noise into noise with the covariance of tiles and length `_NOISE`."""
    flat = tiles.reshape(-1, tiles.shape[2])
    values, axes = np.linalg.eigh(np.cov(flat, rowvar=False))
    root = axes * np.sqrt(values.clip(0))  # [d, d]
    return (root.T * (_NOISE / np.sqrt(values.clip(0).sum()))).astype(np.float32)


def _mix(tiles: np.ndarray, noise: np.ndarray, n: int, random: np.random.Generator) -> np.ndarray:
    """New images [n, t, d]."""
    pairs = random.integers(0, len(tiles), (n, 2))
    weight = random.uniform(0.5, 1.0, (n, 1, 1)).astype(np.float32)
    mixed = weight * tiles[pairs[:, 0]] + (1 - weight) * tiles[pairs[:, 1]]
    own = random.standard_normal((n, 1, tiles.shape[2]), np.float32)
    each = random.standard_normal(mixed.shape, np.float32)
    white = ((own + each) / np.float32(np.sqrt(2))).reshape(-1, tiles.shape[2])
    mixed += (white @ noise).reshape(mixed.shape)
    return mixed / np.linalg.norm(mixed, axis=2, keepdims=True)


def _put(files: LibraryFiles, numbers: range, first: int, boxes: tuple[Box, ...]) -> None:
    """Names the rows from `first` on in the catalog, one image for each number."""
    catalog = files.catalog
    with catalog.transaction() as db:
        tiling = catalog.tiling_id(db, boxes)
        for at, number in enumerate(numbers):
            path = f"/pictures/folder-{number // 1000:04d}/picture-{number:07d}.jpg".encode()
            # Hashes are spread over all bits, so that nothing is folded by chance.
            dhash = (number * 0x9E3779B97F4A7C15) % 2**63
            record = ImageRecord(
                FileFacts(path, 100_000 + number, number), number.to_bytes(16, "big"),
                500, 375, "JPEG", dhash, first + at * len(boxes), len(boxes), tiling,
            )  # fmt: skip
            catalog.put(db, record)
        catalog.bump(db, len(files.vectors))
