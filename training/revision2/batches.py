"""What one training step looks at: pictures, captions, named classes, concepts, mosaics."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from pictures import class_files, class_names, read_concepts, read_split
from torch import Tensor

N_CAPTIONS = 5
VIEWS = ("", "_flipped")
CLASS_VIEWS = ("classes", "classes_flipped", "classes_centre", "classes_centre_flipped")
CLASS_OFFSET = 1_000_000
"""Class pictures are numbered from here, so that they never meet a Flickr8k picture's number."""


@dataclass(frozen=True)
class Plan:
    """How a stage trains.

    Attributes:
        epochs: passes over the train pictures.
        batch: Flickr8k pictures a step.
        n_captions: captions of each of them.
        n_classes: ImageNet pictures a step.
        n_concepts: short queries a step.
        n_mosaics: mosaics a step.
        head_rate: peak learning rate of the heads.
        tower_rate: peak learning rate of the trained layers below them.
    """

    epochs: int
    batch: int
    n_captions: int
    n_classes: int = 128
    n_concepts: int = 96
    n_mosaics: int = 160
    head_rate: float = 1e-3
    tower_rate: float = 1e-4


@dataclass(frozen=True)
class Step:
    """Row numbers of one step.

    Attributes:
        pictures: int [b], train pictures; `view` says which version of them.
        captions: int [b*k], caption rows, k a picture.
        classes: int [c]; `class_view` says which version of their pictures.
        names: int [c], one name row a class.
        concepts: int [q].
        mosaics: int [m].
    """

    pictures: np.ndarray
    view: int
    captions: np.ndarray
    classes: np.ndarray
    class_view: int
    names: np.ndarray
    concepts: np.ndarray
    mosaics: np.ndarray


class Labels:
    """Who belongs to whom in the training data.

    Args:
        data: the data folder.
        cache: what `cache.py` filled (for the mosaics' members).
        n_held: classes whose pictures stay out of training (to measure; the names stay in).
    """

    def __init__(self, data: Path, cache: Path, n_held: int):
        split = read_split(data, "train")
        self.n_pictures = len(split.files)
        concepts = read_concepts(data, "train", split.files)
        self.concepts = [query for query, _ in concepts]
        self.concept_of = torch.zeros(len(concepts), self.n_pictures, dtype=torch.bool)
        for row, (_, files) in enumerate(concepts):
            self.concept_of[row, files] = True
        names = class_names(class_files(data))
        self.names = [name for group in names for name in group]
        self.first_name = np.cumsum([0] + [len(group) for group in names])
        self.groups = np.load(cache / "train_mosaic.groups.npy")
        order = np.random.default_rng(7).permutation(len(names))
        self.held, self.kept = np.sort(order[:n_held]), np.sort(order[n_held:])

    def steps(self, plan: Plan, rng: np.random.Generator):
        """Yields one epoch of steps."""
        order = rng.permutation(self.n_pictures)
        for rows in np.array_split(order, -(-self.n_pictures // plan.batch)):
            picks = np.stack([rng.permutation(N_CAPTIONS)[: plan.n_captions] for _ in rows])
            classes = rng.choice(self.kept, plan.n_classes, replace=False)
            members = np.isin(self.groups, rows).sum(1) + rng.random(len(self.groups))
            yield Step(
                pictures=rows,
                view=int(rng.integers(len(VIEWS))),
                captions=(rows[:, None] * N_CAPTIONS + picks).reshape(-1),
                classes=classes,
                class_view=int(rng.integers(len(CLASS_VIEWS))),
                names=rng.integers(self.first_name[classes], self.first_name[classes + 1]),
                concepts=rng.choice(len(self.concepts), plan.n_concepts, replace=False),
                mosaics=np.argsort(-members)[: plan.n_mosaics],
            )

    def numbers(self, step: Step) -> tuple[Tensor, Tensor]:
        """Which picture each picture row and each text row belongs to: [b+c], [b*k+c]."""
        classes = step.classes + CLASS_OFFSET
        pictures = np.concatenate([step.pictures, classes])
        texts = np.concatenate([step.captions // N_CAPTIONS, classes])
        return torch.from_numpy(pictures), torch.from_numpy(texts)
