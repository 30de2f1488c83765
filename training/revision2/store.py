"""What `cache.py` wrote, ready for training."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from words import Words


@dataclass(frozen=True)
class Texts:
    """Texts at the seam of the word tower.

    Attributes:
        hidden: half [n,l,384].
        length: int [n].
        sentence: float [n,384], the published model's unit vectors.
    """

    hidden: np.ndarray
    length: np.ndarray
    sentence: np.ndarray

    def through(self, words: Words, rows: np.ndarray, chunk: int = 192) -> Tensor:
        """Unit sentence vectors [len(rows),384], each chunk padded to its own longest."""
        order = np.argsort(self.length[rows], kind="stable")
        out = []
        for part in np.array_split(rows[order], max(1, len(rows) // chunk)):
            longest = int(self.length[part].max())
            hidden = torch.from_numpy(self.hidden[part][:, :longest].astype(np.float32))
            mask = torch.arange(longest)[None] < torch.from_numpy(self.length[part])[:, None]
            out.append(functional.normalize(words.upper(hidden, mask.long()), dim=-1))
        return torch.cat(out)[torch.from_numpy(np.argsort(order))]


def load_texts(folder: Path, name: str) -> Texts:
    """Texts cached under that name."""
    keys = ("hidden", "length", "sentence")
    return Texts(*(np.load(folder / f"{name}_words.{key}.npy", mmap_mode="r") for key in keys))


class Seams:
    """Pictures at the seam of the backbone, and the trained half's way from there to tiles.

    Args:
        folder: what `cache.py` filled.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self.scale, self.zero = np.load(folder / "seam.range.npy").tolist()

    def codes(self, *names: str) -> list[np.ndarray]:
        """Bytes [n,c,7,7] for each name."""
        return [np.load(self.folder / f"{name}.seam.npy") for name in names]

    def floats(self, codes: np.ndarray) -> Tensor:
        """Bytes as the numbers they stand for."""
        return (torch.from_numpy(codes).float() - self.zero) * self.scale

    def pool(self, upper: nn.Module, windows: Tensor, codes: np.ndarray) -> Tensor:
        """Bytes [n,c,7,7] through the trained half: [n,t,1280], with a gradient if one is on."""
        grid = upper(self.floats(codes)).flatten(2)  # [n,1280,49]
        return (grid @ windows).transpose(1, 2)

    def pool_all(self, upper: nn.Module, windows: Tensor, codes: np.ndarray) -> Tensor:
        """The same for many pictures, without a gradient, as halves."""
        with torch.inference_mode():
            parts = [
                self.pool(upper, windows, codes[i : i + 128]).half()
                for i in range(0, len(codes), 128)
            ]
        return torch.cat(parts).clone()
