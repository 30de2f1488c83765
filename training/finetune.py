"""Trains both towers to the end, on a GPU: the picture network, MiniLM, and two members' heads.

    python training/finetune.py --data DATA --out WORK --seconds 480

How fast the machine is decides how often the pictures are seen; the learning rates fall to nothing
by the end of the time. Every minute the state is kept as `WORK/towers.pt`.
"""

import argparse
import json
import math
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from backbone import Backbone, Block
from eye import Eye
from lessons import Lessons, Sizes, augmented, pasted
from losses import both_ways, one_way, same, soft_best
from networks import LITE
from torch import Tensor, nn
from torch.nn import functional
from towers import N_CLASSES, N_FEATURES, Member
from words import Words

CLASS_OFFSET = 1_000_000
"""Class pictures are numbered from here, so that they never meet another picture's number."""
KEEP_EVERY_S = 60


@dataclass(frozen=True)
class Rates:
    """How fast what learns, and how it is held back.

    Attributes:
        eye, words, heads: peak learning rates.
        decay: weight decay of the heads; the networks have a tenth of it.
        drop: share of pictures that pass by the last block's parts; earlier blocks' is less.
        warm: share of the time in which the rates rise.
        average: of the averaged weights, how much stays a step.
    """

    eye: float = 6e-5
    words: float = 6e-5
    heads: float = 1e-3
    decay: float = 0.1
    drop: float = 0.15
    warm: float = 0.08
    average: float = 0.995


class Towers(nn.Module):
    """What is trained: both networks, ImageNet's classifier, and the members' heads.

    Args:
        mean, deviation: of whole pictures' features, [N_SEEN].
    """

    def __init__(self, mean: Tensor, deviation: Tensor):
        super().__init__()
        backbone = Backbone(LITE)
        self.classifier = backbone.classifier
        self.eye, self.words = Eye(backbone), Words().requires_grad_(True)
        del backbone.classifier
        named = (1.0, 0.0)
        self.members = nn.ModuleList([Member(mean, deviation, gain) for gain in named])

    def drop_blocks(self, share: float) -> None:
        """Lets training pass by blocks, the later the more."""
        blocks = [layer for layer in self.eye.backbone.layers if isinstance(layer, Block)]
        for at, block in enumerate(blocks):
            block.drop = share * at / (len(blocks) - 1)


class Trainer:
    """The training of both towers.

    Args:
        lessons: all that is learnt from.
        sizes: how much a step looks at.
        rates: how fast.
        compiled: whether the picture network is compiled first.
    """

    def __init__(self, lessons: Lessons, sizes: Sizes, rates: Rates, compiled: bool = False):
        self.lessons, self.sizes, self.rates = lessons, sizes, rates
        self.device = lessons.device
        self.towers = Towers(*self._spread()).to(self.device, memory_format=torch.channels_last)
        self.towers.drop_blocks(rates.drop)
        self.class_targets = self._published_classes()
        self.log_scales = nn.Parameter(torch.full((2,), math.log(20.0), device=self.device))
        self.averaged = {k: v.detach().clone() for k, v in self.towers.state_dict().items()}
        self.see = torch.compile(self.towers.eye) if compiled else self.towers.eye
        self.optimiser = self._optimiser()
        self.n_steps = 0

    def _spread(self) -> tuple[Tensor, Tensor]:
        eye = Eye(Backbone(LITE)).to(self.device).eval()
        n = len(self.lessons.pictures)
        with torch.inference_mode():
            some = torch.arange(0, n, max(1, n // 3000)).split(256)
            seen = torch.cat([eye(self.lessons.pictures[rows])[:, 0] for rows in some]).clone()
        return seen.mean(0).cpu(), seen.std(0).cpu()

    def _published_classes(self) -> Tensor:
        """What the published classifier says of each picture, and of the class pictures: half."""
        eye, classifier = self.towers.eye.eval(), self.towers.classifier
        out = []
        with torch.inference_mode(), torch.autocast(self.device, torch.bfloat16):
            for pictures in (self.lessons.pictures, *self.lessons.class_pictures):
                for some in pictures.split(512):
                    logits = classifier(eye(some)[:, 0, :N_FEATURES]).float()
                    out.append(logits.softmax(-1).half())
        return torch.cat(out).clone()

    def _optimiser(self) -> torch.optim.Optimizer:
        rates, towers = self.rates, self.towers
        parts = [
            (list(towers.eye.parameters()) + list(towers.classifier.parameters()), rates.eye, 0.1),
            (list(towers.words.parameters()), rates.words, 0.1),
            (list(towers.members.parameters()), rates.heads, 1.0),
            ([self.log_scales], rates.heads, 0.0),
        ]
        groups = []
        for parameters, rate, decay in parts:
            for held in (True, False):
                some = [p for p in parameters if (p.ndim > 1) == held]
                weight_decay = rates.decay * decay if held else 0.0
                groups.append(
                    {"params": some, "lr": rate, "peak": rate, "weight_decay": weight_decay}
                )
        groups = [group for group in groups if group["params"]]
        return torch.optim.AdamW(groups, fused=self.device == "cuda")

    def pace(self, progress: float) -> None:
        """Sets the learning rates: up in the first part of the time, then down to nothing."""
        warm = self.rates.warm
        if progress < warm:
            factor = 0.05 + 0.95 * progress / warm
        else:
            factor = 0.5 * (1 + math.cos(math.pi * min(1.0, (progress - warm) / (1 - warm))))
        for group in self.optimiser.param_groups:
            group["lr"] = group["peak"] * factor

    def rename(self) -> None:
        """Gives the picture heads the class names as the words are now read."""
        lessons, towers = self.lessons, self.towers
        with torch.no_grad():
            read = towers.words(*_masked(lessons.names.get(lessons.first_name, 0.0)))
            towers.members[0].pictures.rename(towers.members[0].words(read))

    def step(self, rows: Tensor, progress: float) -> float:
        """One step; returns the loss."""
        self.pace(progress)
        if self.n_steps % 8 == 0:
            self.towers.eval()
            self.rename()
        self.towers.train()
        loss = self.loss(rows.to(self.device))
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.towers.parameters(), 5.0)
        self.optimiser.step()
        self.n_steps += 1
        keep = min(self.rates.average, (1 + self.n_steps) / (10 + self.n_steps))
        state = self.towers.state_dict()
        floats = [k for k, v in state.items() if v.is_floating_point()]
        torch._foreach_lerp_(
            [self.averaged[k] for k in floats], [state[k] for k in floats], 1 - keep
        )
        return loss

    def loss(self, rows: Tensor) -> Tensor:
        """All terms of one step, for the pictures `rows`."""
        lessons, sizes, device = self.lessons, self.sizes, self.device
        n = len(rows)
        classes = torch.randperm(N_CLASSES, device=device)[: sizes.classes]
        view = int(torch.randint(2, ()))
        shown = torch.cat([lessons.pictures[rows], lessons.class_pictures[view, classes]])
        groups = torch.randperm(n, device=device)[: 4 * min(sizes.mosaics, n // 4)]
        pixels = torch.cat([augmented(shown), pasted(lessons.pictures[rows[groups]])])
        texts = _StepTexts(lessons, sizes, rows, classes)
        with torch.autocast(device, torch.bfloat16):
            seen = self.see(pixels)
            read = self.towers.words(*_masked(texts.ids))
        seen, read = seen.float(), read.float()
        logits = self.towers.classifier(seen[: n + len(classes), 0, :N_FEATURES])
        offset = len(lessons.pictures) + view * N_CLASSES
        published = self.class_targets[torch.cat([rows, offset + classes])].float()
        true = functional.one_hot(classes, N_CLASSES)
        published[n:] = 0.5 * published[n:] + 0.5 * true
        loss = 0.5 * functional.cross_entropy(logits, published)
        with torch.no_grad():
            named = self.towers.classifier(seen[:, :1, :N_FEATURES]).softmax(-1)
        for at, member in enumerate(self.towers.members):
            with torch.autocast(device, torch.bfloat16):
                whole = member.pictures(seen[:, 0], named[:, 0])
                parts = member.parts(seen[:, 1:], named[:, 0])
                vectors = member.words(read)
            vectors = dict(zip(texts.kinds, vectors.split(texts.counts), strict=True))
            scale = self.log_scales[at].exp().clamp(max=100.0)
            loss = loss + _member_loss(texts, whole, parts, vectors, scale, groups)
        return loss

    def run(self, seconds: float, keep: Path | None = None) -> None:
        """Trains for so long.

        Args:
            seconds: from now on.
            keep: the file to keep the state in.
        """
        began = kept = time.perf_counter()
        for rows in self.lessons.epochs(self.sizes.pictures):
            now = time.perf_counter()
            if now - began > seconds:
                break
            loss = self.step(rows, (now - began) / seconds)
            if self.n_steps % 50 == 0:
                scales = self.log_scales.exp().tolist()
                seen = self.n_steps * self.sizes.pictures / float(self.lessons.weight.sum())
                print(
                    f"{now - began:.0f} s, step {self.n_steps}, {seen:.1f} passes: "
                    f"loss {loss.item():.3f}, scales {scales[0]:.1f} {scales[1]:.1f}",
                    flush=True,
                )
            if keep and now - kept > KEEP_EVERY_S:
                kept = now
                self.keep(keep)
        if keep:
            self.keep(keep)

    def finished(self) -> Towers:
        """The averaged weights, with the class names as they are read."""
        self.towers.load_state_dict(self.averaged)
        self.towers.eval()
        self.rename()
        return self.towers

    def keep(self, path: Path) -> None:
        """Writes the averaged weights, as halves."""
        state = {k: v.half() if v.is_floating_point() else v for k, v in self.averaged.items()}
        torch.save(state, path)


class _StepTexts:
    """The texts of one step: captions, names, phrases, wrong twins, words and misspelt words."""

    kinds = ("captions", "names", "phrases", "wrong", "right_words", "misspelt")

    def __init__(self, lessons: Lessons, sizes: Sizes, rows: Tensor, classes: Tensor):
        device = lessons.device
        picks = torch.rand(len(rows), 2, device=device) * lessons.n_captions[rows][:, None]
        captions = lessons.first_caption[rows][:, None] + picks.long()
        self.keys = lessons.caption_key[captions]  # [b,2]
        captions = captions.reshape(-1)
        twins = lessons.wrong_of[captions]
        self.has_twin = twins >= 0
        counts = lessons.n_names[classes]
        names = (
            lessons.first_name[classes] + (torch.rand(len(classes), device=device) * counts).long()
        )
        plain = bool(torch.rand(()) < 0.7)
        name_ids = lessons.names.get(names) if plain else lessons.photos.get(classes)
        self.phrases = torch.randperm(len(lessons.phrases), device=device)[: sizes.phrases]
        words = torch.randperm(len(lessons.vocabulary), device=device)[: sizes.words]
        ids = [
            lessons.captions.get(captions),
            name_ids,
            lessons.phrases.get(self.phrases),
            lessons.wrong.get(twins[self.has_twin], 0.0),
            lessons.vocabulary.get(words, 0.0),
            lessons.vocabulary.get(words, 1.0),
        ]
        self.counts = [len(some) for some in ids]
        self.ids = torch.cat(ids)
        self.rows, self.classes = rows, classes
        self.shown = lessons.shown[rows][:, self.phrases]


def _masked(ids: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids and which of them count."""
    return ids, (ids > 0).long()


def _member_loss(
    texts: _StepTexts,
    whole: Tensor,
    parts: Tensor,
    vectors: dict[str, Tensor],
    scale: Tensor,
    groups: Tensor,
) -> Tensor:
    """One member's terms.

    Args:
        texts: of the step.
        whole: unit vectors [b+c+m,d] of pictures, class pictures and mosaics.
        parts: of their tiles [b+c+m,5,d].
        vectors: of each kind of text.
        scale: of the logits.
        groups: which of the step's pictures are in the mosaics, four by four.
    """
    n, n_classes = len(texts.rows), len(texts.classes)
    n_pictures = n + n_classes
    captions = vectors["captions"]
    owners = texts.rows.repeat_interleave(2)
    classes = texts.classes + CLASS_OFFSET
    right = same(torch.cat([owners, classes]), torch.cat([texts.rows, classes]))
    keys = texts.keys.reshape(-1)
    alike = (keys[:, None, None] == texts.keys[None]).any(-1)  # [2b,b]
    right[: 2 * n, :n] |= alike
    logits = scale * torch.cat([captions, vectors["names"]]) @ whole[:n_pictures].T
    against = scale * vectors["wrong"] @ whole[:n_pictures].T
    never = torch.zeros_like(against, dtype=torch.bool)
    columns = torch.cat([logits, against]).T
    loss = (one_way(logits, right) + one_way(columns, torch.cat([right, never]).T)) / 2
    own = torch.arange(n, device=whole.device).repeat_interleave(2)[texts.has_twin][:, None]
    margin = against.gather(1, own) - logits[: 2 * n][texts.has_twin].gather(1, own)
    loss = loss + 0.3 * functional.softplus(margin).mean()
    loss = loss + 0.3 * one_way(scale * vectors["phrases"] @ whole[:n].T, texts.shown.T)
    tiles = torch.cat([whole[:n, None], parts[:n]], 1)
    some = slice(0, n // 2)
    loss = loss + both_ways(soft_best(tiles[some], captions, scale), right[: 2 * n, some].T)
    kept = 1 - (vectors["misspelt"] * vectors["right_words"].detach()).sum(-1)
    return loss + _mosaic_loss(whole, parts, captions, scale, groups, n_pictures) + kept.mean()


def _mosaic_loss(
    whole: Tensor, parts: Tensor, captions: Tensor, scale: Tensor, groups: Tensor, first: int
) -> Tensor:
    """Quarters of mosaics against their own captions and the pictures they came from.

    Args:
        whole: as for `_member_loss`.
        parts: as there.
        first: the row of the first mosaic.
        captions: two of each of the step's pictures.
        scale: of the logits.
        groups: which of the step's pictures are in them.
    """
    full, cells = whole[groups].detach(), captions[2 * groups]
    tiles = torch.cat([whole[first:, None], parts[first:]], 1)
    quarters = tiles[:, 1:5].reshape(-1, tiles.shape[-1])
    right = same(groups, groups)
    loss = both_ways(scale * quarters @ cells.T, right)
    loss = 0.4 * (loss + both_ways(scale * quarters @ full.T, right))
    order = torch.arange(len(tiles), device=whole.device)
    inside = same(order, order.repeat_interleave(4))
    return loss + 0.3 * both_ways(soft_best(tiles, cells, scale), inside)


def main() -> None:
    """Trains, measures on the dev sets, and keeps the towers."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=480)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compile", action="store_true", help="compile the picture network")
    parser.add_argument("--sets", nargs="+", help="all when not given")
    parser.add_argument("--pictures", type=int, default=512, help="a step")
    for name, value in asdict(Rates()).items():
        parser.add_argument(f"--{name}", type=float, default=value)
    args = parser.parse_args()
    torch.manual_seed(0)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    began = time.perf_counter()
    lessons = Lessons(args.data, args.device, args.sets)
    print(f"{time.perf_counter() - began:.0f} s: {len(lessons.pictures)} pictures", flush=True)
    rates = Rates(**{name: getattr(args, name) for name in asdict(Rates())})
    trainer = Trainer(lessons, Sizes(pictures=args.pictures), rates, args.compile)
    print(f"{time.perf_counter() - began:.0f} s: begins", flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    trainer.run(args.seconds, args.out / "towers.pt")
    from judge import measure  # it needs the training packages of evaluation

    print(json.dumps(measure(trainer.finished(), lessons, args.data)), flush=True)


if __name__ == "__main__":
    main()
