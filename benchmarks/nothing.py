"""How well anything tells that nothing fits, once a concept's pictures are taken out.

Every query is asked of 1,000 pictures twice: as they are, and without those that show it. Numbers
of several kinds are read of both; each alone, and kinds joined by a logistic map that is learnt on
training concepts, are held to a tenth of false alarms. What is printed is a ceiling for the map of
`relook.search.fit`, not what it does: "relook bench fit" measures that.

    python benchmarks/nothing.py train.relook dev.relook --captions captions.tsv \
        --train-queries concepts-train.jsonl --queries concepts-dev.jsonl
"""

import argparse
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import relook
from relook.bench.fit_report import shows
from relook.bench.query_files import Caption, Wanted, read_captions, read_concepts
from relook.bench.simulate import gallery_of
from relook.core.vectors import Floats, Ints, unit
from relook.encoders.base import Encoder, FitMap, Means
from relook.feedback.remaining import Doubles
from relook.search.completeness import Flags

GALLERY, N_BACKGROUND, FEWEST = 1000, 200, 300
ALARMS, PENALTY, STEPS, FOLDS, N_WORDS, KIN = 0.1, 10.0, 30, 5, 900, 10
PHRASINGS = ("a photo of {}", "{} in a picture", "there is {}", "people with {}")
USUAL_WORDS = (
    "a an the of in on at with and is are to his her its their it by for from as that up two one"
    " some while who through into other out over another near next be him them they has down off"
)
KINDS = ("map", "scores", "gaps", "wholes", "alike", "phrasings", "described", "words")

Numbers = dict[str, float]


@dataclass(frozen=True, slots=True, eq=False)
class Words:
    """Words beside which a query is read: [v, d] vectors, and the words where there are any."""

    vectors: Floats
    words: tuple[str, ...] = ()

    def kin(self, query: str, vector: Floats) -> tuple[Ints, Flags]:
        """The words nearest to a query, and [v] all that are not the query itself."""
        likeness = self.vectors @ vector
        own = {form for word in query.split() for form in (word, f"{word}s", word.rstrip("s"))}
        others = likeness < 0.98
        if self.words:
            others &= ~np.isin(self.words, list(own))
        at = np.flatnonzero(others)
        return at[np.argsort(-likeness[at])[:KIN]], others


class Pictures:
    """Up to 1,000 pictures, and what everything scores on them.

    Args:
        tiles: [n, t, d] of the pictures.
        encoder: That reads words.
        others: Words beside which queries are read, by the kind of number they give.
    """

    def __init__(self, tiles: Floats, encoder: Encoder, others: dict[str, Words]) -> None:
        assert encoder.means is not None
        self.tiles, self.encoder, self.others = tiles, encoder, others
        self.means: Means = encoder.means
        whole = unit(tiles[:, 0] - tiles[:, 0].mean(axis=0))
        self.likeness = whole @ whole.T  # [n, n]
        self.scores_of = {kind: self.best(each.vectors)[0] for kind, each in others.items()}

    def best(self, vectors: Floats) -> tuple[Floats, Floats]:
        """[q, n] of each picture's best tile, and of the whole picture."""
        scores = np.einsum("ntd,qd->qnt", self.tiles, vectors, optimize=True)
        whole = scores[:, :, 0].copy()
        scores[:, :, 1:] *= self.encoder.tile_weight
        return scores.max(axis=2), whole

    def read(self, query: str, shown: Flags) -> list[dict[str, Numbers]]:
        """What is read of a query: with all pictures, and without those that show it."""
        vectors = self.encoder.encode_texts([query, *(said.format(query) for said in PHRASINGS)])
        scores, whole = self.best(vectors)
        return [
            self._read(query, vectors[0], scores[:, kept], whole[0, kept], np.flatnonzero(kept))
            for kept in (np.ones_like(shown), ~shown)
        ]

    def _read(
        self, query: str, vector: Floats, scores: Floats, whole: Floats, kept: Ints
    ) -> dict[str, Numbers]:
        """All numbers by kind; scores [1 + phrasings, k], whole [k], and which pictures [k]."""
        drawn = np.random.default_rng(0).permutation(len(kept))[:N_BACKGROUND]
        mean, deviation = scores[:, drawn].mean(axis=1), scores[:, drawn].std(axis=1)
        standard = (scores - mean[:, None]) / deviation[:, None]
        order = np.argsort(-standard[0])
        fit = self.means.fit
        assert fit is not None
        of_map, expected = self._map(fit, vector, scores[0, order[0]], (mean[0], deviation[0]))
        return {
            "map": of_map,
            "scores": _scores(standard[0, order], scores[0, order[0]], mean[0], expected),
            "gaps": _gaps(standard[0, order]),
            "wholes": _wholes(scores[0], whole, order, drawn),
            "alike": self._alike(standard[0], order, kept),
            "phrasings": _phrasings(standard[1:], order),
            **{
                kind: self._beside(kind, (query, vector), standard[0], order, kept, drawn)
                for kind in self.others
            },
        }

    def _map(
        self, fit: FitMap, vector: Floats, score: float, level: tuple[float, float]
    ) -> tuple[Numbers, float]:
        """The six numbers of the map of fit, and the score that a right picture usually has."""
        assert self.means.phrasings is not None
        near = np.sort(self.means.phrasings @ vector)[-10:]
        expected = float(vector @ fit.expected + fit.expected_bias)
        read = (score, *level, near.max(), near.mean(), expected)
        return {f"map {at}": float(value) for at, value in enumerate(read)}, expected

    def _alike(self, standard: Floats, order: Ints, kept: Ints) -> Numbers:
        """How alike the first pictures are, and how many neighbours they have."""
        made = {}
        for n in (5, 10, 20):
            among = self.likeness[np.ix_(kept[order[:n]], kept[order[:n]])]
            made[f"first {n} alike"] = float((among.sum() - n) / (n * n - n))
        near = self.likeness[np.ix_(kept[order[:5]], kept)]  # [5, k]
        made["neighbours of the first"] = float(np.log1p((near[0] > 0.5).sum()))
        made["neighbours of the first 5"] = float(np.log1p((near > 0.5).sum()))
        beside = np.argsort(-near[:3], axis=1)[:, 1:11]
        made["scores of the neighbours"] = float(standard[beside].mean())
        return made

    def _beside(
        self, kind: str, asked: tuple[str, Floats], standard: Floats, order: Ints, kept: Ints,
        drawn: Ints,
    ) -> Numbers:  # fmt: skip
        """How the first pictures stand for other words, and for those nearest to the query."""
        words = self.others[kind]
        scores = self.scores_of[kind][:, kept]  # [v, k]
        mean, deviation = scores[:, drawn].mean(axis=1), scores[:, drawn].std(axis=1)
        first, own = order[:5], standard[order[:5]]
        others = (scores[:, first] - mean[:, None]) / deviation[:, None]  # [v, 5]
        kin, is_other = words.kin(*asked)
        ahead = np.log1p((others[is_other] > own).sum(axis=0))
        top = (np.sort(scores[kin], axis=1)[:, -5:].mean(axis=1) - mean[kin]) / deviation[kin]
        twenty = set(order[:20].tolist())
        shared = [len(twenty & set(np.argsort(-scores[at])[:20].tolist())) / 20 for at in kin[:5]]
        read = {
            "ahead of the first": ahead[0], "ahead of the first 5": ahead.mean(),
            "less the best kin": (own - others[kin].max(axis=0)).mean(),
            "less the mean kin": (own - others[kin].mean(axis=0)).mean(),
            "less the best of all": (own - others[is_other].max(axis=0)).mean(),
            "kin's own first": top.max(), "less kin's own first": own.mean() - top.max(),
            "likeness of kin": (words.vectors[kin] @ asked[1]).max(),
            "pictures shared with kin": max(shared), "the same in the mean": np.mean(shared),
        }  # fmt: skip
        return {f"{kind}: {name}": float(value) for name, value in read.items()}


def _scores(standard: Floats, first: float, mean: float, expected: float) -> Numbers:
    """Standard scores of the first pictures, and the first against what a right one has."""
    made = {f"first {n}": float(standard[:n].mean()) for n in (1, 3, 5, 20)}
    made |= {f"above {n} deviations": float(np.log1p((standard > n).sum())) for n in (3, 4)}
    made["first less expected"] = first - expected
    made["share of the expected"] = (first - mean) / (expected - mean)
    return made


def _gaps(standard: Floats) -> Numbers:
    """How the first stands out of the tail: exponential excess, and Hill's estimate."""
    made = {f"first less {n}": float(standard[0] - standard[n - 1]) for n in (5, 20, 50)}
    excess = standard[10:100] - standard[99]
    made["mean excess"] = float(excess.mean())
    made["first in mean excesses"] = float((standard[0] - standard[99]) / excess.mean())
    floor = max(float(standard[40]), 0.1)
    made["Hill"] = float(np.log(np.maximum(standard[:40], 0.1) / floor).mean())
    return made


def _wholes(scores: Floats, whole: Floats, order: Ints, drawn: Ints) -> Numbers:
    """Whole pictures instead of tiles, and how far the two are apart."""
    best, deviation = np.sort(whole)[::-1], whole[drawn].std()
    level = whole[drawn].mean()
    return {
        "first whole": float((best[0] - level) / deviation),
        "first 5 wholes": float((best[:5].mean() - level) / deviation),
        "tile less whole": float((scores - whole)[order[:5]].mean() / scores[drawn].std()),
        "wholes among 10": float((whole >= scores - 1e-6)[order[:10]].mean()),
    }


def _phrasings(standard: Floats, order: Ints) -> Numbers:
    """How the query said otherwise [p, k] agrees."""
    first, twenty = standard.max(axis=1), set(order[:20].tolist())
    shared = [len(twenty & set(np.argsort(-each)[:20].tolist())) / 20 for each in standard]
    read = (first.mean(), first.min(), first.std(), np.mean(shared))
    names = ("mean", "least", "deviation", "pictures shared")
    return {f"phrasings: {name}": float(value) for name, value in zip(names, read, strict=True)}


@dataclass(frozen=True, slots=True, eq=False)
class Read:
    """What was read, row by row: a query with all pictures, or without those that show it.

    Args:
        table: [r, f] numbers.
        gone: [r] whether the pictures were taken out.
        queries: [r] which query it is.
        fits: [r] what fit says of the best picture.
        names: Kind and name of each number.
    """

    table: Doubles
    gone: Flags
    queries: Ints
    fits: Doubles
    names: tuple[tuple[str, str], ...]

    def columns(self, kinds: Sequence[str]) -> Doubles:
        """[r, c] the numbers of some kinds."""
        return self.table[:, [kind in kinds for kind, _ in self.names]]


def read(
    path: Path, wanted: Sequence[Wanted], captions: Sequence[Caption], words: Sequence[str]
) -> Read:
    """Everything of a library, in galleries of 1,000."""
    rows: list[dict[str, Numbers]] = []
    gone: list[bool] = []
    queries: list[int] = []
    with relook.Library(path) as library:
        encoder = library.engine.encoder
        gallery, index = gallery_of(library.engine)
        said: list[list[set[str]]] = [[] for _ in index]
        for caption in captions:
            if caption.image in index:
                said[index[caption.image]].append(set(re.findall(r"\w+", caption.text.lower())))
        assert encoder.means is not None
        fit, phrasings = encoder.means.fit, encoder.means.phrasings
        assert fit is not None
        assert phrasings is not None
        vectors = encoder.encode_texts(list(words))
        others = {
            "described": Words(phrasings),
            "words": Words(vectors, tuple(words)),
        }
        n_parts = max(round(len(index) / GALLERY), 1)
        for part in range(n_parts):
            pictures = Pictures(gallery.tiles[part::n_parts], encoder, others)
            for number, wish in enumerate(wanted):
                shown = shows(wish, index, said)[part::n_parts]
                if shown.any() and (~shown).sum() >= FEWEST:
                    rows += pictures.read(wish.words, shown)
                    gone, queries = [*gone, False, True], [*queries, number, number]
    names = tuple((kind, name) for kind, numbers in rows[0].items() for name in numbers)
    table = np.array([[value for kind in row.values() for value in kind.values()] for row in rows])
    fits = 1 / (
        1 + np.exp(-table[:, : len(fit.weights)] @ fit.weights - fit.bias)
    )  # "map" is first
    return Read(table, np.array(gone), np.array(queries), fits, names)


def logistic(columns: Doubles, there: Flags) -> tuple[Doubles, Doubles, Doubles]:
    """Slopes [c + 1] of a ridge logistic map of standardised columns, by Newton's method."""
    middle, spread = columns.mean(axis=0), columns.std(axis=0) + 1e-9
    table = np.c_[(columns - middle) / spread, np.ones(len(columns))]
    penalty = np.diag([PENALTY] * columns.shape[1] + [0.0])
    slopes = np.zeros(table.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-table @ slopes))
        curve = (table.T * (chance * (1 - chance))) @ table + penalty
        slopes += np.linalg.solve(curve, table.T @ (there - chance) - penalty @ slopes)
    return slopes, middle, spread


def sums(learnt: tuple[Doubles, Doubles, Doubles], columns: Doubles) -> Doubles:
    """What a map says of columns: high where something fits."""
    slopes, middle, spread = learnt
    values: Doubles = ((columns - middle) / spread) @ slopes[:-1] + slopes[-1]
    return values


def told(values: Doubles, gone: Flags) -> float:
    """Share told of what was taken out, where just a tenth of the others is told."""
    line = np.quantile(values[~gone], ALARMS, method="lower")
    return float((values[gone] < line).mean())


def apart(values: Doubles, gone: Flags) -> float:
    """Chance that something with its pictures has a higher value than something without."""
    here, without = values[~gone][:, None], values[gone][None]
    return float((here > without).mean() + (here == without).mean() / 2)


def interval(values: Doubles, gone: Flags) -> tuple[float, float]:
    """95% of `told`, by drawing queries anew."""
    n = int(gone.sum())
    pairs = np.stack([values[~gone], values[gone]])  # [2, q]
    flags = np.repeat([False, True], n)
    rng = np.random.default_rng(0)
    drawn = [told(pairs[:, rng.integers(0, n, n)].ravel(), flags) for _ in range(1000)]
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


def apart_by_queries(train: Read, kinds: Sequence[str]) -> Doubles:
    """[r] what a map says of training queries that it was not learnt from."""
    columns, made = train.columns(kinds), np.zeros(len(train.gone))
    fold = np.random.default_rng(1).permutation(train.queries.max() + 1)[train.queries] % FOLDS
    for each in range(FOLDS):
        inside = fold == each
        made[inside] = sums(logistic(columns[~inside], ~train.gone[~inside]), columns[inside])
    return made


def report(train: Read, dev: Read) -> None:
    """Prints each number alone, the best first, and kinds joined."""
    alone = []
    for at, (_, name) in enumerate(train.names):
        sign = 1 if apart(train.table[:, at], train.gone) >= 0.5 else -1
        values = sign * dev.table[:, at]
        alone.append((told(values, dev.gone), apart(values, dev.gone), name))
    for share, chance, name in sorted(alone, reverse=True):
        print(f"{share:.3f} told at .10, {chance:.3f} apart: {name}")
    print(
        "kinds joined: told at .10 on dev, 95% interval, apart; training queries not learnt from;"
    )
    print("with the line of a tenth of these: told on dev, false alarms there, and the same where")
    print("what fits with .5 or more is never told")
    joined = [KINDS[:1], *((KINDS[0], kind) for kind in KINDS[1:]), KINDS[:5], KINDS[:7], KINDS]
    for kinds in joined:
        values = sums(logistic(train.columns(kinds), ~train.gone), dev.columns(kinds))
        held = apart_by_queries(train, kinds)
        line = np.quantile(held[~train.gone], ALARMS)
        low, high = interval(values, dev.gone)
        rules = [values < line, (values < line) & (dev.fits < 0.5)]
        shares = [(rule[dev.gone].mean(), rule[~dev.gone].mean()) for rule in rules]
        ruled = ", ".join(f"{taken_out:.3f} at {alarms:.3f}" for taken_out, alarms in shares)
        print(
            f"{told(values, dev.gone):.3f} ({low:.3f} to {high:.3f}),"
            f" {apart(values, dev.gone):.3f}; {told(held, train.gone):.3f}; {ruled}:"
            f" {', '.join(kinds)}"
        )


def main() -> None:
    """Reads both libraries, learns on one, prints what holds on the other."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("train", type=Path)
    parser.add_argument("dev", type=Path)
    parser.add_argument("--captions", type=Path, required=True, help="with the split of each line")
    parser.add_argument("--train-queries", type=Path, required=True)
    parser.add_argument("--queries", type=Path, required=True)
    options = parser.parse_args()
    captions = read_captions(options.captions, "train")
    counted = Counter(
        word for each in captions for word in set(re.findall(r"[a-z]+", each.text.lower()))
    )
    usual = USUAL_WORDS.split()
    words = [word for word, _ in counted.most_common() if word not in usual][:N_WORDS]
    train = read(options.train, read_concepts(options.train_queries), captions, words)
    dev_captions = read_captions(options.captions, "dev")
    dev = read(options.dev, read_concepts(options.queries), dev_captions, words)
    report(train, dev)


if __name__ == "__main__":
    main()
