"""Simulated users: pages of results, marks, and the next page from a strategy.

Labels come from a task's list of relevant images, with as much noise and as few marks as
asked for. Every arm of a comparison meets the same slips of the same user: whether image
17 of query 3 is mislabelled depends on the seed alone, not on when it is shown.
Layer: bench.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from relook.bench.gallery import Gallery, Mark
from relook.core.vectors import Floats, Ints
from relook.feedback.evidence import Evidence
from relook.feedback.scorer import Scorer

__all__ = ["Fit", "Protocol", "Task", "Trace", "play"]

Fit = Callable[[Evidence], Scorer]


@dataclass(frozen=True, slots=True, eq=False)
class Task:
    """One thing that the simulated user looks for.

    Args:
        name: The words.
        query: [d] their unit vector.
        relevant: Positions of the relevant images.
        boxes: For box users: image position -> which of its boxes show the thing.
    """

    name: str
    query: Floats
    relevant: Ints
    boxes: Mapping[int, tuple[int, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Protocol:
    """How the simulated user behaves.

    Args:
        page: Images a page.
        rounds: Pages looked at; feedback changes all but the first.
        noise: Probability that a label is flipped.
        positives_only: Whether irrelevant images go unmarked.
        marks: At most so many marks a page, relevant ones first; None marks everything.
        boxes: Whether relevant images are marked with the task's boxes where it has some.
        view_s: Seconds to look at one image.
        box_s: Seconds to draw one box.
        seed: Of the label noise.
    """

    page: int = 10
    rounds: int = 4
    noise: float = 0.0
    positives_only: bool = False
    marks: int | None = None
    boxes: bool = False
    view_s: float = 1.8
    box_s: float = 2.0
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """What one user saw for one task.

    Args:
        shown: [s] images in the order shown, over all pages.
        seconds: [s] when each had been looked at.
        last: The scorer after the last page's marks.
    """

    shown: Ints
    seconds: Floats
    last: Scorer


def play(gallery: Gallery, task: Task, number: int, fit: Fit, protocol: Protocol) -> Trace:
    """Lets one simulated user look for one task.

    Args:
        gallery: What is looked through.
        task: What is looked for.
        number: Position of the task in its set; with the seed it fixes the noise.
        fit: Evidence to scorer; called with no judgements for the first page.
        protocol: How the user behaves.
    """
    label = _labels(gallery.n_images, task, number, protocol)  # [n]
    marks: list[Mark] = []
    shown = np.zeros(0, dtype=np.int64)
    seconds: list[float] = []
    clock = 0.0
    first_page = gallery.rank(fit(gallery.evidence(task.query, (), shown)), shown, protocol.page)
    scorer = fit(gallery.evidence(task.query, (), first_page))
    for _ in range(protocol.rounds):
        page = gallery.rank(scorer, shown, protocol.page)
        made = _marks(page, label, task, protocol)
        for _ in page:
            clock += protocol.view_s
            seconds.append(clock)
        clock += protocol.box_s * sum(mark.box is not None for mark in made)
        shown = np.concatenate([shown, page])
        marks += made
        scorer = fit(gallery.evidence(task.query, marks, first_page))
    return Trace(shown, np.asarray(seconds, dtype=np.float32), scorer)


def _labels(n_images: int, task: Task, number: int, protocol: Protocol) -> Ints:
    label = np.full(n_images, -1, dtype=np.int64)
    label[task.relevant] = 1
    slips = np.random.default_rng([protocol.seed, number]).random(n_images) < protocol.noise
    return np.where(slips, -label, label)


def _marks(page: Ints, label: Ints, task: Task, protocol: Protocol) -> list[Mark]:
    """Marks of one page: relevant ones first, cut at the protocol's number."""
    made = []
    for image in sorted(page.tolist(), key=lambda image: -int(label[image])):
        sign = int(label[image])
        if sign < 0 and protocol.positives_only:
            continue
        drawn = task.boxes.get(image, ()) if protocol.boxes and sign > 0 else ()
        made += [Mark(image, sign, box) for box in drawn] or [Mark(image, sign)]
    return made[: protocol.marks] if protocol.marks is not None else made
