"""What trained towers are worth on the dev sets, before they are made files."""

from pathlib import Path

import numpy as np
import torch
from attributes import measure as measure_attributes
from evaluate import Dev, measure_coco, measure_flickr, measure_nouns, measure_web
from export import EVERY, TILE_WEIGHT, Sample, fit_projection
from finetune import Towers
from lessons import Lessons
from metrics import best_tile, recall
from pictures import class_files, class_query, read_pictures
from torch import Tensor
from towers import Committee
from typos import misspelt
from words import load_tokenizer, tokens


class Judged:
    """Trained towers in the shape of `evaluate.Shipped`.

    Args:
        towers: finished.
        lessons: what the projection and the hubs' captions are taken from.
    """

    def __init__(self, towers: Towers, lessons: Lessons):
        self.card = {"tile_weight": TILE_WEIGHT}
        self.towers, self.device = towers, lessons.device
        self.tokenizer = load_tokenizer()
        self.committee = joined(towers)
        fit_projection(self.committee, sample(towers, lessons))

    @torch.inference_mode()
    def see(self, pixels: np.ndarray) -> np.ndarray:
        """uint8 [n,224,224,3] -> float32 [n,t,d]."""
        some = torch.from_numpy(np.ascontiguousarray(pixels)).split(256)
        tiles = [self.committee.see(self.towers.eye(part.to(self.device))) for part in some]
        return torch.cat(tiles).float().cpu().numpy()

    @torch.inference_mode()
    def read(self, texts: list[str]) -> np.ndarray:
        """N texts -> float32 [n,d]."""
        out = []
        for start in range(0, len(texts), 256):
            ids, mask = tokens(self.tokenizer, texts[start : start + 256])
            read = self.towers.words(ids.to(self.device), mask.to(self.device))
            out.append(self.committee.read(read))
        return torch.cat(out).float().cpu().numpy()


def joined(towers: Towers) -> Committee:
    """The members side by side, without a base."""
    committee = Committee(list(towers.members), towers.classifier, base_weight=0.0)
    return committee.to(next(towers.parameters()).device).eval()


@torch.inference_mode()
def sample(towers: Towers, lessons: Lessons) -> Sample:
    """One training picture and caption in `EVERY`, as the towers see and read them."""
    seen: list[Tensor] = [towers.eye(some) for some in lessons.pictures[::EVERY].split(256)]
    ids = lessons.captions.ids[::EVERY, 0].long()
    read = [towers.words(some, (some > 0).long()) for some in ids.split(256)]
    return Sample(torch.cat(seen).clone(), torch.cat(read).clone())


def measure(towers: Towers, lessons: Lessons, data: Path) -> dict:
    """The figures of the model card, and names with one wrong letter."""
    model = Judged(towers, lessons)
    dev = Dev(model, data)
    paths = class_files(data)
    rng = np.random.default_rng(0)
    typed = [misspelt(class_query(path).lower(), rng) for path in paths]
    tiles = model.see(read_pictures(paths))
    return {
        "flickr8k_dev": measure_flickr(model, data, dev, TILE_WEIGHT)["best_tile"],
        "web_dev": measure_web(model, dev, TILE_WEIGHT)["best_tile"],
        "coco_mini": measure_coco(model, data, dev, TILE_WEIGHT),
        "attributes": measure_attributes(model, *dev.everything()),
        "names": measure_nouns(model, data, TILE_WEIGHT)["best_tile"],
        "misspelt_names": recall(
            best_tile(model.read(typed), tiles, TILE_WEIGHT), np.arange(len(paths))
        ),
    }
