"""The map of fit for the built-in encoder: from scores to probabilities. Run it after new weights.

Reads how the shipped towers score captioned pictures that are for training, and writes a few
hundred numbers into the model's card: `relook.search.fit` reads them.

    python training/fit.py --data DATA --model src/relook/encoders/builtin_model

A minute on two cores. Needs relook. Queries are the train concepts, the words that
most captions share, the names of half the ImageNet classes, captions, and letters at
random; pictures are some of the train split's and one of each class, in galleries of 30 to 3,000. A
picture shows a concept when one of its five captions uses all of its words.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from pictures import class_files, class_query, read_concepts, read_pictures, read_split
from short_queries import common_words, words_of

from relook.core.vectors import Floats
from relook.encoders.base import FitMap, Means
from relook.encoders.builtin import BuiltinEncoder
from relook.search.fit import FitScale, features, thousands

SIZES, DRAWS = (3000, 1000, 300, 100, 30), 3  # galleries, and how often a small one is drawn
N_BACKGROUND, N_HITS, N_CAPTIONS, N_NONSENSE = 200, 40, 300, 60
SAME_NAME, SAME_CAPTION, OTHER = 0.5, 0.75, 0.5  # text cosines: unknown, shown, not shown
RIDGE, PENALTY, STEPS = 3.0, 0.1, 60
ALARMS = 0.09  # of training queries with something so many are told "nothing fits": .1 is allowed
WEIGHTS = {
    "concept": 4, "caption": 0.3, "name": 0.5, "name taken out": 0.5, "name of nothing here": 1,
    "letters": 0.5,
}  # fmt: skip
"""How much each kind of query counts for what a score is worth; the others are for the line."""


@dataclass(frozen=True)
class Case:
    """Queries of one kind against one gallery.

    Args:
        kind: A key of `WEIGHTS`, or a kind for the line alone.
        vectors: [q, d] of the words.
        scores: [q, k] best first.
        shown: [q, k] 1, 0 or NaN where nobody knows.
        against: [q, b] what up to 200 pictures of the gallery score.
        n_images: Of the gallery.
        is_gone: Whether what the queries ask for was taken out. What remains often shows the like,
            so only the line of "nothing fits" learns from them, not what a score is worth.
    """

    kind: str
    vectors: Floats
    scores: Floats
    shown: Floats
    against: Floats
    n_images: int
    is_gone: bool = False

    @property
    def has_something(self) -> bool:
        """Whether each query has a picture that shows it."""
        return bool((self.shown == 1).any())


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
        self._random = np.random.default_rng(11)
        self._drawn = {
            n: [self._random.choice(len(files), n, replace=False) for _ in range(DRAWS)]
            for n in SIZES
            if n < len(files)
        } | {len(files): [np.arange(len(files))]}

    def shows(self, query: str) -> np.ndarray:
        """[n] whether a caption of each picture uses all words of the query."""
        wanted = [{word, f"{word}s", f"{word}es"} for word in query.split()]
        return np.array(
            [any(all(one & said for one in wanted) for said in several) for several in self.words]
        )

    def cases(self, kind: str, queries: list[str], shown: np.ndarray) -> Iterator[Case]:
        """What queries score in galleries of every size.

        Args:
            kind: Of the queries.
            queries: [q]
            shown: [q, n] 1, 0, or NaN where nobody knows.
        """
        vectors = self.encoder.encode_texts(queries)
        scale = FitScale(self.tiles[:0], self.encoder.tile_weight, None, 0)
        scores = scale.best(vectors, self.tiles)  # [q, n]
        for drawn in (each for several in self._drawn.values() for each in several):
            there = (shown[:, drawn] == 1).any(axis=1)
            for which in (there, ~there):
                if which.any():
                    yield self._case(kind, vectors[which], scores, shown, (which, drawn))
            if len(drawn) >= FEW and kind == "concept" and there.any():
                left = np.where(shown == 1, -np.inf, scores)
                case = self._case(kind, vectors[there], left, np.zeros_like(shown), (there, drawn))
                against = scores[there][:, self._random.permutation(drawn)[:N_BACKGROUND]]
                yield replace(case, against=against, is_gone=True)

    def _case(
        self, kind: str, vectors: Floats, scores: np.ndarray, shown: np.ndarray,
        which: tuple[np.ndarray, np.ndarray],
    ) -> Case:  # fmt: skip
        queries, drawn = which
        scores, shown = (table[queries][:, drawn] for table in (scores, shown))
        order = np.argsort(-scores, axis=1)[:, :N_HITS]
        against = scores[:, self._random.permutation(len(drawn))[:N_BACKGROUND]]
        best, known = (np.take_along_axis(table, order, 1) for table in (scores, shown))
        return Case(kind, vectors, best, known.astype(np.float32), against, len(drawn))


FEW = 1000  # images from which a concept's pictures are taken out of a gallery


def cases(encoder: BuiltinEncoder, data: Path) -> list[Case]:
    """Every kind of query, in galleries of every size."""
    split = read_split(data, "train")
    chosen = np.sort(np.random.default_rng(3).permutation(len(split.files))[: SIZES[0]])
    captions = [split.captions[5 * at : 5 * at + 5] for at in chosen]
    said = [[set(words_of(caption)) for caption in five] for five in captions]
    folder = data / "flickr8k" / "images"
    photographs = Gallery(encoder, [folder / split.files[at] for at in chosen], said)
    classes = class_files(data)
    names = [class_query(path).lower() for path in classes]
    things = Gallery(encoder, classes, [[set(name.split())] for name in names])
    of_queries = {
        "concept": [query for query, _ in read_concepts(data, "train", split.files)],
        "common": common_words(split.captions),
    }
    several = []
    for kind, queries in of_queries.items():
        shown = np.array([photographs.shows(query) for query in queries])
        several += photographs.cases(kind, queries, shown.astype(np.float32))
    several += _captions(photographs, captions)
    several += _names(things, photographs, names)
    nonsense = _nonsense()
    nothing = np.zeros((len(nonsense), SIZES[0]), np.float32)
    return [*several, *photographs.cases("letters", nonsense, nothing)]


def _captions(gallery: Gallery, captions: list[list[str]]) -> list[Case]:
    """Captions; a picture that is said to show about the same is unknown or shown."""
    drawn = np.random.default_rng(5).permutation(len(captions))[:N_CAPTIONS]
    queries = [captions[at][0] for at in drawn]
    others = gallery.encoder.encode_texts([one for five in captions for one in five[1:]])
    asked = gallery.encoder.encode_texts(queries)
    alike = (asked @ others.T).reshape(len(asked), len(captions), -1).max(2)  # [q, n]
    shown = _by_likeness(alike, SAME_CAPTION, OTHER)
    shown[np.arange(len(drawn)), drawn] = 1
    return [
        case for case in gallery.cases("caption", queries, shown)
        if case.n_images == len(captions)
    ]  # fmt: skip


def _by_likeness(alike: np.ndarray, same: float, other: float) -> np.ndarray:
    return np.where(alike >= same, 1.0, np.where(alike >= other, np.nan, 0.0))


def _names(things: Gallery, photographs: Gallery, names: list[str]) -> Iterator[Case]:
    """Half the classes' names: among pictures of classes, without theirs, among photographs."""
    at = np.arange(0, len(names), 2)
    queries = [names[one] for one in at]
    vectors = things.encoder.encode_texts(names)
    alike = vectors[at] @ vectors.T  # [q, n]
    shown = _by_likeness(alike, np.inf, SAME_NAME)
    shown[np.arange(len(at)), at] = 1
    for case in things.cases("name", queries, shown):
        if case.has_something:
            yield case
            like = np.where(np.isnan(case.shown) | (case.shown == 1), -1.0, case.scores)
            order = np.argsort(-like, axis=1)
            rest = np.take_along_axis(like, order, 1)
            yield replace(case, kind="name taken out", scores=rest, shown=np.zeros_like(rest))
    known = set().union(*(said for several in photographs.words for said in several))
    strange = [one for one in queries if not any({w, f"{w}s"} & known for w in one.split())]
    nothing = np.zeros((len(strange), len(photographs.tiles)), np.float32)
    yield from photographs.cases("name of nothing here", strange, nothing)


def _nonsense() -> list[str]:
    drawn = np.random.default_rng(60)
    letters = list("abcdefghijklmnopqrstuvwxyz")
    return ["".join(drawn.choice(letters, drawn.integers(4, 12))) for _ in range(N_NONSENSE)]


def learn(several: list[Case], known: Means, tile_weight: float) -> FitMap:
    """The map: what a picture that shows the words scores, then two logistic regressions."""
    known_kinds = [case for case in several if case.kind in WEIGHTS and not case.is_gone]
    largest = [case for case in known_kinds if case.n_images >= FEW]
    expected, bias = _expected([case for case in largest if case.has_something])
    usual = tuple(
        float(np.median(np.concatenate([of(case.against) for case in largest])))
        for of in (lambda scores: scores.mean(axis=1), lambda scores: scores.std(axis=1))
    )
    zeros = np.zeros(6, np.float32)
    empty = FitMap(zeros, 0.0, expected, bias, usual, zeros, 0.0)
    means = replace(known, fit=empty)
    columns, shown, weights = [], [], []
    for case in largest:
        if case.n_images == FEW and not case.kind.startswith("name"):
            continue  # the same pictures as the largest gallery's
        read = _read(case, case.scores, means, tile_weight).reshape(-1, 6)
        is_known = ~np.isnan(case.shown.ravel())
        columns.append(read[is_known])
        shown.append(case.shown.ravel()[is_known])
        weight = WEIGHTS[case.kind] / len(case.vectors)
        weights.append(np.full(int(is_known.sum()), weight))
    fitted, constant = logistic(*map(np.concatenate, (columns, shown, weights)))
    line, line_size, line_bias = _line(several, means, tile_weight)
    return replace(
        empty, weights=fitted, bias=constant, line=line, line_bias=line_bias, line_size=line_size
    )


def _line(several: list[Case], means: Means, tile_weight: float) -> tuple[np.ndarray, float, float]:
    """Whether anything fits, from the best picture's numbers and how many pictures there are.

    Each kind of query and size of gallery counts the same. Of no kind that has something, in
    galleries of no size, more than `ALARMS` are told that nothing fits.
    """
    asked = [case for case in several if case.kind != "caption"]  # captions are no usual queries
    kinds = [(case.kind, case.n_images, case.has_something, case.is_gone) for case in asked]
    n_of = Counter(kinds)
    best = [
        np.column_stack(
            [
                best_of(case, means, tile_weight),
                np.full(len(case.vectors), thousands(case.n_images)),
            ]
        )
        for case in asked
    ]
    there = np.repeat([float(case.has_something) for case in asked], [len(rows) for rows in best])
    weights = [
        np.full(len(rows), 1 / n_of[kind] / len(rows))
        for rows, kind in zip(best, kinds, strict=True)
    ]
    line, _ = logistic(np.concatenate(best), there, np.concatenate(weights))
    assert line[0] > 0
    sums: dict[tuple[str, int], list[np.ndarray]] = defaultdict(list)
    for case, rows in zip(asked, best, strict=True):
        if case.has_something:
            sums[case.kind, case.n_images].append(rows @ line)
    lowest = min(np.quantile(np.concatenate(each), ALARMS) for each in sums.values())
    return line[:-1], float(line[-1]), -float(lowest)


def _read(case: Case, scores: Floats, means: Means, tile_weight: float) -> np.ndarray:
    """[q, k, 6] what the map reads of scores."""
    scale = FitScale(np.zeros((0, 1, case.vectors.shape[1])), tile_weight, means, case.n_images)
    return features(scores, scale.level(case.vectors, case.against))


def best_of(case: Case, means: Means, tile_weight: float) -> np.ndarray:
    """[q, 6] what the map reads of each query's best picture."""
    return _read(case, case.scores[:, :1], means, tile_weight)[:, 0]


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
    several = cases(encoder, arguments.data)
    assert encoder.means is not None
    learnt = learn(several, encoder.means, encoder.tile_weight)
    card["fit"] = {
        "weights": [round(float(one), 5) for one in learnt.weights],
        "bias": round(learnt.bias, 5),
        "expected": [round(float(one), 5) for one in learnt.expected],
        "expected_bias": round(learnt.expected_bias, 5),
        "usual": [round(one, 5) for one in learnt.usual],
        "line": [round(float(one), 5) for one in learnt.line],
        "line_bias": round(learnt.line_bias, 5),
        "line_size": round(learnt.line_size, 5),
        "towers": [card["sha256"]["image.onnx"], card["sha256"]["text.onnx"]],
    }
    path.write_text(json.dumps(card, indent=1) + "\n", "utf-8")
    print(json.dumps({k: v for k, v in card["fit"].items() if k != "expected"}, indent=1))
    means, told = replace(encoder.means, fit=learnt), defaultdict(list)
    for case in several:
        sums = best_of(case, means, encoder.tile_weight) @ learnt.line
        sums += learnt.line_bias + learnt.line_size * thousands(case.n_images)
        what = "taken out" if case.is_gone else "there" if case.has_something else "nothing"
        told[case.kind, case.n_images, what].append(sums < 0)
    for (kind, n_images, what), each in sorted(told.items()):
        share = np.mean(np.concatenate(each))
        print(f"{kind}, {what}, {n_images} images: told that nothing fits {share:.2f}")


if __name__ == "__main__":
    main()
