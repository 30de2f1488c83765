"""Fit: laws of the scale, and what the shipped map makes of scores."""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from relook.bench.fit_report import calibration_error, reliability
from relook.core.types import WHOLE, Hit
from relook.core.vectors import unit
from relook.encoders.base import FitMap, Means
from relook.encoders.builtin import BuiltinEncoder
from relook.search.background import distinct
from relook.search.fit import FitScale, LookedFor, features, n_leading
from relook.search.negation import shows


@pytest.fixture(scope="module")
def encoder() -> BuiltinEncoder:
    return BuiltinEncoder()


def drawn(n: int, dim: int = 384) -> np.ndarray:
    return unit(np.random.default_rng(n).normal(size=(n, 6, dim)))


def scale(encoder: BuiltinEncoder, n: int) -> FitScale:
    return FitScale(drawn(n), encoder.tile_weight, encoder.means, 1000)


@pytest.mark.parametrize("n", [0, 1, 10, 200])
def test_fit_is_a_probability_that_rises_with_the_score(encoder: BuiltinEncoder, n: int) -> None:
    vectors = encoder.encode_texts(["a dog on a beach", "asdfghjkl"])
    scores = np.tile(np.linspace(-1, 1, 41, dtype=np.float32), (2, 1))
    fits = scale(encoder, n).fits(vectors, scores)
    assert ((fits >= 0) & (fits <= 1)).all()
    assert (np.diff(fits, axis=1) >= 0).all()
    assert (fits[:, -1] > 0.99).all()


def test_the_same_score_is_worth_less_of_words_that_describe_nothing(
    encoder: BuiltinEncoder,
) -> None:
    vectors = encoder.encode_texts(["a dog on a beach", "asdfghjkl"])
    known = scale(encoder, 200)
    dog, letters = known.fits(vectors, np.full((2, 1), 0.45, np.float32))[:, 0]
    assert dog > known.line(LookedFor.words(vectors[:1]))
    assert letters < dog


def test_the_map_is_of_the_shipped_towers(encoder: BuiltinEncoder) -> None:
    assert encoder.means is not None
    assert encoder.means.fit is not None
    assert encoder.means.fit.weights.shape == (6,)
    assert encoder.means.fit.expected.shape == (encoder.dim,)


def test_each_query_has_a_line_of_its_own(encoder: BuiltinEncoder) -> None:
    """A picture reaches it where the learnt sum of its numbers is not below zero."""
    known, means = scale(encoder, 200), encoder.means
    assert means is not None
    assert means.fit is not None
    vectors = encoder.encode_texts(["a dog on a beach", "asdfghjkl", "harp"])
    scores = np.tile(np.linspace(0, 1, 51, dtype=np.float32), (3, 1))
    read = features(scores, known.level(vectors))
    enough = read @ means.fit.line + means.fit.line_bias >= 0  # [3, 51], of a thousand
    lines = [known.line(LookedFor.words(vectors[at : at + 1])) for at in range(3)]
    fits = known.fits(vectors, scores)
    np.testing.assert_array_equal(fits >= np.array(lines)[:, None], enough | (fits >= 0.5))
    assert 0 < enough.mean() < 1
    assert len(set(lines)) == 3
    lowest = pytest.approx(min(lines), rel=1e-4)
    assert known.line(LookedFor.words(vectors)) == lowest, "the lowest of several parts"
    assert known.line(LookedFor(vectors[:1], np.ones(1, np.float32))) == pytest.approx(0.15)


def test_a_level_that_is_known_changes_nothing(encoder: BuiltinEncoder) -> None:
    known, scores = scale(encoder, 200), np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 6)
    vectors = encoder.encode_texts(["a dog on a beach", "harp"])
    learnt = LookedFor(vectors, np.array([np.nan, 0.6], np.float32))
    for wanted in (LookedFor.words(vectors), learnt):
        level = known.level(vectors)
        assert known.line(wanted, level) == known.line(wanted)
        np.testing.assert_array_equal(
            known.fits_wanted(wanted, scores, level), known.fits_wanted(wanted, scores)
        )


def test_the_map_of_an_older_model_has_one_line_for_all_words(
    encoder: BuiltinEncoder, tmp_path: Path
) -> None:
    older = copied(encoder.folder, tmp_path / "older", line=None, line_bias=None, nothing=0.3)
    vectors = older.encode_texts(["a dog on a beach", "asdfghjkl"])
    lines = [scale(older, 200).line(LookedFor.words(vectors[at : at + 1])) for at in range(2)]
    assert lines == pytest.approx([0.3, 0.3], abs=1e-4)


def copied(folder: Path, to: Path, **fit: object) -> BuiltinEncoder:
    """A model with other values of fit in its card; None takes a value away."""
    to.mkdir()
    for file in folder.iterdir():
        if file.name != "model.json":
            (to / file.name).symlink_to(file)
    card = json.loads((folder / "model.json").read_text("utf-8"))
    card["fit"] = {key: value for key, value in (card["fit"] | fit).items() if value is not None}
    (to / "model.json").write_text(json.dumps(card), "utf-8")
    return BuiltinEncoder(to)


def test_without_a_map_scores_are_read_by_the_background_alone() -> None:
    few, enough = (FitScale(drawn(n, 16), 1.0, None, n) for n in (29, 30))
    assert not few.is_known
    assert enough.is_known
    vectors = unit(np.ones((1, 16)))
    against = enough.best(vectors, enough.background)
    level = np.array([[against.mean(), against.mean() + 8 * against.std()]], np.float32)
    low, high = enough.fits(vectors, level)[0]
    assert low < enough.line(LookedFor.words(vectors)) < 0.9 < high


def test_copies_count_once() -> None:
    one = drawn(1, 16)
    assert len(distinct(np.repeat(one, 50, axis=0))) == 1
    assert len(distinct(np.concatenate([one, drawn(3, 16), one]))) == 4
    assert len(distinct(np.zeros((0, 1, 16), np.float32))) == 0


class Spelt:
    """Words to vectors by their letters, no two alike."""

    tile_weight = 1.0

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        seeds = [sum(map(ord, text)) for text in texts]
        return unit(np.stack([np.random.default_rng(seed).normal(size=384) for seed in seeds]))


def gone(left_out: str, means: Means | None) -> list[str]:
    """Which of four pictures, each of one word, leave."""
    pictures = ["girl", "climber", "dogs", "house"]
    vectors = Spelt().encode_texts(pictures)  # [n, d]
    files = SimpleNamespace(derived={"fit scale": FitScale(drawn(40)[:, :1], 1.0, means, 40)})
    mask = shows(left_out, lambda words: words @ vectors.T, files, Spelt())  # type: ignore[arg-type]
    return [name for name, is_gone in zip(pictures, mask, strict=True) if is_gone]


@pytest.mark.parametrize(
    ("left_out", "goes"),
    [("people", ["girl", "climber"]), ("A person", ["girl", "climber"]), ("the dog", ["dogs"]),
     ("girl", ["girl"]), ("dog house", [])],
)  # fmt: skip
def test_what_is_left_out_is_read_as_the_kinds_it_names(left_out: str, goes: list[str]) -> None:
    learnt = FitMap(np.zeros(6), 0.0, np.zeros(384), 2.0, (0.0, 0.1), np.zeros(6), 0.0)
    assert gone(left_out, Means(np.zeros(384), np.zeros(384), drawn(1)[0], learnt)) == goes


def test_kinds_were_learnt_with_the_map_and_are_read_with_one_only() -> None:
    assert gone("people", None) == []
    assert gone("girl", None) == ["girl"]


def hits(*fits: float | None) -> list[Hit]:
    return [Hit(at, __file__, 0.0, WHOLE, fit=fit) for at, fit in enumerate(fits)]  # type: ignore[arg-type]


def test_the_line_stands_behind_the_last_hit_that_fits() -> None:
    assert n_leading(hits(0.9, 0.1, 0.5, 0.1), 0.5, 0.5) == 3
    assert n_leading(hits(0.1, 0.2), 0.5, 0.5) == 0
    assert n_leading(hits(0.1, 0.2), 0.5, 0.5, frozenset((0,))) == 1
    assert n_leading(hits(None, None), 0.5, 0.5) is None
    assert n_leading([], 0.5, 0.5) is None


def test_of_few_pictures_the_best_fits_with_less_and_the_others_do_not() -> None:
    assert n_leading(hits(0.3, 0.25, 0.2), 0.15, 0.4) == 1
    assert n_leading(hits(0.6, 0.45, 0.2), 0.15, 0.4) == 2
    assert n_leading(hits(0.1, 0.1), 0.15, 0.4) == 0


def test_the_fewer_pictures_there_are_the_lower_stands_the_best_that_fits(
    encoder: BuiltinEncoder,
) -> None:
    wanted, known = LookedFor.words(encoder.encode_texts(["a harp"])), scale(encoder, 200)

    def line(n_images: int) -> float:
        return replace(known, n_images=n_images).line(wanted)

    lines = [line(n) for n in (30, 100, 300, 1000, 3000)]
    assert lines == sorted(lines)
    assert lines[0] < 0.7 * lines[3], "the line of a thousand would hide what thirty hold"
    assert (line(3), line(50_000)) == (lines[0], lines[4]), "as far as it was learnt"
    assert replace(known, n_images=30).of_many.line(wanted) == lines[3]
    assert replace(known, n_images=3000).of_many.line(wanted) == lines[4]


def test_reliability_and_its_error() -> None:
    fits = np.array([0.05, 0.05, 0.95, 1.0], np.float32)
    bins = reliability(fits, np.array([False, True, True, True]))
    assert [(one.low, one.n, one.shown) for one in bins] == [(0.0, 2, 0.5), (0.9, 2, 1.0)]
    assert calibration_error(bins) == pytest.approx((2 * 0.45 + 2 * 0.025) / 4)
