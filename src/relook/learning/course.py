"""Trains the attentive feedback summariser, epoch by epoch. Layer: learning. Needs torch.

The encoder stays as it is.

Source: arXiv 2511.17255 (loss, AdamW, cosine schedule, early stopping; constants from its code).
"""

import importlib.metadata
import json
import logging
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from relook.core.converter import JsonValue
from relook.core.errors import disk_error
from relook.core.progress import Progress, ProgressCallback, check_cancelled
from relook.core.registry import import_extra
from relook.learning.attentive import Attentive, Size, write_afs
from relook.learning.lessons import (
    LessonOptions,
    Lessons,
    Texts,
    lessons_of,
    load_arrays,
    save_arrays,
)
from relook.search.engine import Engine

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How it is trained; the paper's constants where it has any.

    Args:
        epochs: Times that each picture is looked for, by a caption drawn at random.
        batch: Pictures a step.
        rate, decay: Of AdamW; the rate falls to zero as a cosine.
        patience: Epochs without a gain of `gain` after which it ends.
        gain: What counts as one, of the loss on held-out pictures.
        size: Of the attention.
        lessons: What is trained on.
    """

    epochs: int = 40
    batch: int = 128
    rate: float = 3e-4
    decay: float = 0.01
    patience: int = 10
    gain: float = 5e-4
    size: Size = field(default_factory=Size)
    lessons: LessonOptions = field(default_factory=LessonOptions)


@dataclass(frozen=True, slots=True)
class Trained(JsonValue):
    """What came of it, measured on pictures that were held out.

    Args:
        file: The weights.
        n_pictures, n_held_out, n_captions: What it was made from.
        n_epochs, best_epoch: How many there were, and which one's weights these are.
        loss: Half the distance to the picture, half that to its other captions; 0 to 2.
        loss_query, loss_page: The same of the query itself, and of the page's mean.
        to_picture, to_captions: Mean cosine of the summary to both.
        with_captions: Whether a captioner's words were read, too.
        seed: Of everything drawn.
        encoder: The fingerprint's digest.
        took_s: Seconds, of this run.
    """

    file: Path
    n_pictures: int
    n_held_out: int
    n_captions: int
    n_epochs: int
    best_epoch: int
    loss: float
    loss_query: float
    loss_page: float
    to_picture: float
    to_captions: float
    with_captions: bool
    seed: int
    encoder: str
    took_s: float


def train_afs(
    engine: Engine,
    texts: Texts,
    file: Path,
    options: TrainOptions | None = None,
    *,
    speak: Callable[[Sequence[int]], Sequence[str]] | None = None,
    fresh: bool = False,
    progress: ProgressCallback | None = None,
) -> Trained:
    """Trains a summariser on a library's captioned pictures.

    Every epoch is kept in `FILE.training`, which goes once the weights are written: a run that
    was stopped goes on there when it is started again with the same captions and options.

    Args:
        engine: Of the library.
        texts: Captions of its pictures, from `captions_of`.
        file: Where the weights go, whole or not at all.
        options: How; the paper's constants when None.
        speak: A captioner: image ids -> words; its captions of a page are read, too.
        fresh: Forget what an earlier run has kept.
        progress: Called now and then.

    Raises:
        MissingExtraError: when `onnx` is not installed; StorageError: when the disk refuses.
    """
    import_extra("onnx", "relook train afs", "train")
    began = time.perf_counter()
    options = options or TrainOptions()
    folder = file.with_name(f"{file.name}.training")
    if fresh:
        _clear(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(f"cannot write {folder}", error) from error
    lessons = lessons_of(engine, texts, options.lessons, folder, speak, progress)
    course = _Course(lessons, options, folder / "epoch.npz")
    course.run(progress)
    made = Trained(
        file=file,
        n_pictures=len(lessons.rows), n_held_out=int(lessons.held_out.sum()),
        n_captions=len(lessons.queries), with_captions=bool(lessons.spoken.size),
        n_epochs=course.epoch, best_epoch=course.best_epoch,
        **course.measured(), seed=options.lessons.seed,
        encoder=engine.encoder.fingerprint.digest, took_s=0.0,
    )  # fmt: skip
    facts = {
        **made.as_dict(),
        "options": asdict(options),
        "relook": importlib.metadata.version("relook"),
    }
    del facts["file"], facts["took_s"]
    write_afs(course.model, engine.encoder.fingerprint, facts, file)
    _clear(folder)
    return replace(made, took_s=time.perf_counter() - began)


def _clear(folder: Path) -> None:
    for name in ("captions.npz", "spoken.npz", "epoch.npz"):
        (folder / name).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


class _Course:
    """The epochs: where they are, and the best weights so far.

    Args:
        lessons: What is trained on.
        options: How.
        kept: The file that keeps it.
    """

    def __init__(self, lessons: Lessons, options: TrainOptions, kept: Path) -> None:
        self.lessons, self.options, self._kept = lessons, options, kept
        torch.manual_seed(options.lessons.seed)
        self.model = Attentive(lessons.vectors.shape[1], options.size)
        self._optimiser = torch.optim.AdamW(
            self.model.parameters(), options.rate, weight_decay=options.decay
        )
        self._vectors = torch.from_numpy(lessons.vectors)
        self.epoch, self.best_epoch, self.best_loss = 0, 0, math.inf
        self._best = {name: value.clone() for name, value in self.model.state_dict().items()}
        self._key = f"{lessons.digest} {json.dumps(asdict(options), sort_keys=True)}"
        self._resume()

    def run(self, progress: ProgressCallback | None) -> None:
        """Trains until the last epoch, or until held-out pictures gain no more."""
        pictures = np.flatnonzero(~self.lessons.held_out)
        n_steps = math.ceil(len(pictures) / self.options.batch)
        rate = _Rate(self.options.epochs * n_steps, self.epoch * n_steps, progress)
        while self.epoch < self.options.epochs and not self._is_done():
            random = np.random.default_rng([self.options.lessons.seed, 2, self.epoch])
            for group in self._optimiser.param_groups:
                turn = math.pi * self.epoch / self.options.epochs
                group["lr"] = self.options.rate * (1 + math.cos(turn)) / 2
            for some in np.array_split(random.permutation(pictures), n_steps):
                check_cancelled()
                self._step(some, random)
                rate.tick()
            self.epoch += 1
            loss = self.measured()["loss"]
            if loss < self.best_loss - self.options.gain or not self.best_epoch:
                self.best_loss, self.best_epoch = loss, self.epoch
                self._best = {n: v.clone() for n, v in self.model.state_dict().items()}
            _LOG.info("epoch %d of %d: loss %.4f", self.epoch, self.options.epochs, loss)
            self._save()
        self.model.load_state_dict(self._best)

    def _is_done(self) -> bool:
        return self.epoch - self.best_epoch >= self.options.patience

    def _step(self, pictures: NDArray[np.int64], random: np.random.Generator) -> None:
        self.model.train()
        pages_asked = self._asked(pictures, random)
        reads_captions = bool(self.lessons.spoken.size) and random.random() < 0.5
        summary, _ = self.model(*self._inputs(pages_asked, reads_captions))
        loss = _losses(summary, *self._targets(pages_asked)).mean()
        self._optimiser.zero_grad()
        torch.autograd.backward(loss)
        self._optimiser.step()

    def _asked(self, pictures: NDArray[np.int64], random: np.random.Generator) -> NDArray[np.int64]:
        """A caption of each picture, drawn at random."""
        spans = self.lessons.spans
        return np.asarray(random.integers(spans[pictures], spans[pictures + 1]))

    def _inputs(
        self, pages_asked: NDArray[np.int64], reads_captions: bool
    ) -> tuple[Tensor, Tensor, Tensor | None, Tensor]:
        """What the model takes, of captions and their pages."""
        lessons = self.lessons
        pages = lessons.pages[pages_asked]  # [b, k]
        nothing = len(lessons.vectors) - 1
        rows = np.where(pages[..., None] >= 0, lessons.rows[pages], nothing)  # [b, k, t]
        rows = rows.reshape(len(pages_asked), -1)
        vectors, weight = self._vectors[torch.from_numpy(rows)], rows != nothing
        is_text = None
        if reads_captions:
            words = np.where(pages[..., None] >= 0, lessons.spoken[pages], 0)  # [b, k, d]
            vectors = torch.cat([vectors, torch.from_numpy(words.astype(np.float32))], dim=1)
            weight = np.concatenate([weight, words.any(-1)], axis=1)
            is_text = torch.from_numpy(np.repeat([0.0, 1.0], [rows.shape[1], pages.shape[1]]))
            is_text = is_text.expand(len(pages_asked), -1)
        query = torch.from_numpy(lessons.queries[pages_asked])
        return query, vectors, is_text, torch.from_numpy(weight).float()

    def _targets(self, pages_asked: NDArray[np.int64]) -> tuple[Tensor, Tensor, Tensor]:
        """[b, d] the pictures, the means of their other captions, and whether there are any."""
        lessons, owners = self.lessons, self.lessons.owners[pages_asked]
        spans = lessons.spans
        sums = np.stack([lessons.queries[spans[i] : spans[i + 1]].sum(0) for i in owners])
        others = sums - lessons.queries[pages_asked]
        several = spans[owners + 1] - spans[owners] > 1
        pictures = self._vectors[torch.from_numpy(lessons.rows[owners, 0])]
        return pictures, torch.from_numpy(others), torch.from_numpy(several)

    @torch.no_grad()
    def measured(self) -> dict[str, float]:
        """Of held-out pictures, each asked with its first caption: losses and cosines."""
        self.model.eval()
        pages_asked = self.lessons.spans[:-1][self.lessons.held_out]
        sums: dict[str, list[Tensor]] = {}
        for at in range(0, len(pages_asked), 512):
            some = pages_asked[at : at + 512]
            inputs, targets = (
                self._inputs(some, bool(self.lessons.spoken.size)),
                self._targets(some),
            )
            summary, _ = self.model(*inputs)
            page = self._page_means(some)
            values = {
                "loss": _losses(summary, *targets),
                "loss_query": _losses(inputs[0], *targets),
                "loss_page": _losses(page, *targets),
                "to_picture": _cosine(summary, targets[0]),
                "to_captions": _cosine(summary, targets[1])[targets[2]],
            }
            for name, value in values.items():
                sums.setdefault(name, []).append(value)
        means = {name: torch.cat(values) for name, values in sums.items()}
        return {name: float(v.mean()) if len(v) else 0.0 for name, v in means.items()}

    def _page_means(self, pages_asked: NDArray[np.int64]) -> Tensor:
        """[b, d] sums of the whole pictures of each caption's page."""
        pages = self.lessons.pages[pages_asked]  # [b, k]
        nothing = len(self.lessons.vectors) - 1
        rows = np.where(pages >= 0, self.lessons.rows[pages, 0], nothing)
        return self._vectors[torch.from_numpy(rows)].sum(1)

    def _save(self) -> None:
        arrays: dict[str, NDArray[Any]] = {"key": np.array(self._key)}
        arrays["where"] = np.array([self.epoch, self.best_epoch, self.best_loss])
        for name, value in self.model.state_dict().items():
            arrays[f"now.{name}"], arrays[f"best.{name}"] = value.numpy(), self._best[name].numpy()
        for name, parameter in self.model.named_parameters():
            for moment, value in self._optimiser.state[parameter].items():
                arrays[f"{moment}.{name}"] = value.numpy()
        save_arrays(self._kept, arrays)

    def _resume(self) -> None:
        """Goes on where a run with the same lessons and options was stopped."""
        arrays: Mapping[str, Any] = load_arrays(self._kept)
        if arrays.get("key") != self._key:
            return
        where = arrays["where"].tolist()
        self.epoch, self.best_epoch, self.best_loss = int(where[0]), int(where[1]), where[2]
        for name in self._best:
            self._best[name] = torch.from_numpy(arrays[f"best.{name}"])
        self.model.load_state_dict(
            {name: torch.from_numpy(arrays[f"now.{name}"]) for name in self._best}
        )
        for name, parameter in self.model.named_parameters():
            self._optimiser.state[parameter] = {
                moment: torch.from_numpy(arrays[f"{moment}.{name}"])
                for moment in ("step", "exp_avg", "exp_avg_sq")
            }
        _LOG.info("going on after epoch %d", self.epoch)


def _cosine(first: Tensor, second: Tensor) -> Tensor:
    return nn.functional.cosine_similarity(first, second, dim=-1)


def _losses(summary: Tensor, pictures: Tensor, captions: Tensor, several: Tensor) -> Tensor:
    """[b] half the distance to the picture, half that to its other captions where it has any."""
    to_picture = 1 - _cosine(summary, pictures)
    to_captions = 1 - _cosine(summary, captions)
    return torch.where(several, (to_picture + to_captions) / 2, to_picture)


class _Rate:
    """Tells the progress of steps."""

    def __init__(self, total: int, done: int, progress: ProgressCallback | None) -> None:
        self._total, self._done, self._first, self._progress = total, done, done, progress
        self._began = time.perf_counter()

    def tick(self) -> None:
        self._done += 1
        if self._progress is not None:
            rate = (self._done - self._first) / max(time.perf_counter() - self._began, 1e-9)
            self._progress(Progress("training", self._done, self._total, rate))
