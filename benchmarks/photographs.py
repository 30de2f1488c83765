"""Picture files to measure with: crops of the photographs that scikit-image ships.

Each picture is another crop with another colour jitter, so that contents, hashes and JPEG
sizes differ. Nothing is downloaded.
"""

import importlib.util
from pathlib import Path

import numpy as np
from PIL import Image

NAMES = (
    "astronaut.png", "brick.png", "camera.png", "chelsea.png", "coffee.png", "coins.png",
    "grass.png", "gravel.png", "hubble_deep_field.jpg", "ihc.png", "moon.png",
    "motorcycle_left.png", "motorcycle_right.png", "retina.jpg", "rocket.jpg",
)  # fmt: skip


def make_pictures(folder: Path, n: int, width_px: int, seed: int = 0) -> list[Path]:
    """Writes `n` JPEGs of 4:3 and 3:4 whose longer side is `width_px`.

    Args:
        folder: Made when it is not there.
        n: How many.
        width_px: 500 for a web picture, 4000 for a 12-megapixel one.
        seed: Of crops and jitter.
    """
    folder.mkdir(parents=True, exist_ok=True)
    photographs = _photographs()
    random = np.random.default_rng(seed)
    paths = []
    for number in range(n):
        path = folder / f"picture-{number:06d}.jpg"
        picture = _variant(photographs[number % len(photographs)], width_px, random)
        picture.save(path, quality=88)
        paths.append(path)
    return paths


def variants(n: int, width_px: int, seed: int = 0) -> list[Image.Image]:
    """As `make_pictures`, in memory."""
    photographs = _photographs()
    random = np.random.default_rng(seed)
    return [_variant(photographs[at % len(photographs)], width_px, random) for at in range(n)]


def _variant(photograph: Image.Image, width_px: int, random: np.random.Generator) -> Image.Image:
    """A crop of a third to all of the photograph, mirrored or not, with jitter and grain."""
    size = (width_px, width_px * 3 // 4)
    size = size if random.random() < 0.7 else size[::-1]
    share = np.sqrt(random.uniform(0.33, 1.0))
    scale = share * min(photograph.width / size[0], photograph.height / size[1])
    width, height = size[0] * scale, size[1] * scale
    left = random.uniform(0, photograph.width - width)
    upper = random.uniform(0, photograph.height - height)
    box = (left, upper, left + width, upper + height)
    crop = photograph.resize(size, Image.Resampling.BICUBIC, box=box)
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(crop, np.float32)  # [h, w, 3]
    gain, shift = random.uniform(0.8, 1.2, 3), random.uniform(-20, 20)
    # Grain as of a camera: without it an enlarged picture would decode faster than a real one.
    grain = random.normal(0, 4.0, pixels.shape[:2]).astype(np.float32)[:, :, None]
    return Image.fromarray((pixels * gain + shift + grain).clip(0, 255).astype(np.uint8))


def _photographs() -> list[Image.Image]:
    found = importlib.util.find_spec("skimage")
    if found is None or found.origin is None:
        raise SystemExit("the pictures come from scikit-image: pip install 'relook[demo]'")
    folder = Path(found.origin).parent / "data"
    return [Image.open(folder / name).convert("RGB") for name in NAMES]
