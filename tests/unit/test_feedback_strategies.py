"""Each feedback strategy on cases small enough to work out by hand."""

import numpy as np
import pytest

from relook.core.errors import NotFoundError
from relook.core.vectors import Floats, unit
from relook.feedback.directions import covariance, whiten
from relook.feedback.judged import Evidence, Judged
from relook.feedback.probe import ProbeOptions, minimise, probe
from relook.feedback.rocchio import (
    PAPER,
    RegionOptions,
    RocchioOptions,
    caption_rocchio,
    region,
    rocchio,
)
from relook.feedback.scorer import LinearScorer
from relook.feedback.strategies import BayesOptions, bayes
from relook.feedback.summaries import AfsOptions, afs, grf, prf

X, Y, Z = np.eye(3, dtype=np.float32)


def click(index: int, sign: int, vector: np.ndarray, **more: object) -> Judged:
    return Judged(index, sign, np.asarray(vector, np.float32)[None], **more)  # type: ignore[arg-type]


def test_rocchio_is_the_weighted_sum() -> None:
    judged = Evidence(X, (click(0, 1, Y, weight=3.0), click(1, 1, X), click(2, -1, Z)))
    scorer = rocchio(judged)
    expected = np.array([1 + 0.5 / 4, 0.5 * 3 / 4, -0.25])
    np.testing.assert_allclose(scorer.vector, expected / np.linalg.norm(expected), atol=1e-6)
    assert scorer.norm == pytest.approx(np.linalg.norm(expected))
    assert [part.name for part in scorer.parts] == [
        "query",
        "relevant 0",
        "relevant 1",
        "irrelevant 2",
    ]
    np.testing.assert_allclose(scorer.parts[3].vector, [0, 0, -0.25 / scorer.norm], atol=1e-6)


def test_the_papers_weights_move_less() -> None:
    judged = Evidence(X, (click(0, 1, Y),))
    np.testing.assert_allclose(
        rocchio(judged, PAPER).vector, np.array([0.8, 0.1, 0]) / np.hypot(0.8, 0.1), atol=1e-6
    )


@pytest.mark.parametrize(
    ("rounds", "expected"),
    [
        # One update of X by Y, then one by Z: from the update, or from its mean with X.
        ("chained", [1, 1, np.sqrt(2)]),
        ("fused", [(np.sqrt(0.5) + 1) / 2, np.sqrt(0.5) / 2, 1]),
        ("refit", [1, 0.5, 0.5]),
    ],
)
def test_chained_updates_start_from_the_round_before(rounds: str, expected: list[float]) -> None:
    judged = Evidence(X, (click(0, 1, Y, round=0), click(1, 1, Z, round=1)))
    options = RocchioOptions(1.0, 1.0, 0.0, rounds=rounds)  # type: ignore[arg-type]
    np.testing.assert_allclose(rocchio(judged, options).vector, unit(np.array(expected)), atol=1e-6)


def test_captions_count_and_pictures_without_one_do_not() -> None:
    judged = Evidence(X, (click(0, 1, Z, caption=Y), click(1, 1, Z)))
    scorer = caption_rocchio(judged, RocchioOptions())
    np.testing.assert_allclose(scorer.vector, unit(np.array([1, 0.5, 0])), atol=1e-6)
    assert [part.name for part in scorer.parts] == ["query", "caption relevant 0"]


def test_a_box_pulls_to_its_crop_and_away_from_what_is_around_it() -> None:
    boxed = Judged(0, 1, np.stack([Y, X]), context=np.stack([Z, Z]), boxed=True)
    scorer = region(Evidence(X, (boxed,)), RegionOptions(1.0, 0.5, 0.25, context=0.1, crop=0.5))
    expected = np.array([1 + 0.25, 0.25, -0.1 * 2 / 4])
    np.testing.assert_allclose(scorer.vector, unit(expected), atol=1e-6)
    assert [part.name for part in scorer.parts] == ["query", "relevant 0", "around relevant 0"]


def test_prf_weighs_the_first_page_by_a_softmax() -> None:
    page = np.stack([X, Y])
    scorer = prf(Evidence(X, first_page=page))
    high = 1 / (1 + np.exp(-1 / 0.05))
    toward, away = unit(np.array([high, 1 - high, 0])), unit(np.array([1 - high, high, 0]))
    np.testing.assert_allclose(scorer.vector, unit(0.8 * X + 0.1 * toward - 0.1 * away), atol=1e-5)


def test_grf_weighs_captions_and_keeps_their_lengths() -> None:
    said = np.stack([X, Y, np.zeros(3, np.float32)])  # the third picture has no words
    scorer = grf(Evidence(X, first_page=np.stack([Z, Z, Z]), first_captions=said))
    high = 1 / (1 + np.exp(-1 / 0.05))
    toward, away = np.array([high, 1 - high, 0]), np.array([1 - high, high, 0])
    np.testing.assert_allclose(scorer.vector, unit(0.8 * X + 0.1 * toward - 0.1 * away), atol=1e-5)
    np.testing.assert_allclose(grf(Evidence(X, first_page=np.stack([Z]))).vector, X, atol=1e-6)


class Summariser:
    """Says Z, looks at what it reads in given shares, and keeps what it was given."""

    def __init__(self, *attention: float) -> None:
        self.attention = np.array(attention, np.float32)
        self.read: list[list[float]] = []

    def __call__(
        self, query: Floats, vectors: Floats, is_text: np.ndarray, weights: np.ndarray
    ) -> tuple[Floats, Floats]:
        np.testing.assert_array_equal(query, X)
        self.read = vectors.tolist()
        self.is_text, self.weights = is_text.tolist(), weights.tolist()
        return Z, self.attention


def by_name(scorer: LinearScorer) -> dict[str, list[float]]:
    return {part.name: (part.vector * scorer.norm).round(6).tolist() for part in scorer.parts}


def test_afs_reads_the_first_page_and_leaves_what_it_little_regards() -> None:
    tiles = (np.stack([X, Y]), np.stack([Y, Y]), np.stack([Z, Z]))
    reads = Summariser(0.05, 0.15, 0.5, 0.1, 0.05, 0.15)  # two pictures' tiles, two captions
    evidence = Evidence(
        X, first_page=np.stack([t[0] for t in tiles]), first_tiles=tiles,
        first_captions=np.stack([Y, X, X]), summariser=reads,
    )  # fmt: skip
    scorer = afs(evidence, AfsOptions(depth=2))
    assert reads.read == [*tiles[0].tolist(), *tiles[1].tolist(), Y.tolist(), X.tolist()]
    assert reads.is_text == [False] * 4 + [True] * 2
    assert reads.weights == [1] * 6
    pictures = np.exp(-np.array([0.2, 0.6]) / 0.05)
    captions = np.exp(-np.array([0.05, 0.15]) / 0.05)
    first, second = pictures / pictures.sum(), captions / captions.sum()
    away = unit(first @ np.stack([X, Y]) + second @ np.stack([Y, X]))
    parts = by_name(scorer)
    assert list(parts) == ["query", "summary of the first page", "first page, little regarded"]
    assert parts["summary of the first page"] == pytest.approx([0, 0, 0.1])
    assert parts["first page, little regarded"] == pytest.approx((-0.1 * away).tolist(), abs=1e-5)
    np.testing.assert_allclose(scorer.vector, unit(0.8 * X + 0.1 * Z - 0.1 * away), atol=1e-5)


def test_afs_reads_what_was_marked_relevant_instead_of_the_page() -> None:
    reads = Summariser(0.2, 0.3, 0.5)
    marked = (
        click(0, 1, Y, weight=2.0, caption=X), click(1, -1, Z), click(2, 1, Z),
        click(3, -1, Y, weight=3.0),
    )  # fmt: skip
    scorer = afs(Evidence(X, marked, first_page=np.stack([X, X]), summariser=reads))
    assert reads.read == [Y.tolist(), Z.tolist(), X.tolist()]
    assert (reads.is_text, reads.weights) == ([False, False, True], [2, 1, 2])
    parts = by_name(scorer)
    assert parts == {
        "query": pytest.approx([0.8, 0, 0]),
        "summary of relevant": pytest.approx([0, 0, 0.1]),
        "irrelevant 1": pytest.approx([0, 0, -0.025]),
        "irrelevant 3": pytest.approx([0, -0.075, 0]),
    }


def test_afs_of_what_is_irrelevant_alone_still_reads_the_page() -> None:
    reads = Summariser(1.0)
    judged = Evidence(X, (click(0, -1, Y),), first_page=X[None], summariser=reads)
    assert list(by_name(afs(judged))) == ["query", "summary of the first page", "irrelevant 0"]
    assert reads.read == [X.tolist()]


def test_afs_without_weights_says_what_to_run() -> None:
    with pytest.raises(NotFoundError, match="no trained weights") as raised:
        afs(Evidence(X))
    assert (raised.value.code, "relook train afs" in raised.value.hint) == ("no_afs", True)


def test_bayes_is_the_prior_times_each_comparison() -> None:
    judged = Evidence(X, (click(0, 1, Y, weight=2.0), click(1, -1, Z)))
    options = BayesOptions(sigma=0.25, temperature=0.05)
    candidate = unit(np.array([0.2, 0.9, 0.3]))
    near, far = np.exp(candidate[1] / 0.25), np.exp(candidate[2] / 0.25)
    expected = candidate[0] / 0.05 + 2 * np.log(near / (near + far))
    score = bayes(judged, options).score(candidate[None])[0]
    assert score == pytest.approx(0.05 * expected, abs=1e-5)
    assert bayes(judged).vector is None


def test_only_rejections_leave_the_particular_picture_where_words_put_it() -> None:
    judged = Evidence(X, (click(0, -1, Z),))
    candidates = np.stack([X, Y, Z])
    np.testing.assert_allclose(bayes(judged).score(candidates), [1, 0, 0], atol=1e-6)


def test_descent_finds_the_bottom_of_a_crooked_valley() -> None:
    def rosenbrock(point: np.ndarray) -> tuple[float, np.ndarray]:
        x, y = point
        value = (1 - x) ** 2 + 100 * (y - x * x) ** 2
        return value, np.array([-2 * (1 - x) - 400 * x * (y - x * x), 200 * (y - x * x)])

    found = minimise(rosenbrock, np.array([-1.2, 1.0]), iterations=200, tolerance=1e-9)
    np.testing.assert_allclose(found, [1, 1], atol=1e-4)


def test_the_probe_stands_at_a_minimum_of_its_loss() -> None:
    """Written out again from the paper, without the gradient: no direction is downhill."""
    rng = np.random.default_rng(0)
    tiles = unit(rng.normal(size=(6, 2, 3)))
    items = tuple(Judged(i, 1 if i < 2 else -1, tiles[i]) for i in range(6))
    options = ProbeOptions(iterations=500)
    scorer = probe(Evidence(X, items), options)
    w = scorer.norm * scorer.vector.astype(np.float64)

    flat = tiles.reshape(12, 3).astype(np.float64)
    flat = flat - flat.mean(axis=0)
    label = np.repeat([1.0, 1, 0, 0, 0, 0], 2)
    weight = np.where(label == 1, 0.5 * (4 + 1) / (2 + 1), 0.5)
    weight *= 6 / weight.sum()

    def loss(v: np.ndarray) -> float:
        z = flat @ v
        cosine = v @ X / np.linalg.norm(v)
        cross = weight @ (np.log1p(np.exp(z)) - label * z)
        return float(cross + 100 * (np.cosh(np.log(v @ v)) - 1) + 10 * (1 - cosine) / 2)

    for direction in rng.normal(size=(50, 3)):
        assert loss(w + 1e-3 * direction) > loss(w) - 1e-7
    assert loss(w) < loss(X.astype(np.float64)) - 1e-3


def test_the_probe_separates_what_the_query_cannot() -> None:
    liked = [click(i, 1, unit(np.array([1, 0.6 + i / 50, 0]))) for i in range(4)]
    other = [click(9 + i, -1, unit(np.array([1, 0, 0.6 + i / 50]))) for i in range(4)]
    scorer = probe(Evidence(X, (*liked, *other)))
    scores = scorer.score(np.stack([liked[0].tiles[0], other[0].tiles[0]]))
    assert scores[0] > scores[1] + 0.02
    assert scorer.vector[0] > 0.9


def test_whitening_turns_down_what_varies_anyway_and_keeps_the_average() -> None:
    spread = np.diag([3.0, 0.0, 0.0])  # mean variance 1
    np.testing.assert_allclose(
        whiten(np.eye(3), spread, 1.0), np.diag([2 / 4, 2 / 1, 2 / 1]), atol=1e-9
    )
    np.testing.assert_array_equal(whiten(np.eye(3), np.zeros((3, 3)), 1.0), np.eye(3))


def test_covariance_is_numpys_with_sixteen_even_vectors_joined() -> None:
    sample = np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32)
    plain = np.cov(sample.T, bias=True)
    expected = (50 * plain + 16 * np.trace(plain) / 4 * np.eye(4)) / 66
    np.testing.assert_allclose(covariance(sample), expected, atol=1e-5)
    np.testing.assert_array_equal(covariance(sample[:1]), np.zeros((4, 4)))
