"""What the shipped model is bad at, measured on pictures that it was never trained on.

    python training/limits.py --data DATA --model src/relook/encoders/builtin_model

Spelling on the 1,000 ImageNet pictures (which training saw with their names); left and right, small
things on coco-mini; night, drawings, negation on Flickr8k's and the web's dev pictures; printed
words on dev pictures that they are drawn upon; medical and other pictures of scikit-image. Needs
relook, for "did you mean", and scikit-image. Two minutes on two cores.
"""

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from evaluate import Dev, Shipped
from metrics import best_tile, recall
from pictures import class_files, class_query, read_concepts, read_pictures, read_split, squash
from PIL import Image, ImageDraw, ImageFont
from typos import misspelt

from relook.search.grammar import suggestion

KINDS_OF_PICTURE = {
    "at night, in the dark": r"\b(night|dark|evening)\b",
    "drawings and graphics": r"\b(illustration|vector|drawing|cartoon|logo|icon|sketch|clip ?art)",
    "charts, maps, screens": r"\b(chart|diagram|map|screenshot|graph|infographic)\b",
}
PRINTED = (
    "sale", "stop", "hotel", "bank", "coffee", "london", "welcome", "museum", "school", "police",
    "happy birthday", "no parking", "open", "pharmacy", "library", "exit", "taxi", "pizza",
    "tokyo", "market",
)  # fmt: skip
PARTICULAR = {
    "retina.jpg": "a photograph of the retina of an eye",
    "microaneurysms.png": "blood vessels of an eye",
    "cell.png": "cells under a microscope",
    "ihc.png": "stained tissue under a microscope",
    "phantom.png": "a CT scan of a head",
    "page.png": "a scanned page of a book",
    "text.png": "handwritten text",
    "moon.png": "craters of the moon",
    "hubble_deep_field.jpg": "galaxies",
}


def plural(word: str) -> str:
    """A name's usual plural."""
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if re.search(r"(s|x|z|ch|sh)$", word) else "s")


def measure_spelling(model: Shipped, data: Path, weight: float) -> dict:
    """How often a class's picture is first, and among five, for its name in several spellings."""
    paths = class_files(data)
    names = [class_query(path).lower() for path in paths]
    tiles, own = model.see(read_pictures(paths)), np.arange(len(paths))
    rng = np.random.default_rng(0)
    typed = [misspelt(name, rng) for name in names]
    touched = np.array([name != some for name, some in zip(names, typed, strict=True)])
    taken = [suggestion(some, frozenset) or some for some in typed]

    def found(texts: list[str], rows: np.ndarray = own) -> list[float]:
        scores = best_tile(model.read([texts[at] for at in rows]), tiles, weight)
        return recall(scores, own[rows], (1, 5))

    def found_as_searched(texts: list[str], rows: np.ndarray) -> list[float]:
        texts = [texts[at] for at in rows]
        meant = [suggestion(text, frozenset, is_sure=True) or text for text in texts]
        vectors = model.read(texts) + model.card["spelling"] * model.read(meant)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return recall(best_tile(vectors, tiles, weight), own[rows], (1, 5))

    rows = own[touched]
    changed = own[[suggestion(name, frozenset, is_sure=True) is not None for name in names]]
    right = [taken[at] == names[at] for at in rows]
    return {
        "as it is": found(names),
        "Title Case": found([name.title() for name in names]),
        "CAPITALS": found([name.upper() for name in names]),
        "plural": found([plural(name) for name in names]),
        "a photo of a": found([f"a photo of a {name}" for name in names]),
        "one letter wrong": {
            "n": len(rows),
            "as it is": found(names, rows),
            "mistyped": found(typed, rows),
            "mistyped, as it is searched for": found_as_searched(typed, rows),
            "mistyped, suggestion taken": found(taken, rows),
            "suggested": round(float(np.mean([taken[at] != typed[at] for at in rows])), 3),
            "suggested right": round(float(np.mean(right)), 3),
        },
        "suggested for right names": round(
            float(np.mean([suggestion(name, frozenset) is not None for name in names])), 3
        ),
        "right names taken for mistyped": {
            "n": len(changed),
            "as it is": found(names, changed),
            "as it is searched for": found_as_searched(names, changed),
        },
    }


def measure_sides(model: Shipped, data: Path, weight: float) -> dict:
    """Of "a cup to the left of a dog" and the same turned round, how often the right one wins.

    Pictures of coco-mini with one instance of each of two things, whose middles are a quarter of
    the picture's width apart.
    """
    card = json.loads((data / "coco-mini/annotations/instances_val2017.json").read_text())
    kinds = {kind["id"]: kind["name"] for kind in card["categories"]}
    right, n_pairs = 0, 0
    for image in card["images"]:
        there: dict[str, list[float]] = {}
        for one in card["annotations"]:
            if one["image_id"] == image["id"] and not one["iscrowd"]:
                x, _, width, _ = one["bbox"]
                there.setdefault(kinds[one["category_id"]], []).append(x + width / 2)
        alone = {kind: middles[0] for kind, middles in there.items() if len(middles) == 1}
        pairs = [(a, b) for a in alone for b in alone if alone[a] + image["width"] / 4 < alone[b]]
        if not pairs:
            continue
        tiles = model.see(read_pictures([data / "coco-mini/val2017" / image["file_name"]]))
        for left, other in pairs:
            texts = [f"a {left} to the left of a {other}", f"a {other} to the left of a {left}"]
            scores = best_tile(model.read(texts), tiles, weight)[:, 0]
            right += int(scores[0] > scores[1])
            n_pairs += 1
    return {"n": n_pairs, "right": round(right / n_pairs, 3)}


def measure_small(model: Shipped, data: Path, weight: float) -> dict:
    """How well a thing's name tells pictures with it from those without, by its share of the area.

    The share of pictures without it that score less than the picture with it (chance .5).
    """
    card = json.loads((data / "coco-mini/annotations/instances_val2017.json").read_text())
    kinds = {kind["id"]: kind["name"] for kind in card["categories"]}
    files = [data / "coco-mini/val2017" / image["file_name"] for image in card["images"]]
    area = {image["id"]: image["width"] * image["height"] for image in card["images"]}
    row = {image["id"]: at for at, image in enumerate(card["images"])}
    largest: dict[tuple[int, str], float] = {}
    for one in card["annotations"]:
        key = row[one["image_id"]], kinds[one["category_id"]]
        largest[key] = max(largest.get(key, 0.0), one["area"] / area[one["image_id"]])
    names = sorted({name for _, name in largest})
    scores = best_tile(model.read(names), model.see(read_pictures(files)), weight)
    groups: dict[str, list[float]] = {}
    for (at, name), share in largest.items():
        without = [k for k in range(len(files)) if (k, name) not in largest]
        own = scores[names.index(name)]
        bounds = ((0.2, "over 20%"), (0.05, "5 to 20%"), (0.01, "1 to 5%"), (0.0, "under 1%"))
        group = next(told for bound, told in bounds if share >= bound)
        groups.setdefault(group, []).append(float((own[at] > own[without]).mean()))
    return {k: {"n": len(v), "above": round(float(np.mean(v)), 3)} for k, v in groups.items()}


def measure_kinds(model: Shipped, dev: Dev, weight: float) -> dict:
    """Recall at 10 of captions of a kind of picture, beside that of all captions of the set."""
    report: dict[str, dict] = {}
    for name, (_, captions) in dev.sets.items():
        rows = [(text, at) for at, texts in enumerate(captions) for text in texts]
        own = np.array([at for _, at in rows])
        scores = best_tile(model.read([text for text, _ in rows]), dev.tiles[name], weight)
        kinds = {"all": ".", **KINDS_OF_PICTURE}
        for kind, words in kinds.items():
            chosen = [k for k, (text, _) in enumerate(rows) if re.search(words, text.lower())]
            if len(chosen) >= 20:
                found = recall(scores[chosen], own[chosen], (10,))[0]
                report.setdefault(name, {})[kind] = {"n": len(chosen), "recall_10": found}
    return report


def measure_negation(model: Shipped, data: Path, dev: Dev, weight: float) -> dict:
    """Of the first ten pictures for "X" and for "no X", the share whose captions say X."""
    files = read_split(data, "dev").files
    concepts = [(q, r) for q, r in read_concepts(data, "dev", files) if len(r) >= 10]
    tiles = dev.tiles["flickr8k-dev"]

    def shown(form: str) -> float:
        scores = best_tile(model.read([form.format(q) for q, _ in concepts]), tiles, weight)
        first = np.argsort(-scores, axis=1)[:, :10]
        hits = [np.isin(f, r).mean() for f, (_, r) in zip(first, concepts, strict=True)]
        return round(float(np.mean(hits)), 3)

    by_chance = float(np.mean([len(r) / len(files) for _, r in concepts]))
    told = {form: shown(form) for form in ("{}", "no {}", "a picture without {}")}
    return {"n": len(concepts), "by chance": round(by_chance, 3), **told}


def measure_print(model: Shipped, dev: Dev, weight: float) -> dict:
    """A word's own picture among twenty that differ in the word printed on them (chance .05)."""
    pictures = [picture.copy() for picture in dev.sets["flickr8k-dev"][0][: len(PRINTED)]]
    font = ImageFont.load_default(34)
    for at, word in enumerate(PRINTED):
        canvas = Image.fromarray(pictures[at])
        draw = ImageDraw.Draw(canvas)
        draw.rectangle((0, 80, 224, 144), fill="white")
        draw.text((112, 112), word.upper(), fill="black", font=font, anchor="mm")
        pictures[at] = np.asarray(canvas)
    tiles = model.see(np.stack(pictures))
    plain = model.see(dev.sets["flickr8k-dev"][0][: len(PRINTED)])
    own, texts = np.arange(len(PRINTED)), [f'the word "{word}"' for word in PRINTED]
    scores = [best_tile(model.read(texts), some, weight) for some in (tiles, plain)]
    gained = (scores[0] - scores[1]).argmax(1)  # whom the print helped most
    return {
        "n": len(PRINTED),
        "first": recall(scores[0], own, (1,))[0],
        "raised most by its word": round(float((gained == own).mean()), 3),
    }


def measure_particular(model: Shipped, data: Path, weight: float) -> dict:
    """Rank of scikit-image's odd pictures for their description among 1,000 photographs."""
    import skimage

    folder = Path(skimage.__file__).parent / "data"
    own = [folder / name for name in PARTICULAR if (folder / name).is_file()]
    others = model.see(read_pictures(class_files(data)))
    tiles = np.concatenate([model.see(np.stack([squash(path) for path in own])), others])
    scores = best_tile(model.read([PARTICULAR[path.name] for path in own]), tiles, weight)
    ranks = [int((row > row[at]).sum()) + 1 for at, row in enumerate(scores)]
    return dict(zip((path.name for path in own), ranks, strict=True))


def main() -> None:
    """Prints one JSON object."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    model = Shipped(args.model, args.threads)
    weight, dev = model.card.get("tile_weight", 1.0), Dev(model, args.data)
    measures: dict[str, Callable[[], dict]] = {
        "spelling": lambda: measure_spelling(model, args.data, weight),
        "left_and_right": lambda: measure_sides(model, args.data, weight),
        "small_things": lambda: measure_small(model, args.data, weight),
        "kinds_of_picture": lambda: measure_kinds(model, dev, weight),
        "negation": lambda: measure_negation(model, args.data, dev, weight),
        "printed_words": lambda: measure_print(model, dev, weight),
        "medical_and_other": lambda: measure_particular(model, args.data, weight),
    }
    print(json.dumps({name: call() for name, call in measures.items()}, indent=1))


if __name__ == "__main__":
    main()
