"""Captions that differ in one colour, count or actor: a test, and hard negatives for training.

    python training/attributes.py --data DIR --model src/relook/encoders/builtin_model

For each dev caption with such a word another word of its kind takes its place; the picture must
score the right caption higher. A word that any caption of the same picture uses never takes
the place, so that the wrong caption is wrong for everybody who described the picture. Chance
is one half.
"""

import argparse
import json
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np

KINDS = {
    "colour": [
        *("black", "white", "grey", "brown"),
        *("red", "blue", "green", "yellow"),
        *("orange", "pink", "purple"),
    ],
    "count": ["two", "three", "four", "five", "six"],
    "actor": ["man", "woman", "boy", "girl", "dog", "cat", "horse", "bird"],
}
PLURALS = {"actor": ["men", "women", "boys", "girls", "dogs", "cats", "horses", "birds"]}
SAME = {"gray": "grey", "tan": "brown", "beige": "brown", "lady": "woman", "guy": "man"}
"""Words that rule out another, and are never swapped themselves."""
COVERED = {
    "person": ("man", "woman", "boy", "girl"),
    "people": ("men", "women", "boys", "girls"),
    "child": ("boy", "girl"),
    "children": ("boys", "girls"),
    "kid": ("boy", "girl"),
    "kids": ("boys", "girls"),
    "man": ("boy",),
    "woman": ("girl",),
    "boy": ("man",),
    "girl": ("woman",),
    "men": ("boys",),
    "women": ("girls",),
    "boys": ("men",),
    "girls": ("women",),
}
"""What else a word may stand for: no opposite of it."""
SEED = 3
DEV = ("flickr8k-dev", "web-dev")


def _groups() -> list[tuple[str, list[str]]]:
    return [*KINDS.items(), *PLURALS.items()]


def _used(captions: list[str]) -> set[str]:
    """Every word that captions use, and every word that means no opposite of one."""
    words = {word for text in captions for word in re.findall(r"[a-z]+", text.lower())}
    words |= {SAME[word] for word in words & SAME.keys()}
    singular = dict(zip(PLURALS["actor"], KINDS["actor"], strict=True))
    words |= {singular[word] for word in words & singular.keys()}
    words |= {other for word in words & COVERED.keys() for other in COVERED[word]}
    back = {one: many for many, one in singular.items()}
    return words | {back[word] for word in words & back.keys()}


def swaps(caption: str, captions: list[str], rng: np.random.Generator) -> Iterator[tuple[str, str]]:
    """Yields (kind, wrong caption), at most one for each kind.

    Args:
        caption: a right one.
        captions: all that are right for the same picture.
        rng: which word, and which takes its place.
    """
    used = _used([caption, *captions])
    done = set()
    for kind, words in _groups():
        here = [m for m in re.finditer(r"[A-Za-z]+", caption) if m.group().lower() in words]
        others = [word for word in words if word not in used]
        if not here or not others or kind in done:
            continue
        done.add(kind)
        place = here[rng.integers(len(here))]
        word = others[rng.integers(len(others))]
        word = word.capitalize() if place.group()[0].isupper() else word
        yield kind, caption[: place.start()] + word + caption[place.end() :]


def pairs(captions: list[list[str]], seed: int = SEED) -> list[tuple[str, int, str, str]]:
    """(kind, picture, right, wrong) for the captions of pictures."""
    rng = np.random.default_rng(seed)
    return [
        (kind, picture, text, wrong)
        for picture, texts in enumerate(captions)
        for text in texts
        for kind, wrong in swaps(text, texts, rng)
    ]


def shares(kinds: list[str], right: np.ndarray, wrong: np.ndarray) -> dict[str, float]:
    """Share of pairs whose right caption scores higher, by kind, and the mean of the kinds."""
    names = np.array(kinds)
    won = (right > wrong) + 0.5 * (right == wrong)
    out = {kind: round(float(won[names == kind].mean()), 4) for kind in KINDS}
    return {**out, "mean": round(float(np.mean(list(out.values()))), 4)}


def main() -> None:
    """Prints the shares for Flickr8k's and the web's dev captions."""
    from evaluate import Dev, Shipped

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    args = parser.parse_args()
    model = Shipped(args.model)
    print(json.dumps(measure(model, *Dev(model, args.data).everything())))


def measure(model, tiles: np.ndarray, captions: list[list[str]]) -> dict[str, float]:
    """`shares` of a model's two towers.

    Args:
        model: an `evaluate.Shipped`.
        tiles: unit vectors [n,t,d] of the pictures.
        captions: of each picture.
    """
    kinds, owners, right, wrong = zip(*pairs(captions), strict=True)
    seen = tiles[list(owners)]  # [p,t,d]
    weights = np.array([1.0] + [model.card["tile_weight"]] * (seen.shape[1] - 1))

    def scores(texts: tuple[str, ...]) -> np.ndarray:
        return (np.einsum("abc,ac->ab", seen, model.read(list(texts))) * weights).max(1)

    return shares(list(kinds), scores(right), scores(wrong))


if __name__ == "__main__":
    main()
