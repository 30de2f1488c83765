"""The map of fit for the built-in encoder: from scores to probabilities. Run it after new weights.

Reads how the shipped towers score captioned pictures that are for training, and writes a few
hundred numbers into the model's card: `relook.search.fit` reads them.

    python training/fit.py --data DATA --model src/relook/encoders/builtin_model

Three minutes on two cores. Needs relook. Queries are the train concepts, the names of half the
ImageNet classes, captions, and letters at random; pictures are the train split's and one of
each class. A picture shows a concept when one of its five captions uses all of its words.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pictures import class_files, class_query, read_concepts, read_pictures, read_split

from relook.core.vectors import Floats
from relook.encoders.base import FitMap, Means
from relook.encoders.builtin import BuiltinEncoder
from relook.search.fit import FitScale, distinct, features

N_PICTURES, N_BACKGROUND, N_HITS, N_CAPTIONS, N_NONSENSE = 1500, 200, 40, 300, 60
SAME_NAME, SAME_CAPTION, OTHER = 0.5, 0.75, 0.5  # text cosines: unknown, shown, not shown
RIDGE, PENALTY, STEPS = 3.0, 0.1, 60
ALARMS = 0.08  # share of training queries with something that may be told "nothing fits"


@dataclass(frozen=True)
class Case:
    """Queries of one kind against one gallery.

    Args:
        vectors: [q, d] of the words.
        scores: [q, k] best first.
        shown: [q, k] 1, 0 or NaN where nobody knows.
        mean, deviation: [q] of the gallery's scores.
        weight: How much the kind counts.
    """

    vectors: Floats
    scores: Floats
    shown: Floats
    mean: Floats
    deviation: Floats
    weight: float


class Gallery:
    """Pictures with their tiles, and the words that people or labels use of each.

    Args:
        encoder: The built-in one.
        files: Pictures.
        words: A set of words for each caption of each picture.
    """

    def __init__(
        self, encoder: BuiltinEncoder, files: list[Path], words: list[list[set[str]]]
    ) -> None:
        pixels = read_pictures(files)
        self.tiles = np.stack(
            [
                tiles
                for at in range(0, len(pixels), encoder.batch)
                for tiles in encoder.encode_prepared(list(pixels[at : at + encoder.batch]))
            ]
        )  # [n, t, d]
        self.words, self.encoder = words, encoder

    def shows(self, query: str) -> np.ndarray:
        """[n] whether a caption of each picture uses all words of the query."""
        wanted = [{word, f"{word}s", f"{word}es"} for word in query.split()]
        return np.array(
            [any(all(one & said for one in wanted) for said in several) for several in self.words]
        )

    def case(
        self, queries: list[str], shown: np.ndarray, weight: float, hidden: np.ndarray | None = None
    ) -> Case:
        """What queries score here; `shown` [q, n], and `hidden` [q, n] what is taken out."""
        vectors = self.encoder.encode_texts(queries)
        drawn = np.random.default_rng(0).permutation(len(self.tiles))[:N_BACKGROUND]
        scale = FitScale(distinct(self.tiles[drawn]), self.encoder.tile_weight, None)
        scores = scale.best(vectors, self.tiles)  # [q, n]
        against = scores[:, drawn]
        if hidden is not None:
            scores = np.where(hidden, -np.inf, scores)
        order = np.argsort(-scores, axis=1)[:, :N_HITS]
        return Case(
            vectors,
            np.take_along_axis(scores, order, 1),
            np.take_along_axis(shown.astype(np.float32), order, 1),
            against.mean(1),
            against.std(1),
            weight,
        )


def cases(encoder: BuiltinEncoder, data: Path) -> tuple[list[Case], list[Case], Case]:
    """Every kind of query: those that have something here, and those that have nothing.

    And those whose pictures are taken out: what remains often shows the like, so only the line
    of "nothing fits" learns from them, not what a score is worth.
    """
    split = read_split(data, "train")
    chosen = np.sort(np.random.default_rng(3).permutation(len(split.files))[:N_PICTURES])
    captions = [split.captions[5 * at : 5 * at + 5] for at in chosen]
    said = [[set(caption.lower().split()) for caption in five] for five in captions]
    folder = data / "flickr8k" / "images"
    photographs = Gallery(encoder, [folder / split.files[at] for at in chosen], said)
    classes = class_files(data)
    names = [class_query(path).lower() for path in classes]
    things = Gallery(encoder, classes, [[set(name.split())] for name in names])
    there, gone = _concepts(photographs, data, split.files)
    some = [there, _captions(photographs, captions)]
    present, absent = _names(things, photographs, names)
    nonsense = photographs.case(_nonsense(), np.zeros((N_NONSENSE, N_PICTURES)), 0.5)
    return [*some, present], [*absent, nonsense], gone


def _concepts(gallery: Gallery, data: Path, files: list[str]) -> tuple[Case, Case]:
    """Short queries among all pictures, and among those that do not show them."""
    queries = [query for query, _ in read_concepts(data, "train", files)]
    shown = np.array([gallery.shows(query) for query in queries])
    there = shown.any(1)
    queries, shown = [q for q, has in zip(queries, there, strict=True) if has], shown[there]
    gone = gallery.case(queries, np.zeros_like(shown), 1, hidden=shown)
    return gallery.case(queries, shown, 4), gone


def _captions(gallery: Gallery, captions: list[list[str]]) -> Case:
    """Captions; a picture that is said to show about the same is unknown or shown."""
    drawn = np.random.default_rng(5).permutation(len(captions))[:N_CAPTIONS]
    queries = [captions[at][0] for at in drawn]
    others = gallery.encoder.encode_texts([one for five in captions for one in five[1:]])
    asked = gallery.encoder.encode_texts(queries)
    alike = (asked @ others.T).reshape(len(asked), len(captions), -1).max(2)  # [q, n]
    shown = _by_likeness(alike, SAME_CAPTION, OTHER)
    shown[np.arange(len(drawn)), drawn] = 1
    return gallery.case(queries, shown, 0.3)


def _by_likeness(alike: np.ndarray, same: float, other: float) -> np.ndarray:
    return np.where(alike >= same, 1.0, np.where(alike >= other, np.nan, 0.0))


def _names(things: Gallery, photographs: Gallery, names: list[str]) -> tuple[Case, list[Case]]:
    """Half the classes' names: among pictures of classes, without theirs, among photographs."""
    at = np.arange(0, len(names), 2)
    queries = [names[one] for one in at]
    vectors = things.encoder.encode_texts(names)
    alike = vectors[at] @ vectors.T  # [q, n]
    shown = _by_likeness(alike, np.inf, SAME_NAME)
    shown[np.arange(len(at)), at] = 1
    out = things.case(queries, np.zeros_like(alike), 0.5, hidden=alike >= SAME_NAME)
    known = set().union(*(said for several in photographs.words for said in several))
    strange = [one for one in queries if not any({w, f"{w}s"} & known for w in one.split())]
    nothing = np.zeros((len(strange), len(photographs.tiles)))
    return things.case(queries, shown, 0.5), [out, photographs.case(strange, nothing, 1)]


def _nonsense() -> list[str]:
    drawn = np.random.default_rng(60)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    return ["".join(drawn.choice(letters, drawn.integers(4, 12))) for _ in range(N_NONSENSE)]


def learn(some: list[Case], none: list[Case], gone: Case, means: Means) -> FitMap:
    """The map: what a picture that shows the words scores, then two logistic regressions."""
    expected, bias = _expected(some)
    kept = [*some, *none]
    usual = tuple(float(np.median(np.concatenate([getattr(case, name) for case in kept])))
                  for name in ("mean", "deviation"))  # fmt: skip
    zeros = np.zeros(6, np.float32)
    empty = FitMap(zeros, 0.0, expected, bias, usual, zeros, 0.0)
    means = replace(means, fit=empty)
    columns, shown, weights = [], [], []
    for case in kept:
        read = features(case.vectors, case.scores, case.mean, case.deviation, means).reshape(-1, 6)
        known = ~np.isnan(case.shown.ravel())
        columns.append(read[known])
        shown.append(case.shown.ravel()[known])
        weights.append(np.full(int(known.sum()), case.weight / len(case.vectors)))
    fitted, constant = logistic(*map(np.concatenate, (columns, shown, weights)))
    asked = [case for case in some if case.weight != 0.3]  # captions are no usual queries
    line, line_bias = _line(asked, [*none, gone], means)
    return replace(empty, weights=fitted, bias=constant, line=line, line_bias=line_bias)


def _line(some: list[Case], none: list[Case], means: Means) -> tuple[np.ndarray, float]:
    """Whether anything fits, from the best picture's numbers; each kind of query counts the same.

    Of no kind that has something more than `ALARMS` are told that nothing fits.
    """
    best = [_best(case, means) for case in (*some, *none)]
    there = np.repeat([1.0] * len(some) + [0.0] * len(none), [len(one) for one in best])
    weights = np.concatenate([np.full(len(one), 1 / len(one)) for one in best])
    line, _ = logistic(np.concatenate(best), there, weights)
    lowest = min(np.quantile(one @ line, ALARMS) for one in best[: len(some)])
    assert line[0] > 0
    return line, -float(lowest)


def _best(case: Case, means: Means) -> np.ndarray:
    """[q, 6] what the map reads of each query's best picture."""
    return features(case.vectors, case.scores[:, :1], case.mean, case.deviation, means)[:, 0]


def _expected(some: list[Case]) -> tuple[np.ndarray, float]:
    """Ridge regression of the best score that a right picture gets on the words' vector."""
    rows, best = [], []
    for case in some:
        right = np.where(case.shown == 1, case.scores, -np.inf).max(1)
        rows.append(case.vectors[np.isfinite(right)])
        best.append(right[np.isfinite(right)])
    vectors, scores = np.concatenate(rows).astype(np.float64), np.concatenate(best)
    centre, level = vectors.mean(0), scores.mean()
    offset = vectors - centre
    inverse = offset.T @ offset + RIDGE * np.eye(vectors.shape[1])
    slopes = np.linalg.solve(inverse, offset.T @ (scores - level))
    return slopes.astype(np.float32), float(level - centre @ slopes)


def logistic(
    columns: np.ndarray, shown: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, float]:
    """Weighted logistic regression by Newton's method; [n, f], [n], [n] -> [f] and a constant."""
    middle, spread = columns.mean(0), columns.std(0)
    table = np.c_[(columns - middle) / spread, np.ones(len(columns))].astype(np.float64)
    weights = weights / weights.sum() * 1000
    slopes = np.zeros(table.shape[1])
    penalty = np.diag([PENALTY] * columns.shape[1] + [0.0])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-table @ slopes))
        gradient = table.T @ (weights * (chance - shown)) + penalty @ slopes
        curve = (table.T * (weights * chance * (1 - chance))) @ table + penalty
        slopes -= np.linalg.solve(curve, gradient)
    plain = slopes[:-1] / spread
    return plain.astype(np.float32), float(slopes[-1] - plain @ middle)


def main() -> None:
    """Learns the map and writes it into the card."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    arguments = parser.parse_args()
    path = arguments.model / "model.json"
    card = json.loads(path.read_text("utf-8"))
    card.pop("fit", None)  # one of other towers would not open
    path.write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    encoder = BuiltinEncoder(arguments.model)
    some, none, gone = cases(encoder, arguments.data)
    assert encoder.means is not None
    learnt = learn(some, none, gone, encoder.means)
    card["fit"] = {
        "weights": [round(float(one), 5) for one in learnt.weights],
        "bias": round(learnt.bias, 5),
        "expected": [round(float(one), 5) for one in learnt.expected],
        "expected_bias": round(learnt.expected_bias, 5),
        "usual": [round(one, 5) for one in learnt.usual],
        "line": [round(float(one), 5) for one in learnt.line],
        "line_bias": round(learnt.line_bias, 5),
        "towers": [card["sha256"]["image.onnx"], card["sha256"]["text.onnx"]],
    }
    path.write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    print(json.dumps({k: v for k, v in card["fit"].items() if k != "expected"}, indent=1))
    for name, several in (("something", some), ("nothing", [*none, gone])):
        for case in several:
            sums = _best(case, replace(encoder.means, fit=learnt)) @ learnt.line
            told = np.mean(sums + learnt.line_bias < 0)
            print(f"{name}: {len(sums)} queries, told so {told:.2f}")


if __name__ == "__main__":
    main()
