"""Is a picture found again after what people do to pictures? Recall, verdicts, false ones, seconds.

    python benchmarks/again.py LIBRARY --pictures 200
    python benchmarks/again.py LIBRARY --pictures 200 --seconds 3000   as many as that allows

Takes pictures of the library at random (a seed fixes which), changes each in every way of
`CHANGES`, and looks for it with `relook similar --verify`. A hit counts when the original stands
first and is verified. Every other image that is called the same picture is false.
"""

import argparse
import io
import json
import random
import time
from collections import Counter, defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

import relook


def recompressed(image, _):
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=40)
    return Image.open(buffer).convert("RGB")


def crop(share):
    def cropped(image, chance):
        width, height = (round(side * share**0.5) for side in image.size)
        left = chance.randint(0, image.width - width)
        top = chance.randint(0, image.height - height)
        return image.crop((left, top, left + width, top + height))

    return cropped


def turned(degrees):
    return lambda image, _: image.rotate(degrees, Image.Resampling.BICUBIC)


def written_over(image, _):
    image, (width, height) = image.copy(), image.size
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, height * 3 // 4, width, height * 11 // 12), fill="white")
    size = max(height // 12, 10)
    draw.text((10, height * 4 // 5), "BREAKING: look at this", fill="black", font_size=size)
    return image


def photographed(image, _):
    width, height = image.size
    corners = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * (width, height)
    seen = np.array([[0.08, 0.05], [0.95, 0.1], [0.88, 0.93], [0.03, 0.9]]) * (width, height)
    move = cv2.getPerspectiveTransform(np.float32(corners), np.float32(seen))
    laid = cv2.warpPerspective(np.asarray(image), move, (width, height), borderValue=(90, 70, 60))
    return Image.fromarray(laid)


CHANGES = {
    "recompressed (JPEG 40)": recompressed,
    "half its size": lambda image, _: image.resize((image.width // 2, image.height // 2)),
    "crop of 90%": crop(0.9),
    "crop of 70%": crop(0.7),
    "crop of 50%": crop(0.5),
    "crop of 30%": crop(0.3),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "turned by 5 degrees": turned(5),
    "turned by 15 degrees": turned(15),
    "sepia": lambda image, _: ImageOps.colorize(image.convert("L"), "#201005", "#fff0c0"),
    "more contrast and colour": lambda image, _: ImageEnhance.Color(
        ImageEnhance.Contrast(image).enhance(1.6)
    ).enhance(1.8),
    "a white border": lambda image, _: ImageOps.expand(image, image.width // 10, "white"),
    "words over it": written_over,
    "photographed at an angle": photographed,
}


def measured(library, n_pictures, seed, only, seconds):
    chance = random.Random(seed)
    ids = range(1, len(library) + 1)  # of a library that nothing was deleted from
    chosen = chance.sample(ids, min(n_pictures, len(ids)))
    rows = defaultdict(Counter)
    n_others = n_false = 0
    end_s = time.monotonic() + seconds
    with TemporaryDirectory() as folder:
        for image_id in chosen:
            if time.monotonic() > end_s:
                break
            record = library.image(image_id)
            image = Image.open(record.path).convert("RGB")
            for name, change in CHANGES.items():
                if only and name not in only:
                    continue
                file = Path(folder) / "asked.png"
                change(image, chance).save(file)
                began = time.process_time()
                page = library.similar(file, limit=200, verify=True)
                row = rows[name]
                row["ms"] += round((time.process_time() - began) * 1000)
                row["n"] += 1
                first = page[0]
                is_right = first.image_id == image_id and first.verified is not None
                is_right = is_right and first.verified.is_same_picture
                row["first"] += is_right
                row[first.verified.verdict.value if is_right else "missed"] += 1
                others = [hit for hit in page if hit.verified and hit.image_id != image_id]
                n_others += len(others)
                n_false += sum(hit.verified.is_same_picture for hit in others)
    return rows, n_others, n_false


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of changes")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    options = parser.parse_args()
    with relook.Library(options.library) as library:
        n_images = len(library)
        rows, n_others, n_false = measured(
            library, options.pictures, options.seed, options.only, options.seconds
        )
    for name, row in rows.items():
        verdicts = {k: v for k, v in row.items() if k not in ("n", "first", "ms")}
        per_query = row["ms"] / row["n"]
        print(f"{name:26} {row['first']}/{row['n']}  {per_query:5.0f} ms  {json.dumps(verdicts)}")
    print(f"{n_images} images; other images compared {n_others}, called the same {n_false}")


if __name__ == "__main__":
    main()
