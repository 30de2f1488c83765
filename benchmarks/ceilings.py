"""How far a step of the query can go that rests on relevant pictures: these, and others.

`relook bench feedback` compares with an oracle: the best linear step from the very pictures that
are looked for. It knows more than anybody can learn of their kind, since in hundreds of directions
a mean of twenty pictures is mostly these twenty. Here the same step is taken from other pictures of
the same kind, out of a second library: one, ten, as many as there are to be found, and all.
Printed are gains in `found` over no feedback, where everything that is shown is marked: with the
best of seven lengths for each query, and with the one that is best for all; and what `auto` gains,
which knows what was marked so far.
Read it: what steps from all the other pictures gain bounds what marks can teach a linear step about
a kind; of these very pictures a mark tells more than that, since the like of them may be here.

    python benchmarks/ceilings.py DEV.relook TRAIN.relook --queries QUERIES --captions CAPTIONS
"""

import argparse
from pathlib import Path

import numpy as np

import relook
from relook.bench.arms import direction_to, found_along
from relook.bench.measures import found_share
from relook.bench.query_files import read_captions, read_concepts
from relook.bench.simulate import Gallery, Protocol, gallery_of, play, tasks_of
from relook.core.vectors import Ints
from relook.feedback.strategies import STRATEGIES

MOST_SAY = 3  # captions of a picture that use the words
ONE, TEN = 1, 10


def kind_of(words: str, said: dict[int, list[set[str]]]) -> Ints:
    """Images of which most captions use all the words, as the queries were made."""
    wanted = set(words.lower().split())
    return np.array(
        [at for at, several in said.items() if sum(wanted <= each for each in several) >= MOST_SAY],
        np.int64,
    )


def said_of(captions: Path, index: dict[str, int]) -> dict[int, list[set[str]]]:
    """The words of the captions of each image of a library, by its place in the gallery."""
    said: dict[int, list[set[str]]] = {at: [] for at in index.values()}
    for caption in read_captions(captions):
        if caption.image in index:
            said[index[caption.image]].append(set(caption.text.lower().split()))
    return said


def drawn(images: Ints, n: int, seed: int) -> Ints:
    """N of the images at most, by chance."""
    return np.random.default_rng(seed).permutation(images)[:n]


def main() -> None:
    """Plays every query, and prints what each kind of step gains."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("here", type=Path, help="library that is searched")
    parser.add_argument("elsewhere", type=Path, help="library with other pictures")
    parser.add_argument("--queries", type=Path, required=True)
    parser.add_argument("--captions", type=Path, required=True)
    options = parser.parse_args()
    with relook.Library(options.here) as here, relook.Library(options.elsewhere) as elsewhere:
        gallery, index = gallery_of(here.engine)
        others, other_index = gallery_of(elsewhere.engine)
        wanted = read_concepts(options.queries)
        tasks = tasks_of(here.engine, wanted, index)
        said = said_of(options.captions, other_index)
        gains = measure(gallery, others, tasks, said)
    print(f"{len(gains[ALL])} queries with ten others at least; gains in found over no feedback")
    for name, rows in gains.items():
        table = np.array(rows)  # [q, s]
        means = table.max(axis=1).mean(), table.mean(axis=0).max()
        print(f"{name:28} {means[0]:+.3f} with the best length of each, {means[1]:+.3f} with one")


HERE, ALL = "the very pictures", "all others"


def measure(
    gallery: Gallery, others: Gallery, tasks: list, said: dict[int, list[set[str]]]
) -> dict[str, list[np.ndarray]]:
    """Gains [s] of steps of each length, of each query, by what the step rests on."""
    gains: dict[str, list[np.ndarray]] = {}
    protocol = Protocol()
    for number, task in enumerate(tasks):
        images = kind_of(task.name, said)
        if len(images) < TEN:
            continue
        trace = play(gallery, task, number, STRATEGIES["none"], protocol)
        hits = np.isin(trace.shown, task.relevant)
        none = found_share(hits, len(task.relevant), len(hits))
        trace = play(gallery, task, number, STRATEGIES["auto"], protocol)
        hits = np.isin(trace.shown, task.relevant) & trace.is_new
        auto = found_share(hits, len(task.relevant), len(hits)) - none
        gains.setdefault("auto, from marks", []).append(np.array([auto]))
        known = {
            HERE: (gallery, task.relevant),
            "one other": (others, drawn(images, ONE, number)),
            "ten others": (others, drawn(images, TEN, number)),
            "as many others": (others, drawn(images, len(task.relevant), number)),
            ALL: (others, images),
        }
        for name, (of, which) in known.items():
            direction = direction_to(of, task.query, which)
            found = found_along(gallery, task, number, protocol, direction)
            gains.setdefault(name, []).append(np.array(found) - none)
    return gains


if __name__ == "__main__":
    main()
