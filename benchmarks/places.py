"""What places are worth: two things in 2x2 mosaics, each in its cell.

A task is two concepts and two cells; right are the mosaics that show both so. Beside words at
their places ("dog@0,0,0.5,0.5 + snow@0.5,0,1,0.5") the same words are searched without places, as
parts and as one text ("dog and snow").

    python benchmarks/places.py --pictures flickr8k/images --concepts concepts-dev.jsonl --tasks 300
"""

import argparse
import itertools
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

from boxes import make_mosaics

import relook
from relook.bench.query_files import read_concepts
from relook.core.types import Box, Part, Query

CELLS = [Box(x / 2, y / 2, (x + 1) / 2, (y + 1) / 2) for y in range(2) for x in range(2)]
MOST_RIGHT = 5  # mosaics that are right; more would make a task easy

Task = tuple[Part, Part, set[str]]


def tasks_of(concepts: Path, where: dict[str, tuple[str, Box]]) -> Iterator[Task]:
    """Two concepts in two cells that some mosaics show."""
    shown = {
        wanted.words: {where[file] for file in wanted.files if file in where}
        for wanted in read_concepts(concepts)
    }
    for (one, ones), (other, others) in itertools.combinations(shown.items(), 2):
        if set(one.split()) & set(other.split()):
            continue
        for here, there in itertools.permutations(CELLS, 2):
            right = {f for f, cell in ones if cell == here} & {f for f, c in others if c == there}
            if 1 <= len(right) <= MOST_RIGHT:
                yield Part(text=one, place=here), Part(text=other, place=there), right


def rank_of(library: relook.Library, query: Query, right: set[str]) -> int:
    """The rank of the first right mosaic."""
    page = library.search(query, limit=len(library), fold=False)
    return next(at for at, hit in enumerate(page, start=1) if hit.path.name in right)


def main() -> None:
    """Builds the library, asks, prints."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pictures", type=Path, required=True)
    parser.add_argument("--concepts", type=Path, required=True)
    parser.add_argument("--tasks", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "pictures"
        folder.mkdir()
        names = sorted({file for each in read_concepts(options.concepts) for file in each.files})
        where = make_mosaics(options.pictures, names, folder)
        tasks = list(tasks_of(options.concepts, where))
        tasks = random.Random(0).sample(tasks, min(options.tasks, len(tasks)))
        ranks: dict[str, list[int]] = {"one text": [], "parts": [], "parts at places": []}
        with relook.Library(Path(temporary) / "library") as library:
            library.add(folder)
            for one, other, right in tasks:
                queries = (
                    Query((Part(text=f"{one.text} and {other.text}"),)),
                    Query((Part(text=one.text), Part(text=other.text))),
                    Query((one, other)),
                )
                for name, query in zip(ranks, queries, strict=True):
                    ranks[name].append(rank_of(library, query, right))
            print(f"{len(tasks)} tasks, {len(library)} mosaics")
    print(f"{'searched as':18} {'MRR':>6} {'first':>6} {'first 10':>9}")
    for name, several in ranks.items():
        mrr = sum(1 / rank for rank in several) / len(several)
        first, ten = (sum(rank <= k for rank in several) / len(several) for k in (1, 10))
        print(f"{name:18} {mrr:6.3f} {first:6.3f} {ten:9.3f}")


if __name__ == "__main__":
    main()
