"""What a box is worth beside a click, on exact boxes.

Two data sets with known regions, both over the built-in encoder and real sessions:

- `mosaics`: 2x2 mosaics of photographs; a query is a concept ({"query", "relevant"} lines), a
  box is the cell whose photograph is relevant to it.
- `coco`: COCO pictures with instance boxes; a query is a class name, boxes are its instances.

The baseline is the same person without feedback. `click` marks whole pictures, `box` marks
regions; the last columns are the gain in the share found, over no feedback and over a click used
by the same strategy, with a 95% paired bootstrap.

    python benchmarks/boxes.py mosaics --pictures DIR --concepts concepts-dev.jsonl
    python benchmarks/boxes.py coco --pictures DIR --instances instances_val2017.json
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import relook
from relook.bench.measures import Interval, bootstrap, found_share, sequence_ap
from relook.bench.query_files import read_concepts
from relook.core.converter import JsonValue
from relook.core.types import Box, Hit
from relook.search.session import Session

CELL_PX = 224
MIN_PICTURES = 3
# Box edges as COCO gives them are cut at the picture's border and may be slivers.
MIN_AREA = 0.005

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
    """One arm: means over tasks, and gains with 95% intervals.

    Args:
        found, ap: Means over tasks.
        found_gain: Over no feedback.
        over_click: Of a box, over whole pictures marked and used by the same strategy.
    """

    found: float
    ap: float
    found_gain: Interval
    over_click: Interval | None


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
    clicks = {arm.strategy: name for name, arm in arms.items() if not arm.boxed}
    return {
        name: BoxReport(
            float(found[name].mean()),
            float(ap[name].mean()),
            bootstrap(found[name] - found[base]),
            bootstrap(found[name] - found[clicks[arm.strategy]])
            if arm.boxed and arm.strategy in clicks
            else None,
        )
        for name, arm in arms.items()
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


def make_mosaics(pictures: Path, names: list[str], folder: Path) -> dict[str, tuple[str, Box]]:
    """Writes 2x2 mosaics; returns photograph -> its mosaic and the cell it fills."""
    where = {}
    shuffled = random.Random(7).sample(names, len(names))
    for number in range(len(shuffled) // 4):
        sheet = Image.new("RGB", (2 * CELL_PX, 2 * CELL_PX))
        file = f"mosaic{number:04}.jpg"
        for at, name in enumerate(shuffled[4 * number : 4 * number + 4]):
            x, y = at % 2, at // 2
            with Image.open(pictures / name) as photograph:
                cell = photograph.convert("RGB").resize((CELL_PX, CELL_PX))
            sheet.paste(cell, (x * CELL_PX, y * CELL_PX))
            where[name] = (file, Box(x / 2, y / 2, (x + 1) / 2, (y + 1) / 2))
        sheet.save(folder / file, quality=92)
    return where


def mosaic_tasks(concepts: Path, where: dict[str, tuple[str, Box]]) -> Iterator[BoxTask]:
    """One task a concept that at least `MIN_PICTURES` mosaics show."""
    for wanted in read_concepts(concepts):
        boxes: dict[str, tuple[Box, ...]] = {}
        for name in wanted.files:
            if name in where:
                file, box = where[name]
                boxes[file] = (*boxes.get(file, ()), box)
        if len(boxes) >= MIN_PICTURES:
            yield BoxTask(wanted.words, boxes)


def annotated(options: argparse.Namespace) -> list[Path]:
    """The pictures whose instances are known; another could show anything."""
    images = json.loads(options.instances.read_text("utf-8"))["images"]
    files = [options.pictures / image["file_name"] for image in images]
    return [file for file in files if file.exists()]


def coco_tasks(instances: Path, pictures: Path) -> Iterator[BoxTask]:
    """One task a class that at least `MIN_PICTURES` pictures show."""
    values = json.loads(instances.read_text("utf-8"))
    images = {i["id"]: i for i in values["images"] if (pictures / i["file_name"]).exists()}
    names = {kind["id"]: kind["name"] for kind in values["categories"]}
    found: dict[str, dict[str, list[Box]]] = {}
    for note in values["annotations"]:
        image = images.get(note["image_id"])
        if image is None or note.get("iscrowd"):
            continue
        x, y, w, h = note["bbox"]
        edges = (x / image["width"], y / image["height"])
        ends = (min((x + w) / image["width"], 1.0), min((y + h) / image["height"], 1.0))
        if (ends[0] - edges[0]) * (ends[1] - edges[1]) >= MIN_AREA:
            boxes = found.setdefault(names[note["category_id"]], {})
            boxes.setdefault(image["file_name"], []).append(Box(*edges, *ends))
    for name, by_file in sorted(found.items()):
        if len(by_file) >= MIN_PICTURES:
            yield BoxTask(name, {file: tuple(boxes[:3]) for file, boxes in by_file.items()})


def report(
    name: str,
    tasks: list[BoxTask],
    library: relook.Library,
    arms: Mapping[str, Arm],
    page: int,
    rounds: int,
) -> dict:
    """Plays the arms and prints a table."""
    reports = compare_boxes(
        lambda words, limit: library.look(words, limit=limit),
        tasks, arms, page, rounds,
        lambda done, total: done % 100 or print(f"{name}: {done}/{total}", file=sys.stderr),
    )  # fmt: skip
    print(f"\n{name}: {len(tasks)} queries, {len(library)} pictures, {rounds} pages of {page}")
    print(f"{'arm':28} {'found':>7} {'AP':>7}   {'gain in found (95%)':26}   over a click")
    for arm, figures in reports.items():
        gains = [_interval(gain) for gain in (figures.found_gain, figures.over_click) if gain]
        print(f"{arm:28} {figures.found:7.3f} {figures.ap:7.3f}   {'   '.join(gains)}")
    return {arm: figures.as_dict() for arm, figures in reports.items()}


def _interval(gain: Interval) -> str:
    return f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def main() -> None:
    """Builds the library, plays, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=("mosaics", "coco"))
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--concepts", type=Path)
    parser.add_argument("--instances", type=Path)
    parser.add_argument("--queries", type=int, default=0, help="use the first N tasks; 0: all")
    parser.add_argument("--strategy", help="only the arms of this one, beside no feedback")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pictures"
        folder.mkdir()
        if options.data == "mosaics":
            relevant = {file for one in read_concepts(options.concepts) for file in one.files}
            where = make_mosaics(options.pictures, sorted(relevant), folder)
            tasks = list(mosaic_tasks(options.concepts, where))
            page, rounds = 10, 4
        else:
            tasks = list(coco_tasks(options.instances, options.pictures))
            page, rounds = 5, 4
        tasks = tasks[: options.queries or None]
        kept = {options.strategy or arm.strategy for arm in ARMS.values()} | {"none"}
        arms = {arm_name: arm for arm_name, arm in ARMS.items() if arm.strategy in kept}
        with relook.Library(Path(temporary) / "library") as library:
            library.add(*([folder] if options.data == "mosaics" else annotated(options)))
            figures = report(options.data, tasks, library, arms, page, rounds)
    if options.json:
        options.json.write_text(json.dumps(figures, indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    main()
