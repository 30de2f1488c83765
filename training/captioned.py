"""Pictures with captions: WebDataset tar files, or folders with a `.txt` beside each picture.

A picture `dog.jpg` has its captions in `dog.txt`, one a line. Flickr8k's own layout is read by
`pictures.py`.
"""

import io
import sys
import tarfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from pictures import SIZE
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".bmp")


def _members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Names and contents, in a fixed order, of a tar file or of a folder (its subfolders too)."""
    if path.is_dir():
        for file in sorted(path.rglob("*")):
            if file.suffix.lower() in (*SUFFIXES, ".txt"):
                yield str(file.relative_to(path)), file.read_bytes()
        return
    with tarfile.open(path) as archive:
        for member in archive:
            if member.isfile():
                yield member.name, archive.extractfile(member).read()


def read_captioned(path: Path) -> tuple[np.ndarray, list[list[str]]]:
    """All pictures that have captions; one that cannot be read is named and left out.

    Returns:
        uint8 [n,224,224,3], squashed, and each picture's captions.

    Raises:
        ValueError: when there is none.
    """
    files: dict[str, tuple[str, bytes]] = {}
    captions: dict[str, list[str]] = {}
    for name, data in _members(path):
        stem, _, suffix = name.rpartition(".")
        if f".{suffix.lower()}" in SUFFIXES:
            files[stem] = name, data
        elif suffix == "txt":
            lines = (line.strip() for line in data.decode("utf-8", "replace").splitlines())
            captions[stem] = [line for line in lines if line]
    with ThreadPoolExecutor() as threads:
        decoded = threads.map(lambda file: _squashed(*file), files.values())
        read = dict(zip(files, decoded, strict=True))
    pictures = {stem: picture for stem, picture in read.items() if picture is not None}
    stems = [stem for stem in pictures if captions.get(stem)]
    if not stems:
        raise ValueError(f"{path} holds no picture with a .txt beside it that has a caption")
    return np.stack([pictures[stem] for stem in stems]), [captions[stem] for stem in stems]


def _squashed(name: str, data: bytes) -> np.ndarray | None:
    """An encoded picture as uint8 [224,224,3]; None, and a line that names it, if it is none."""
    try:
        with Image.open(io.BytesIO(data)) as file:
            image = file.convert("RGB")
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        print(f"left out: {name}: {error}", file=sys.stderr)
        return None
    if image.size != (SIZE, SIZE):
        image = image.resize((SIZE, SIZE), Image.Resampling.BICUBIC)
    return np.asarray(image)


def read_texts(path: Path) -> list[str]:
    """All captions, without opening a picture."""
    texts = (data.decode("utf-8") for name, data in _members(path) if name.endswith(".txt"))
    return [line.strip() for text in texts for line in text.splitlines() if line.strip()]


def crops(pictures: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A random part of each picture, .35 to .9 of its area, half of them mirrored."""
    out = np.empty_like(pictures)
    for canvas, picture in zip(out, pictures, strict=True):
        area, shape = rng.uniform(0.35, 0.9), np.exp(rng.uniform(-0.25, 0.25))
        width, height = min(1.0, (area * shape) ** 0.5), min(1.0, (area / shape) ** 0.5)
        left, top = rng.uniform(0, 1 - width) * SIZE, rng.uniform(0, 1 - height) * SIZE
        box = (left, top, left + width * SIZE, top + height * SIZE)
        part = Image.fromarray(picture).resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box)
        canvas[:] = np.asarray(part)[:, :: rng.choice([-1, 1])]
    return out
