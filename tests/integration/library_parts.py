"""Pictures for libraries of the tests, and what is looked at in them."""

import os
from pathlib import Path

from PIL import Image

import relook
from relook.core.types import Box
from relook.testing import noise

CORNER = Box(0.5, 0.5, 1.0, 1.0)


def names(page: relook.Page) -> list[str]:
    return [hit.path.name for hit in page]


def ids(library: relook.Library) -> dict[str, int]:
    """Image id by path below the test's folder of pictures, of everything in the library."""
    return {
        os.fsdecode(image.facts.path).split("/pictures/")[-1]: image.image_id
        for image in library.files.catalog.each_image()
    }


def many(folder: Path, n: int, start: int = 0) -> list[Image.Image]:
    """Writes pictures 0000.png, 0001.png, ... that are all different."""
    folder.mkdir(parents=True, exist_ok=True)
    images = [noise(seed) for seed in range(start, start + n)]
    for seed, image in enumerate(images, start=start):
        image.save(folder / f"{seed:04}.png", compress_level=1)
    return images
