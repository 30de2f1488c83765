"""Trains the heads of both towers on a CPU, from what `cache.py` wrote.

    python training/train.py --out DIR
    python training/train.py --quick PICTURES --out DIR --target MODEL

The second form makes an encoder for a person's own captioned pictures in minutes: `own.py`.
"""

import argparse
import math
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from bank import Bank
from eye import N_SEEN
from losses import both_ways, one_way, same, soft_best
from torch import Tensor, nn
from torch.nn import functional
from towers import N_CLASSES, WINDOWS, Member

N_TILES = len(WINDOWS)
PARTS = slice(1, None)
"""All tiles but the whole picture."""
CLASS_OFFSET = 1_000_000
"""Class pictures are numbered from here, so that they never meet another picture's number."""


@dataclass(frozen=True)
class Recipe:
    """How one member trains.

    Attributes:
        epochs: passes over the pictures, each as often as its set's weight.
        batch: pictures a step, two captions each.
        n_classes: ImageNet pictures a step.
        n_tiled: pictures of every other step that are scored by their best tile as well.
        n_phrases: short phrases a step.
        n_mosaics: mosaics of every other step.
        tile_share: at most so much of a tile is mixed into a whole picture's features.
        rate: peak learning rate.
        wrong_weight: of the loss that a caption's wrong twin must score lower.
        named: how much ImageNet's class names add to a picture's vector.
    """

    epochs: int = 14
    batch: int = 512
    n_classes: int = 128
    n_tiled: int = 128
    n_phrases: int = 96
    n_mosaics: int = 64
    tile_share: float = 0.3
    rate: float = 1e-3
    wrong_weight: float = 0.3
    named: float = 1.0


class Batch:
    """What one step looks at; pictures and texts are gathered, then passed in one go.

    Args:
        bank: all that training reads.
        recipe: how many of each.
        pictures: int [b].
        whole: whether this is a step without tiles and mosaics.
    """

    def __init__(self, bank: Bank, recipe: Recipe, pictures: np.ndarray, whole: bool):
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        self.pictures = pictures
        picks = rng.random((len(pictures), 2)) * bank.n_captions[pictures][:, None]
        self.captions = (bank.first_caption[pictures][:, None] + picks.astype(int)).reshape(-1)
        n_classes = recipe.n_classes if bank.classes else 0
        self.classes = rng.choice(1000, n_classes, replace=False)
        n_phrases = min(recipe.n_phrases, len(bank.phrases))
        self.phrases = rng.choice(len(bank.phrases), n_phrases, replace=False)
        self.tiled = pictures[: 0 if whole else recipe.n_tiled]
        n_mosaics = min(0 if whole else recipe.n_mosaics, len(bank.groups))
        chosen = rng.choice(len(bank.groups), n_mosaics, replace=False)
        self.mosaics = bank.mosaic_rows[chosen]
        self.members = bank.groups[chosen].reshape(-1)
        picks = rng.random(len(self.members)) * bank.n_captions[self.members]
        self.cells = bank.first_caption[self.members] + picks.astype(int)
        self.view = bank.views[rng.integers(len(bank.views))]
        self.bank, self.rng, self.share = bank, rng, recipe.tile_share

    def seen(self) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        """Features and class probabilities of wholes, and of parts.

        Wholes: pictures, classes, mosaics, and the pictures in the mosaics. Parts: of the first
        pictures, of the mosaics.
        """
        whole, named = self.view.get(self.pictures)
        tile, _ = self.view.get(self.pictures, self.rng.integers(1, N_TILES, len(self.pictures)))
        share = self.share * torch.rand(len(whole), 1)
        wholes = [((1 - share) * whole + share * tile, named)]
        if len(self.classes):
            view = self.bank.classes[self.rng.integers(len(self.bank.classes))]
            wholes.append(view.get(self.classes))
        parts = [self.view.get(self.tiled, PARTS)] if len(self.tiled) else []
        if len(self.mosaics):
            wholes += [self.bank.mosaics.get(self.mosaics), self.bank.views[0].get(self.members)]
            parts.append(self.bank.mosaics.get(self.mosaics, PARTS))
        return _joined(wholes), _joined(parts)

    def read(self) -> tuple[list[Tensor], Tensor]:
        """Texts: captions, names, phrases, cells' captions, wrong twins; who has a twin."""
        bank = self.bank
        counts = np.diff(bank.first_name)[self.classes]
        rows = bank.first_name[self.classes] + (self.rng.random(len(counts)) * counts).astype(int)
        names = bank.names[rows] if self.rng.random() < 0.7 else bank.photo[self.classes]
        twins = bank.wrong_of[self.captions]
        has_twin = torch.from_numpy(twins >= 0)
        parts = [bank.captions[self.captions], names, bank.phrases[self.phrases]]
        parts += [bank.captions[self.cells], bank.wrong[twins[twins >= 0]]]
        return parts, has_twin


def _joined(features: list[tuple[Tensor, Tensor]]) -> tuple[Tensor, Tensor]:
    if not features:
        return torch.zeros(0, N_SEEN), torch.zeros(0, N_CLASSES)
    seen, named = zip(*features, strict=True)
    return torch.cat(seen), torch.cat(named)


class Trainer:
    """One member's training.

    Args:
        bank: all that training reads.
        recipe: how.
        seed: of weights, order and drop-out.
    """

    def __init__(self, bank: Bank, recipe: Recipe, seed: int):
        torch.manual_seed(seed)
        self.bank, self.recipe = bank, recipe
        self.member = Member(*bank.spread(), recipe.named)
        self.log_scale = nn.Parameter(torch.tensor(math.log(20.0)))
        self.optimiser = torch.optim.AdamW(
            [
                {"params": list(self.member.parameters()), "weight_decay": 0.1},
                {"params": [self.log_scale], "weight_decay": 0.0},
            ]
        )
        n_steps = recipe.epochs * self.n_steps_of_epoch()
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, recipe.rate, total_steps=n_steps + 1, pct_start=0.15
        )

    def n_steps_of_epoch(self) -> int:
        """Steps of an epoch, at most."""
        return max(1, int(self.bank.weight.sum()) // self.recipe.batch)

    def steps(self) -> list[np.ndarray]:
        """Pictures of each step of one epoch, all kinds mixed.

        A picture comes as often as its weight says, a part of a time by chance.
        """
        weight = self.bank.weight
        times = (weight + torch.rand(len(weight)).numpy()).astype(int)
        rows = np.repeat(np.arange(len(weight)), times)
        rows = rows[torch.randperm(len(rows)).numpy()]
        size = self.recipe.batch
        return [rows[i * size : (i + 1) * size] for i in range(self.n_steps_of_epoch())]

    def rename(self) -> None:
        """Gives the picture head the class names as the text head now reads them."""
        first = self.bank.names[self.bank.first_name[:-1]].float()
        with torch.no_grad():
            self.member.pictures.rename(self.member.words(first))

    def run(self) -> Member:
        """Trains to the end."""
        began = time.perf_counter()
        for epoch in range(self.recipe.epochs):
            for step, rows in enumerate(self.steps()):
                if step % 8 == 0:
                    self.rename()
                loss = self.loss(Batch(self.bank, self.recipe, rows, whole=step % 2 == 1))
                self.optimiser.zero_grad()
                loss.backward()
                self.optimiser.step()
                self.schedule.step()
            seconds = time.perf_counter() - began
            print(f"epoch {epoch}: loss {loss.item():.3f}, {seconds:.0f} s", flush=True)
        self.rename()
        return self.member.eval().requires_grad_(False)

    def loss(self, batch: Batch) -> Tensor:
        """All terms of one step."""
        texts_of, has_twin = batch.read()
        (wholes, parts), read = batch.seen(), torch.cat(texts_of).float()
        with torch.autocast("cpu", torch.bfloat16):
            whole, part = self.member.pictures(*wholes), self.member.parts(*parts)
            texts = self.member.words(read)
        captions, names, phrases, cells, wrong = texts.split([len(some) for some in texts_of])
        n_mosaics = len(batch.mosaics)
        n_pictures = len(batch.pictures) + len(batch.classes)
        whole, pasted, full = whole.split([n_pictures, n_mosaics, len(batch.members)])
        tiled, quarters = (
            some.view(n, N_TILES - 1, whole.shape[-1])
            for some, n in zip(
                part.split([(N_TILES - 1) * len(batch.tiled), (N_TILES - 1) * n_mosaics]),
                (len(batch.tiled), n_mosaics),
                strict=True,
            )
        )
        owners = self.bank.owner[batch.captions]
        loss = self._whole(batch, whole, torch.cat([captions, names]), (wrong, has_twin))
        scale = self.log_scale.exp()
        if len(batch.phrases):
            shown = self.bank.shown[batch.pictures][:, batch.phrases].T
            logits = scale * phrases @ whole[: len(batch.pictures)].T
            loss = loss + 0.3 * one_way(logits, shown)
        if len(batch.tiled):
            right = same(torch.from_numpy(batch.tiled), torch.from_numpy(owners))
            tiles = torch.cat([whole[: len(tiled), None], tiled], 1)
            loss = loss + both_ways(soft_best(tiles, captions, scale), right)
        if n_mosaics:
            tiles = torch.cat([pasted[:, None], quarters], 1)
            loss = loss + self._mosaics(batch, tiles, cells, full.detach())
        return loss

    def _whole(
        self, batch: Batch, whole: Tensor, texts: Tensor, twins: tuple[Tensor, Tensor]
    ) -> Tensor:
        """Whole pictures and classes against captions, names and captions' wrong twins."""
        wrong, has_twin = twins
        classes = batch.classes + CLASS_OFFSET
        owners = self.bank.owner[batch.captions]
        pictures = torch.from_numpy(np.concatenate([batch.pictures, classes]))
        right = same(torch.from_numpy(np.concatenate([owners, classes])), pictures)
        scale = self.log_scale.exp()
        logits = scale * texts @ whole.T
        against = scale * wrong @ whole.T
        never = torch.zeros_like(against, dtype=torch.bool)
        columns = torch.cat([logits, against]).T
        loss = one_way(logits, right) + one_way(columns, torch.cat([right, never]).T)
        if not len(wrong):
            return loss / 2
        own = right[: len(owners)][has_twin].float().argmax(1, keepdim=True)
        margin = against.gather(1, own) - logits[: len(owners)][has_twin].gather(1, own)
        return loss / 2 + self.recipe.wrong_weight * functional.softplus(margin).mean()

    def _mosaics(self, batch: Batch, tiles: Tensor, cells: Tensor, full: Tensor) -> Tensor:
        """Quarters of mosaics against their own captions and the pictures they came from.

        Args:
            batch: who is in them.
            tiles: the mosaics' vectors [m,t,d], the whole mosaic first.
            cells: a caption of each picture in them, [4m,d].
            full: the vectors of these pictures at full size, [4m,d].
        """
        members = torch.from_numpy(batch.members)
        scale = self.log_scale.exp()
        quarters = tiles[:, 1:5].reshape(-1, tiles.shape[-1])
        right = same(members, members)
        loss = both_ways(scale * quarters @ cells.T, right)
        loss = 0.4 * (loss + both_ways(scale * quarters @ full.T, right))
        order = torch.arange(len(tiles))
        inside = same(order, order.repeat_interleave(4))
        return loss + 0.3 * both_ways(soft_best(tiles, cells, scale), inside)


def train_member(out: Path, bank: Bank, recipe: Recipe, seed: int) -> Member:
    """The member of that seed; kept as `member<seed>.pt` and read from there the next time."""
    path = out / f"member{seed}.pt"
    if path.exists():
        mean, deviation = bank.spread()
        member = Member(mean, deviation)
        member.load_state_dict(torch.load(path, weights_only=True))
        return member.eval().requires_grad_(False)
    member = Trainer(bank, recipe, seed).run()
    torch.save(member.state_dict(), path)
    return member


def recipe_of(seed: int) -> Recipe:
    """The first member has class names and more mosaics, the others captions above all.

    The third trains for a third of the time: such heads are better at captions of other sets.
    """
    if seed == 0:
        return Recipe(n_mosaics=96, n_classes=192)
    return Recipe(n_tiled=96, named=0.0, epochs=14 if seed == 1 else 5)


def main() -> None:
    """Trains the members; with --quick from pictures to a model folder."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="the folder of the cache")
    parser.add_argument("--members", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--quick", type=Path, nargs="+", help="a person's own captioned pictures")
    parser.add_argument("--target", type=Path, help="with --quick: the model folder to write")
    parser.add_argument("--data", type=Path, default=Path("no-data"), help="for class pictures")
    parser.add_argument("--base", type=Path, help="with --quick: another base than the shipped one")
    parser.add_argument("--base-weight", type=float, help="with --quick: how much the base counts")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    if not args.quick:
        bank = Bank(args.out)
        for seed in range(args.members):
            train_member(args.out, bank, recipe_of(seed), seed)
        return
    if not args.target:
        parser.error("--quick needs --target")
    from own import Job, make  # it stands on this module

    job = Job(args.quick, args.data, args.out, args.target, args.threads)
    if args.base:
        job = replace(job, base=args.base)
    if args.base_weight:
        job = replace(job, base_weight=args.base_weight)
    try:
        make(job)
    except (ValueError, OSError) as error:
        parser.exit(1, f"error: {error}\n")


if __name__ == "__main__":
    main()
