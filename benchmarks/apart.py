"""What decoding a stranger's picture in a process of its own costs.

Measures: a query picture (a JPEG of 12, 2 and 0.2 megapixels, decoded as far as the built-in
encoder needs), here and apart; the same with every pixel, as a box on it needs; the first one,
which starts the process.
Baseline in the same run: the same decoding in this process.
Read it: on a busy machine the two processes also wait for each other; compare minimums.
"""

import functools
import io
import time

import numpy as np
from figures import Figure, parser, report, times_ms
from PIL import Image

from relook.core.images import decode
from relook.core.isolation import Workers
from relook.core.settings import ImageLimits

INPUT_PX = 224
SIZES = (("12 MP", 4000, 3000), ("2 MP", 1600, 1200), ("0.2 MP", 500, 375))


def main() -> None:
    """Runs the benchmark."""
    options = parser(__doc__ or "").parse_args()
    n = 40 if options.full else 15
    figures = [_start()]
    for name, width, height in SIZES:
        data = _jpeg(width, height)
        for min_px, what in ((INPUT_PX, "query"), (0, "every pixel")):
            figures += _pair(f"{name}, {what}", data, min_px, n)
    report("apart", figures, options)


def _start() -> Figure:
    workers, began = Workers(ImageLimits().isolated_bytes, 1), time.perf_counter()
    workers.decode(_jpeg(500, 375), INPUT_PX, ImageLimits(isolate=True))
    took_ms = (time.perf_counter() - began) * 1e3
    workers.close()
    return Figure("the first picture, with the start of the process", took_ms, "ms")


def _pair(name: str, data: bytes, min_px: int, n: int) -> list[Figure]:
    here = times_ms(functools.partial(decode, data, min_px, ImageLimits()), n)
    apart = times_ms(functools.partial(decode, data, min_px, ImageLimits(isolate=True)), n)
    return [
        Figure(f"{name}: here, median", float(np.median(here)), "ms"),
        Figure("  apart, median", float(np.median(apart)), "ms"),
        Figure("  added, of the minimums", float(apart.min() - here.min()), "ms"),
    ]


def _jpeg(width: int, height: int) -> bytes:
    """Smooth colours with fine noise: about as many bytes as a photograph has."""
    random = np.random.default_rng(0)
    small = Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), np.int16)
    noisy = (smooth + random.integers(-6, 7, smooth.shape)).clip(0, 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(noisy).save(out, "JPEG", quality=88)
    return out.getvalue()


if __name__ == "__main__":
    main()
