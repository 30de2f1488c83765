"""The training sets: their names, how often each is seen, and the captions they give.

Lists of objects ("a photo of a cow, a person and a handbag") and of scenes are told in several
ways, so that training sees short queries beside whole lists.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from captioned import read_captioned
from pictures import read_pictures, read_split

WEIGHTS = {
    "flickr8k": 1.6,
    "pascal-sentences": 3.0,
    "flickr30k": 3.0,
    "coco-objects": 1.2,
    "web-train": 1.2,
    "ade20k-scenes": 0.5,
    "aerial": 1.0,
}
"""How many times an epoch looks at each picture of a set."""
SEED = 0


@dataclass(frozen=True)
class Captioned:
    """One set of pictures.

    Attributes:
        pictures: uint8 [n,224,224,3].
        captions: each picture's captions.
        weight: how many times an epoch looks at each picture.
    """

    pictures: np.ndarray
    captions: list[list[str]]
    weight: float


def flickr8k(data: Path, part: str) -> tuple[np.ndarray, list[list[str]]]:
    """Pictures and captions of one split of Flickr8k."""
    split = read_split(data, part)
    captions: list[list[str]] = [[] for _ in split.files]
    for caption, owner in zip(split.captions, split.owner, strict=True):
        captions[owner].append(caption)
    return read_pictures([data / "flickr8k" / "images" / f for f in split.files]), captions


def training_set(data: Path, name: str) -> Captioned:
    """One of the sets in `WEIGHTS`."""
    if name == "flickr8k":
        return Captioned(*flickr8k(data, "train"), WEIGHTS[name])
    pictures, captions = read_captioned(data / "captioned" / f"{name}.tar")
    rng = np.random.default_rng(SEED)
    if name == "coco-objects":
        captions = [[texts[0], *_of_objects(texts[0], rng)] for texts in captions]
    if name == "ade20k-scenes":
        captions = [_of_scene(texts[0], rng) for texts in captions]
    return Captioned(pictures, captions, WEIGHTS[name])


def dev_set(data: Path, name: str) -> tuple[np.ndarray, list[list[str]]]:
    """Pictures and captions that are only ever measured on: `flickr8k-dev`, `web-dev`."""
    if name == "flickr8k-dev":
        return flickr8k(data, "dev")
    return read_captioned(data / "captioned" / f"{name}.tar")


def own_set(path: Path) -> Captioned:
    """A person's own tar file or folder."""
    return Captioned(*read_captioned(path), 1.0)


def _of_objects(caption: str, rng: np.random.Generator) -> list[str]:
    """Other ways to tell a list of objects: one or two of them, or all in another order."""
    things = re.split(r", | and ", caption.removeprefix("a photo of "))
    return list(dict.fromkeys(_some(things, rng)))


def _of_scene(caption: str, rng: np.random.Generator) -> list[str]:
    """Ways to tell a scene and its things; the whole list ("sky, wall, plant") is none."""
    scene, _, rest = caption.removeprefix("a photo of a ").partition(" with ")
    things = [thing for thing in rest.split(", ") if thing]
    told = [f"{scene} with {', '.join(things[:3])}" if things else scene, scene]
    return list(dict.fromkeys([*told, *_some([scene, *things], rng)]))


def _some(things: list[str], rng: np.random.Generator) -> list[str]:
    """Two picks of one or two things, and all of them shuffled where there are three."""
    told = []
    for _ in range(2):
        n_things = int(rng.integers(1, min(3, len(things)) + 1))
        told.append(" and ".join(rng.permutation(things)[:n_things]))
    if len(things) > 2:
        shuffled = list(rng.permutation(things))
        told.append(f"{', '.join(shuffled[:-1])} and {shuffled[-1]}")
    return told
