"""What `cache.py` wrote, ready for training: rows of several parts behind one number each."""

import copy
import json
from pathlib import Path

import numpy as np
import torch
from cache import VIEWS
from torch import Tensor

CLASS_PARTS = ("classes", "classes_centre")


class Part:
    """Pictures of one name: features, and their most probable ImageNet classes.

    Args:
        folder: what `cache.py` filled.
        name: of the part.
    """

    def __init__(self, folder: Path, name: str):
        self.seen = np.load(folder / f"{name}.seen.npy", mmap_mode="r")
        self.classes = np.load(folder / f"{name}.classes.npy")
        self.chances = np.load(folder / f"{name}.chances.npy")

    def __len__(self) -> int:
        return len(self.seen)

    def rows(self, rows: np.ndarray, tiles: np.ndarray | slice) -> tuple[np.ndarray, ...]:
        """Features, classes and chances of some rows' tiles."""
        return tuple(a[rows, tiles] for a in (self.seen, self.classes, self.chances))


class Rows:
    """Several parts one after another.

    Args:
        parts: in the order of the pictures' numbers.
    """

    def __init__(self, parts: list[Part]):
        self.parts = parts
        self.first = np.cumsum([0] + [len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.first[-1])

    def get(self, rows: np.ndarray, tiles: np.ndarray | int | slice = 0) -> tuple[Tensor, Tensor]:
        """Features and class probabilities, one row a tile: [r,N_SEEN], sparse [r,1000].

        Args:
            rows: pictures' numbers.
            tiles: which tile of each; a slice for several, one after another.
        """
        order = np.argsort(rows, kind="stable")
        which = np.searchsorted(self.first, rows[order], "right") - 1
        several = isinstance(tiles, slice)
        tile_of = tiles if several else np.broadcast_to(tiles, rows.shape)[order]
        gathered = []
        for part in np.unique(which):
            at = rows[order][which == part] - self.first[part]
            gathered.append(self.parts[part].rows(at, tiles if several else tile_of[which == part]))
        back = np.argsort(order)
        seen, classes, chances = (np.concatenate(a)[back] for a in zip(*gathered, strict=True))
        flat = torch.from_numpy(seen.reshape(-1, seen.shape[-1]).astype(np.float32))
        return flat, named(classes.reshape(len(flat), -1), chances.reshape(len(flat), -1))


def named(classes: np.ndarray, chances: np.ndarray) -> Tensor:
    """Probabilities of ImageNet's classes as a sparse matrix [r,1000]."""
    row = np.repeat(np.arange(len(classes)), classes.shape[1])
    at = torch.from_numpy(np.stack([row, classes.reshape(-1).astype(np.int64)]))
    values = torch.from_numpy(chances.reshape(-1).astype(np.float32))
    return torch.sparse_coo_tensor(at, values, (len(classes), 1000), check_invariants=False)


class Bank:
    """All that training reads.

    Args:
        folder: what `cache.py` filled.

    Attributes:
        views: the training pictures plain, mirrored and cropped, as far as they were made.
        weight: float [n], how often an epoch looks at each picture.
        owner: int [m], the picture of each caption.
        first_caption, n_captions: int [n], where a picture's captions lie.
        texts: the captions themselves.
        wrong_of: int [m], the row of a caption's wrong twin, or -1.
        shown: bool [n,q], whether a picture's captions use a phrase.
        groups: int [g,4], the pictures in the mosaics `mosaic_rows`.
        first_name: int [1001], where a class's names lie.
    """

    def __init__(self, folder: Path):
        sets = json.loads((folder / "sets.json").read_text())
        card = json.loads((folder / "texts.json").read_text())
        made = {path.stem for path in folder.glob("*.done")}
        self.views = [
            Rows([Part(folder, name + (view if name + view in made else "")) for name in sets])
            for view in VIEWS
        ]
        self.classes = [
            Rows([Part(folder, name + view)])
            for name in CLASS_PARTS
            for view in VIEWS
            if name + view in made
        ]
        has_mosaics = "mosaic" in made
        self.mosaics = Rows([Part(folder, "mosaic")] if has_mosaics else [])
        path = folder / "mosaic.groups.npy"
        self.groups = np.load(path) if has_mosaics else np.zeros((0, 4), np.int64)
        self.mosaic_rows = np.arange(len(self.groups))
        self.weight = np.concatenate([np.full(n, weight) for n, weight in sets.values()])
        self.n_captions = np.array(card["n_captions"])
        self.first_caption = np.cumsum(self.n_captions) - self.n_captions
        self.owner = np.repeat(np.arange(len(self.n_captions)), self.n_captions)
        self.wrong_of = np.array(card["wrong_of"])
        self.captions, self.wrong, self.phrases, self.names, self.photo = (
            torch.from_numpy(np.load(folder / f"{kind}.read.npy"))
            for kind in ("captions", "wrong", "phrases", "names", "photo")
        )
        self.texts: list[str] = card["texts"]
        self.shown = torch.zeros(len(self.weight), len(self.phrases), dtype=torch.bool)
        for row, phrases in enumerate(card["shown"]):
            self.shown[row, phrases] = True
        self.first_name = np.cumsum([0] + card["n_names"])

    def without(self, held: np.ndarray) -> "Bank":
        """The same with pictures that training never looks at.

        Args:
            held: their numbers.
        """
        rest = copy.copy(self)
        rest.weight = self.weight.copy()
        rest.weight[held] = 0.0
        kept = ~np.isin(self.groups, held).any(1)
        rest.groups, rest.mosaic_rows = self.groups[kept], self.mosaic_rows[kept]
        return rest

    def spread(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of a third of the whole pictures' features."""
        seen, _ = self.views[0].get(np.arange(0, len(self.views[0]), 3))
        return seen.mean(0), seen.std(0)
