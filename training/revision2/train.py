"""Trains both towers on a CPU, in two stages, from what `cache.py` wrote.

    python training/train.py --data DIR --out DIR [--held 300] [--blocks]

Stage one trains MiniLM's upper layers and both heads, the pictures' features standing still.
Stage two trains the heads on, by many small steps, the words standing still; `--blocks` lets it
train EfficientNet's last blocks as well. `--held N` keeps N ImageNet classes' pictures out, to
measure nouns honestly.
"""

import argparse
import logging
import math
import time
from pathlib import Path

import numpy as np
import torch
from backbone import Backbone
from batches import CLASS_VIEWS, VIEWS, Labels, Plan, Step
from cache import LITE, N_UPPER_BLOCKS, N_UPPER_LAYERS, read_words, save
from losses import both_ways, one_way, same, soft_best
from store import Seams, Texts, load_texts
from torch import Tensor, nn
from torch.nn import functional
from towers import ImageHead, TextHead, pooling
from words import WIDTH, Words, load_tokenizer

WORDS = Plan(epochs=12, batch=768, n_captions=1)
HEADS = Plan(
    epochs=8,
    batch=256,
    n_captions=5,
    n_classes=64,
    n_concepts=64,
    n_mosaics=48,
    head_rate=6e-4,
    tower_rate=3e-4,
)
KEEP_MEANING = 0.5
logger = logging.getLogger(__name__)


class Model(nn.Module):
    """Everything that is trained, and the logits' scale."""

    def __init__(self, mean: Tensor, deviation: Tensor, dim: int = WIDTH):
        super().__init__()
        backbone = Backbone(LITE, N_UPPER_BLOCKS)
        self.upper = backbone.upper.eval()
        self.words = Words(N_UPPER_LAYERS)
        self.image_head = ImageHead(mean, deviation, backbone.classifier, dim)
        self.text_head = TextHead(dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.register_buffer("windows", pooling())


class Trainer:
    """Both stages over one model.

    Args:
        data: the data folder.
        folder: what `cache.py` filled; checkpoints go there.
        n_held: ImageNet classes whose pictures stay out.
    """

    def __init__(self, data: Path, folder: Path, n_held: int):
        self.labels, self.seams = Labels(data, folder, n_held), Seams(folder)
        self.folder = folder
        features = torch.from_numpy(np.load(folder / "train.mean.npy").astype(np.float32))
        self.model = Model(features.mean(0), features.std(0))
        self.captions = load_texts(folder, "train")
        tokenizer = load_tokenizer()
        for name, texts in (("names", self.labels.names), ("concepts", self.labels.concepts)):
            save(folder, f"{name}_words", **read_words(self.model.words.eval(), tokenizer, texts))
        self.names, self.concepts = load_texts(folder, "names"), load_texts(folder, "concepts")
        self.train_codes = self.seams.codes(*("train" + view for view in VIEWS))
        self.class_codes = self.seams.codes(*CLASS_VIEWS)
        (self.mosaic_codes,) = self.seams.codes("train_mosaic")
        self.rng = np.random.default_rng(0)

    def rename_classes(self) -> None:
        """Gives the picture head the class names as the text tower now reads them."""
        self.model.words.eval()
        with torch.no_grad():
            first = self.labels.first_name[:-1]
            self.model.image_head.rename(
                self.model.text_head(self.names.through(self.model.words, first))
            )
        self.model.words.train()

    def loss(
        self, step: Step, tiles: Tensor, mosaic: Tensor, texts: Tensor, asked: Tensor
    ) -> Tensor:
        """All contrastive terms of one step.

        Args:
            step: its row numbers.
            tiles: pictures then classes, unit [b+c,t,d].
            mosaic: unit [m,t,d].
            texts: captions then names, unit [b*k+c,d].
            asked: concepts, unit [q,d].
        """
        scale = self.model.log_scale.exp()
        pictures, owners = self.labels.numbers(step)
        right = same(pictures, owners)
        loss = both_ways(tiles[:, 0] @ texts.T * scale, right)
        loss = loss + both_ways(soft_best(tiles, texts, scale), right)
        known = torch.from_numpy(step.pictures)
        right = self.labels.concept_of[torch.from_numpy(step.concepts)][:, known]
        loss = loss + 0.3 * one_way(asked @ tiles[: len(known), 0].T * scale, right)
        members = torch.from_numpy(self.labels.groups[step.mosaics].reshape(-1))  # [m*4]
        inside = torch.isin(members, known)
        cells = mosaic[:, 1:5].reshape(-1, mosaic.shape[-1])[inside]
        captions = texts[: len(step.captions)]
        right = same(members[inside], owners[: len(step.captions)])
        return loss + 0.3 * both_ways(cells @ captions.T * scale, right)

    def pool_everything(self) -> tuple[list[Tensor], list[Tensor], Tensor]:
        """Tile features of train pictures, class pictures and mosaics, the backbone as it is."""
        upper, windows = self.model.upper, self.model.windows
        pool = self.seams.pool_all
        return (
            [pool(upper, windows, codes) for codes in self.train_codes],
            [pool(upper, windows, codes) for codes in self.class_codes],
            pool(upper, windows, self.mosaic_codes),
        )

    def train_words(self, plan: Plan, pooled: tuple) -> None:
        """Stage one: text layers and heads, the pictures' features standing still."""
        model = self.model
        pictures, classes, mosaics = pooled
        layers = list(model.words.upper_layers.parameters())
        for count, step in self._steps(plan, layers):
            if count % 5 == 0:
                self.rename_classes()
            captions = self.captions.through(model.words, step.captions)
            names = self.names.through(model.words, step.names)
            concepts = self.concepts.through(model.words, step.concepts)
            seen = torch.cat(
                [pictures[step.view][step.pictures], classes[step.class_view][step.classes]]
            )
            loss = self.loss(
                step,
                model.image_head(seen.float()),
                model.image_head(mosaics[step.mosaics].float()),
                model.text_head(torch.cat([captions, names])),
                model.text_head(concepts),
            )
            strayed = _strayed(names, self.names, step.names)
            strayed = strayed + _strayed(concepts, self.concepts, step.concepts)
            self._descend(loss + KEEP_MEANING * strayed)

    def train_heads(self, plan: Plan, pooled: tuple | None) -> None:
        """Stage two: the heads, by many small steps, every text read beforehand.

        Args:
            plan: how long.
            pooled: the pictures' features; without them the backbone's last blocks train too.
        """
        model = self.model
        model.words.eval()
        with torch.no_grad():
            captions, names, concepts = (
                texts.through(model.words, np.arange(len(texts.length)))
                for texts in (self.captions, self.names, self.concepts)
            )
        model.upper.requires_grad_(pooled is None)
        first = self.labels.first_name[:-1]
        for _, step in self._steps(plan, [] if pooled else list(model.upper.parameters())):
            with torch.no_grad():
                model.image_head.rename(model.text_head(names[first]))
            tiles = model.image_head(self._features(step, pooled))
            n_plain = len(step.pictures) + len(step.classes)
            texts = torch.cat([captions[step.captions], names[step.names]])
            asked = model.text_head(concepts[step.concepts])
            self._descend(
                self.loss(step, tiles[:n_plain], tiles[n_plain:], model.text_head(texts), asked)
            )
        with torch.no_grad():
            model.image_head.rename(model.text_head(names[first]))

    def _features(self, step: Step, pooled: tuple | None) -> Tensor:
        """Tile features of a step's pictures, classes and mosaics: [b+c+m,t,1280]."""
        rows = (step.pictures, step.classes, step.mosaics)
        views = (
            (self.train_codes, self.class_codes, self.mosaic_codes) if pooled is None else pooled
        )
        chosen = (views[0][step.view], views[1][step.class_view], views[2])
        parts = [view[row] for view, row in zip(chosen, rows, strict=True)]
        if pooled is not None:
            return torch.cat(parts).float()
        return self.seams.pool(self.model.upper, self.model.windows, np.concatenate(parts))

    def _steps(self, plan: Plan, tower: list[nn.Parameter]):
        """Yields (count, step) over all epochs, with an optimiser and a one-cycle schedule."""
        model = self.model
        heads = [
            p
            for part in (model.image_head, model.text_head)
            for p in part.parameters()
            if p.requires_grad
        ]
        self.optimiser = torch.optim.AdamW(
            [
                {"params": heads, "weight_decay": 0.1},
                {"params": [model.log_scale], "weight_decay": 0.0},
                {"params": tower, "weight_decay": 0.01},
            ]
        )
        n_steps = plan.epochs * -(-self.labels.n_pictures // plan.batch)
        rates = [plan.head_rate, plan.head_rate, plan.tower_rate]
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, rates, total_steps=n_steps, pct_start=0.15
        )
        start, count = time.perf_counter(), 0
        for epoch in range(plan.epochs):
            model.image_head.train()
            model.text_head.train()
            for step in self.labels.steps(plan, self.rng):
                yield count, step
                count += 1
            seconds = time.perf_counter() - start
            logger.info("epoch %d, loss %.3f, %.0f s", epoch + 1, self.last_loss, seconds)

    def _descend(self, loss: Tensor) -> None:
        """One optimiser step."""
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.last_loss = float(loss)

    def save(self, name: str) -> None:
        """Writes the model's weights as `<name>.pt` into the folder."""
        torch.save(self.model.eval().state_dict(), self.folder / f"{name}.pt")


def _strayed(now: Tensor, texts: Texts, rows: np.ndarray) -> Tensor:
    """How far sentence vectors have moved from the published ones: 1 - cosine, mean."""
    before = torch.from_numpy(texts.sentence[rows])
    return 1.0 - functional.cosine_similarity(now, before, dim=-1).mean()


def main() -> None:
    """Trains and writes `model.pt`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="the folder cache.py filled")
    parser.add_argument("--held", type=int, default=0)
    parser.add_argument("--blocks", action="store_true", help="train the last blocks too")
    args = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.manual_seed(0)
    trainer = Trainer(args.data, args.out, args.held)
    pooled = trainer.pool_everything()
    trainer.train_words(WORDS, pooled)
    trainer.rename_classes()
    trainer.save("words")
    trainer.train_heads(HEADS, None if args.blocks else pooled)
    trainer.save("model")


if __name__ == "__main__":
    main()
