"""What boxes are worth: simulated people who mark regions in real sessions. Layer: bench.

Unlike `simulate`, which plays on arrays, this drives `Library.look` as a person would: every
box is cut from the original pixels, embedded, and captioned where the arm wants words.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from relook.bench.metrics import Interval, bootstrap, found_share, sequence_ap
from relook.core.converter import JsonValue
from relook.core.types import Box, Hit
from relook.search.session import Session

__all__ = ["ARMS", "Arm", "BoxReport", "BoxTask", "compare_boxes"]

Look = Callable[[str, int], Session]


@dataclass(frozen=True, slots=True)
class BoxTask:
    """Words, and where in which pictures they are shown.

    Args:
        words: The query.
        boxes: File name -> the regions that show it.
    """

    words: str
    boxes: Mapping[str, tuple[Box, ...]]


@dataclass(frozen=True, slots=True)
class Arm:
    """How one simulated person marks, and what is made of it.

    Args:
        strategy: Of the next page.
        boxed: Whether relevant pictures are marked by their regions, not as a whole.
        captioned: Whether the captioner's words are kept.
    """

    strategy: str
    boxed: bool
    captioned: bool = False


ARMS: Mapping[str, Arm] = {
    "no feedback": Arm("none", boxed=False),
    "click, rocchio": Arm("rocchio", boxed=False),
    "box as crop, rocchio": Arm("rocchio", boxed=True),
    "click, all tiles": Arm("region", boxed=False),
    "box, crop and in-box tiles": Arm("region", boxed=True),
    "box as caption": Arm("caption-rocchio", boxed=True, captioned=True),
    "click, auto": Arm("auto", boxed=False),
    "box, auto": Arm("auto", boxed=True),
    "box with caption, auto": Arm("auto", boxed=True, captioned=True),
}


@dataclass(frozen=True, slots=True)
class BoxReport(JsonValue):
    """One arm: means over tasks, and the gain over no feedback with a 95% interval."""

    found: float
    ap: float
    found_gain: Interval


def compare_boxes(
    look: Look,
    tasks: Sequence[BoxTask],
    arms: Mapping[str, Arm],
    page: int,
    rounds: int,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, BoxReport]:
    """Plays every task with every arm.

    Args:
        look: (words, limit) -> a new session, captioner included.
        tasks: What is looked for.
        arms: Name -> how marks are made and used; the first is the one compared with.
        page: Images a page.
        rounds: Pages looked at.
        progress: Called with plays done and plays in all.
    """
    found = {name: np.zeros(len(tasks)) for name in arms}
    ap = {name: np.zeros(len(tasks)) for name in arms}
    for number, task in enumerate(tasks):
        for position, (name, arm) in enumerate(arms.items()):
            hits = _play(look(task.words, page), task, arm, rounds)
            found[name][number] = found_share(hits, len(task.boxes), len(hits))
            ap[name][number] = sequence_ap(hits, len(task.boxes))
            if progress is not None:
                progress(number * len(arms) + position + 1, len(tasks) * len(arms))
    base = next(iter(arms))
    return {
        name: BoxReport(
            float(found[name].mean()),
            float(ap[name].mean()),
            bootstrap(found[name] - found[base]),
        )
        for name in arms
    }


def _play(session: Session, task: BoxTask, arm: Arm, rounds: int) -> np.ndarray[Any, Any]:
    """[s] bool: whether each shown image is relevant, over all pages; the session is removed."""
    shown: list[bool] = []
    page = session.page
    for number in range(rounds):
        if number:
            page = session.again(arm.strategy)
        shown += [hit.path.name in task.boxes for hit in page]
        if arm.strategy != "none" and number < rounds - 1:
            for hit in page:
                _mark(session, hit, task, arm)
    session.delete()
    return np.array(shown, dtype=bool)


def _mark(session: Session, hit: Hit, task: BoxTask, arm: Arm) -> None:
    boxes = task.boxes.get(hit.path.name)
    if boxes is None or not arm.boxed:
        session.judge(hit, relevant=boxes is not None)
        return
    for box in boxes:
        session.judge(hit, relevant=True, box=box, caption=None if arm.captioned else "")
