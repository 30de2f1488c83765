"""How many pictures of a kind are left: the usual map, and the levels that hold, learnt.

    python training/remaining.py --data DATA --out WORK

Plays the train concepts on thirds of Flickr8k's train split whose pictures no head was trained on
(`heldout.py`), until every picture was looked at. The usual map and how maps vary about it come
from all searches by expectation and maximisation; levels are chosen, and rules compared, on each
third with the map of the other two. Prints what `relook.feedback.remaining.USUAL` is to be.

Five minutes on one quiet core after `cache.py --sets flickr8k --plain`. Needs relook and faiss.
"""

import argparse
import json
import sys
from dataclasses import dataclass, replace
from math import comb
from pathlib import Path

import numpy as np
from heldout import galleries

from relook.bench.sets_report import Search
from relook.bench.simulate import Gallery, Protocol, Task
from relook.core.vectors import unit
from relook.feedback.remaining import RECALL, USUAL, Remaining, UsualMap, fitted
from relook.feedback.strategies import strategy

STATES = (20, 60, 200, 500)  # pictures looked at, of which a search's map is learnt
PLAYS, STEPS = 3, 6  # of playing and learning in turn; of expectation and maximisation
NEVER = 2.0  # a level that no signal reaches
PROMISE, LEVELS = 0.9, np.arange(0.5, 0.98, 0.01)
START = replace(USUAL, middle=np.array([-5.7, 0.9, 0.6, 0.3]),
                spread=np.diag([0.64, 0.09, 0.09, 0.09]))  # fmt: skip


@dataclass(frozen=True)
class State:
    """An estimate on the way: what was looked at, what was found, what is left, and the truth."""

    looked: int
    left: Remaining
    n_left: int

    @property
    def n_found(self) -> int:
        """Pictures found so far."""
        return self.left.n_relevant


class Walk(Search):
    """A search that goes on until everything was looked at, and keeps what it saw."""

    def walk(self) -> "Walk":
        """Plays it."""
        self.states: list[State] = []
        self.read: list[tuple[np.ndarray, np.ndarray]] = []
        self.run(strategy("auto"))
        return self

    def estimated(self, scores: np.ndarray) -> Remaining:
        """As the base does; numbers without the chances of single pictures are kept."""
        left = super().estimated(scores)
        n_left = int(self.truth.sum()) - left.n_relevant
        lean = np.array([left.n_relevant + left.expected])  # their sum is all that matters
        self.states.append(State(len(self.shown), replace(left, chances=lean), n_left))
        if len(self.shown) in STATES:
            self.read.append((self.table(scores), self.truth.astype(np.float64)))
        return left


Played = tuple[Gallery, np.ndarray, list[Task]]


def walks(played: list[Played], usual: UsualMap) -> list[Walk]:
    """Every search of some galleries."""
    protocol = Protocol()
    usual = replace(usual, enough=NEVER)
    done = []
    for gallery, centred, tasks in played:
        for task in tasks:
            label = np.zeros(gallery.n_images, np.bool_)
            label[task.relevant] = True
            done.append(Walk(gallery, centred, task, label, protocol, usual).walk())
    return done


def learn(done: list[Walk], usual: UsualMap) -> UsualMap:
    """The usual map and its spread, by expectation and maximisation.

    Source: Dempster, Laird and Rubin (1977), with Laplace's approximation in the first step.
    """
    read = [pair for walk in done for pair in walk.read]
    middle, spread = usual.middle, usual.spread
    for _ in range(STEPS):
        precision = np.linalg.inv(spread)
        maps, doubts = zip(*(fitted(*pair, middle, precision) for pair in read), strict=True)
        middle = np.mean(maps, axis=0)
        spread = np.cov(np.array(maps).T, bias=True) + np.mean(doubts, axis=0)
    return replace(usual, middle=middle, spread=spread)


def played_apart(thirds: list[list[Played]]) -> list[Walk]:
    """Every search, with a map that was learnt from the other thirds: played, learnt from, played
    with that again.
    """
    maps = [START for _ in thirds]
    for number in range(PLAYS + 1):
        apart = [walks(third, usual) for third, usual in zip(thirds, maps, strict=True)]
        print(f"{sum(map(len, apart))} searches played", file=sys.stderr, flush=True)
        if number < PLAYS:
            maps = [
                learn([walk for other in apart if other is not own for walk in other], usual)
                for own, usual in zip(apart, maps, strict=True)
            ]
    return [walk for own in apart for walk in own]


def signal(walk: Walk, level: float) -> State:
    """Where a level of the signal stops a search."""
    return next((s for s in walk.states if s.n_found and s.left.enough_chance >= level),
                walk.states[-1])  # fmt: skip


def is_kept(state: State) -> bool:
    """Whether nine of ten are found."""
    return state.n_found >= RECALL * (state.n_found + state.n_left)


def beside(state: State, level: float) -> int:
    """Where what is left lies: -1 below the likely range of a level, 0 in it, 1 above."""
    usual = replace(state.left.usual, likely=level)
    least, most = replace(state.left, usual=usual).likely()
    return int(state.n_left > most) - int(state.n_left < least)


def levels(done: list[Walk]) -> tuple[float, float]:
    """The lowest levels of range and signal that hold what is promised."""
    after = [walk.states[Protocol().rounds - 1] for walk in done]
    likely = next(x for x in LEVELS if np.mean([beside(s, x) == 0 for s in after]) >= PROMISE)
    enough = next(
        x for x in LEVELS if np.mean([is_kept(signal(walk, x)) for walk in done]) >= PROMISE
    )
    return float(round(likely, 2)), float(round(enough, 2))


def told(name: str, stops: list[tuple[int, bool]]) -> None:
    """Prints what a rule costs and keeps: stops are pictures looked at, and whether it held."""
    looked, kept = np.array([n for n, _ in stops]), np.mean([held for _, held in stops])
    print(json.dumps({"rule": name, "kept": round(float(kept), 3), "looked": float(looked.mean()),
                      "looked_median": float(np.median(looked))}))  # fmt: skip


def in_a_row(walk: Walk, n: int) -> tuple[int, bool]:
    """Stops after n pictures in a row that are none: a rule of thumb."""
    hits = walk.label[walk.shown]
    last = np.maximum.accumulate(np.where(hits, np.arange(len(hits)), -1))
    stops = np.flatnonzero(np.arange(len(hits)) - last >= n)
    at = int(stops[0]) + 1 if len(stops) else len(hits)
    return at, bool(hits[:at].sum() >= RECALL * hits.sum())


def sums_alone(walk: Walk) -> tuple[int, bool]:
    """Stops where the sum of chances, by the search's own map, says nine of ten, and 1.65
    deviations of a Poisson number more: Yang, Lewis and Frieder's Quant CI.
    """
    for state in walk.states:
        mean = state.left.expected
        if state.n_found and mean + 1.65 * mean**0.5 <= state.n_found * (1 / RECALL - 1):
            return state.looked, is_kept(state)
    return walk.states[-1].looked, True


def at_random(walk: Walk, seed: int) -> tuple[int, bool]:
    """After the pages, pictures at random until so few hits are improbable: Callaghan and
    Müller-Hansen (2020), which holds for any ranking.
    """
    first = Protocol().rounds * Protocol().page
    rest = np.random.default_rng(seed).permutation(walk.shown[first:])
    hits, found = walk.label[rest], int(walk.label[walk.shown[:first]].sum())
    for n in range(10, len(rest) + 1, 10):
        seen = int(hits[:n].sum())
        missing = int((found + seen) * (1 / RECALL - 1)) + 1  # the fewest that break the promise
        if n + missing > len(rest):  # there are not so many left
            return first + n, True
        chance = sum(
            comb(seen + missing, x) * comb(len(rest) - seen - missing, n - x)
            for x in range(seen + 1)
        ) / comb(len(rest), n)
        if found + seen and chance <= 1 - PROMISE:
            return first + n, bool(missing > int(hits[n:].sum()))
    return len(walk.shown), True


def main() -> None:
    """Learns from all thirds, and measures each with the others' map."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="what cache.py filled")
    args = parser.parse_args()
    played = []
    for gallery, tasks in galleries(args.data, args.out):
        whole = gallery.tiles[:, 0]
        played.append((gallery, unit(whole - whole.mean(axis=0)), tasks))
    thirds = [played[at : at + 2] for at in range(0, len(played), 2)]
    done = played_apart(thirds)
    likely, enough = levels(done)
    told("ours", [(s.looked, is_kept(s)) for s in (signal(walk, enough) for walk in done)])
    told("everything", [(len(walk.shown), True) for walk in done])
    told("Quant CI, with a map of its own", [sums_alone(walk) for walk in done])
    told("random pictures after the pages", [at_random(w, n) for n, w in enumerate(done)])
    for n in (50, 100, 200):
        told(f"{n} in a row are none", [in_a_row(walk, n) for walk in done])
    for at in (1, 2, 4, 8):
        states = [s for walk in done for s in walk.states if s.looked == at * Protocol().page]
        sides = [beside(s, likely) for s in states]
        shares = [round(sides.count(side) / len(sides), 3) for side in (-1, 0, 1)]
        print(json.dumps({"looked": at * Protocol().page, "below, in and above": shares}))
    usual = learn(done, START)
    print(json.dumps({"middle": usual.middle.round(3).tolist(), "likely": likely,
                      "spread": usual.spread.round(3).tolist(), "enough": enough}))  # fmt: skip


if __name__ == "__main__":
    main()
