"""Is a picture found again after what people do to pictures? Recall, verdicts, false ones, seconds.

    python benchmarks/again.py LIBRARY --pictures 200
    python benchmarks/again.py LIBRARY --pictures 200 --seconds 3000   as many as that allows
    python benchmarks/again.py LIBRARY --pictures 200 --log again.jsonl   goes on where it stopped

Takes pictures of the library at random (a seed fixes which), changes each in every way of
`CHANGES`, and looks for it with `relook similar --verify`. A hit counts when the original stands
first and is verified. Every other image that is called the same picture is false, and is listed.
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


def looked_for(library, image_id, change, chance, file):
    """What came of one changed picture, as plain values for the log."""
    image = Image.open(library.image(image_id).path).convert("RGB")
    change(image, chance).save(file)
    began_s = time.process_time()
    page = library.similar(file, limit=200, verify=True)
    took_ms = round((time.process_time() - began_s) * 1000)
    first = page[0].verified if page[0].image_id == image_id else None
    others = [hit for hit in page if hit.verified and hit.image_id != image_id]
    return {
        "ms": took_ms,
        "verdict": first.verdict.value if first and first.is_same_picture else "missed",
        "others": len(others),
        "false": [hit.image_id for hit in others if hit.verified.is_same_picture],
    }


def measured(library, chosen, options):
    """A dict a picture: its number and, for each change, what came of it."""
    changes = {k: v for k, v in CHANGES.items() if not options.only or k in options.only}
    end_s = time.monotonic() + options.seconds
    lines = []
    if options.log and options.log.exists():
        lines = [json.loads(line) for line in options.log.read_text("utf-8").splitlines()]
    done = {line["image_id"] for line in lines}
    with TemporaryDirectory() as folder:
        for image_id in chosen:
            if image_id in done or time.monotonic() > end_s:
                continue
            # Its own numbers, so that a run that goes on draws what one in a piece would.
            chance = random.Random(f"{options.seed} {image_id}")
            file = Path(folder) / "asked.png"
            line = {"image_id": image_id, "changes": {}}
            for name, change in changes.items():
                line["changes"][name] = looked_for(library, image_id, change, chance, file)
            lines.append(line)
            if options.log:
                with options.log.open("a", encoding="utf-8") as log:
                    log.write(json.dumps(line) + "\n")
    return lines


def print_rows(lines):
    n_others, false = 0, []
    rows = defaultdict(list)
    for line in lines:
        for name, outcome in line["changes"].items():
            rows[name].append(outcome)
            n_others += outcome["others"]
            false += [(line["image_id"], name, other) for other in outcome["false"]]
    for name, outcomes in rows.items():
        verdicts = Counter(outcome["verdict"] for outcome in outcomes)
        n_first = len(outcomes) - verdicts["missed"]
        per_query = sum(outcome["ms"] for outcome in outcomes) / len(outcomes)
        print(f"{name:26} {n_first}/{len(outcomes)}  {per_query:5.0f} ms  {json.dumps(verdicts)}")
    print(f"other images compared {n_others}, called the same {len(false)}")
    for image_id, name, other in false:
        print(f"  image {image_id}, {name}: image {other}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("library")
    parser.add_argument("--pictures", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", nargs="*", help="names of changes")
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--log", type=Path, help="a line a picture; a next run skips what is in it")
    options = parser.parse_args()
    with relook.Library(options.library) as library:
        # Of a library that nothing was deleted from.
        ids = range(1, len(library) + 1)
        chosen = random.Random(options.seed).sample(ids, min(options.pictures, len(ids)))
        print(f"{len(library)} images")
        print_rows(measured(library, chosen, options))


if __name__ == "__main__":
    main()
