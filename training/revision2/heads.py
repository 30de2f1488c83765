"""One member of the committee: a head for pictures and a head for words, trained together."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as fn

DIM = 384
HIDDEN = 512
EPOCHS = 6
BATCH = 1024
LEARNING_RATE = 1e-3
N_CLASSES, N_CONCEPTS = 384, 64  # a batch's share of class pictures and of short queries
TILE_SHARE = 0.3  # at most so much of a tile is mixed into a picture's features
SPLIT_SEED = 7  # of the classes that are kept out, as in train.py


@dataclass
class Features:
    """What the frozen towers make of the training data.

    Attributes:
        pictures: [2, n, t, p] pooled features of the train pictures, plain and mirrored.
        captions: [m, w] unit features of the captions.
        owner: [m] the picture of each caption.
        classes: [4, c, t, p] of the class pictures: whole, mirrored, centre, centre mirrored.
        names: [2, c, w] of the class names, plain and as "a photo of a ...".
        concepts: [q, w] of the short queries.
        relevant: for each short query, its pictures.
    """

    pictures: Tensor
    captions: Tensor
    owner: Tensor
    classes: Tensor
    names: Tensor
    concepts: Tensor
    relevant: list[list[int]]


class Head(nn.Module):
    """A linear map beside a small perceptron; unit rows."""

    def __init__(self, n_in: int, mean: Tensor, scale: Tensor, drop: float):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.linear = nn.Linear(n_in, DIM)
        self.expand = nn.Linear(n_in, HIDDEN)
        self.contract = nn.Linear(HIDDEN, DIM)
        self.drop_in, self.drop_hidden = nn.Dropout(drop), nn.Dropout(0.3)

    def forward(self, x: Tensor) -> Tensor:
        """[..., n_in] -> [..., DIM]."""
        x = self.drop_in((x - self.mean) * self.scale)
        hidden = self.drop_hidden(fn.gelu(self.expand(x)))
        return fn.normalize(self.linear(x) + self.contract(hidden), dim=-1)


class Member(nn.Module):
    """A pair of heads."""

    def __init__(self, features: Features):
        super().__init__()
        wholes = features.pictures[0][:, 0]
        n_words = features.captions.shape[1]
        self.pictures = Head(wholes.shape[1], wholes.mean(0), 1 / (wholes.std(0) + 0.05), drop=0.3)
        self.words = Head(
            n_words, torch.zeros(n_words), torch.full((n_words,), n_words**0.5), drop=0.2
        )


def kept_classes(n: int, held: int) -> Tensor:
    """Classes whose pictures may be trained on."""
    order = np.random.default_rng(SPLIT_SEED).permutation(n)
    return torch.from_numpy(np.sort(order[held:]))


def train_member(features: Features, seed: int, held: int) -> Member:
    """Trains one member with a symmetric contrastive loss, several positives a row.

    Args:
        features: of the train split only.
        seed: of weights, order and drop-out.
        held: how many classes' pictures are kept out.
    """
    torch.manual_seed(seed)
    member = Member(features)
    log_scale = nn.Parameter(torch.tensor(np.log(20.0), dtype=torch.float32))
    optimiser = torch.optim.AdamW(
        [
            {"params": list(member.parameters()), "weight_decay": 0.1},
            {"params": [log_scale], "weight_decay": 0.0},
        ],
        lr=LEARNING_RATE,
    )
    steps = len(features.captions) // BATCH
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=EPOCHS * steps
    )
    shown = _shown(features)
    kept = kept_classes(features.classes.shape[1], held)
    for _ in range(EPOCHS):
        order = torch.randperm(len(features.captions))
        for step in range(steps):
            rows = order[step * BATCH : (step + 1) * BATCH]
            loss = _loss(member, features, shown, kept, rows, log_scale.exp())
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
    return member.eval().requires_grad_(False)


def _shown(features: Features) -> Tensor:
    """[q, n] bool: whether a picture answers a short query."""
    shown = torch.zeros(len(features.relevant), features.pictures.shape[1], dtype=torch.bool)
    for row, pictures in enumerate(features.relevant):
        shown[row, pictures] = True
    return shown


def _loss(
    member: Member, features: Features, shown: Tensor, kept: Tensor, rows: Tensor, scale: Tensor
) -> Tensor:
    """One batch: captions with their pictures, class names with theirs, short queries."""
    pictures, at = features.owner[rows].unique(return_inverse=True)
    mirrored = torch.randint(0, 2, (len(pictures),))
    whole = features.pictures[mirrored, pictures, 0]
    tile = torch.randint(1, features.pictures.shape[2], (len(pictures),))
    share = TILE_SHARE * torch.rand(len(pictures), 1)
    whole = (1 - share) * whole + share * features.pictures[mirrored, pictures, tile]
    chosen = kept[torch.randperm(len(kept))[:N_CLASSES]]
    way = torch.randint(0, len(features.classes), (N_CLASSES,))
    phrased = torch.randint(0, 2, (N_CLASSES,))
    asked = torch.randint(0, len(features.concepts), (N_CONCEPTS,))
    seen = torch.cat([whole, features.classes[way, chosen, 0]])
    said = torch.cat(
        [features.captions[rows], features.names[phrased, chosen], features.concepts[asked]]
    )
    n, p = len(rows), len(pictures)
    right = torch.zeros(len(said), len(seen))
    right[torch.arange(n), at] = 1
    right[n + torch.arange(N_CLASSES), p + torch.arange(N_CLASSES)] = 1
    right[n + N_CLASSES :, :p] = shown[asked][:, pictures].float()
    scores = scale * member.words(said) @ member.pictures(seen).T
    answered = right.sum(1) > 0
    by_words = -(right / right.sum(1, keepdim=True).clamp(min=1)) * fn.log_softmax(scores, 1)
    named = right[: n + N_CLASSES]  # every picture has a caption or a name there
    by_pictures = -(named / named.sum(0)) * fn.log_softmax(scores[: n + N_CLASSES], 0)
    return by_words.sum(1)[answered].mean() + by_pictures.sum(0).mean()
