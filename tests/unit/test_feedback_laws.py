"""Laws that every feedback strategy keeps, whatever was judged."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relook.core.errors import InputError, NotFoundError
from relook.core.vectors import Floats, unit
from relook.feedback.judged import Evidence, Judged
from relook.feedback.rocchio import RocchioOptions, rocchio
from relook.feedback.scorer import LinearScorer
from relook.feedback.strategies import DEFAULT, STRATEGIES, strategy

DIM = 12
FITTED = [name for name in STRATEGIES if name not in ("prf", "none")]
LINEAR = [name for name in STRATEGIES if name != "bayes"]


def vectors(rng: np.random.Generator, n: int) -> Floats:
    return unit(rng.normal(size=(n, DIM)))


def attend(query: Floats, read: Floats, is_text: np.ndarray, weights: np.ndarray) -> tuple:
    """A summariser without weights: attention by cosine, and what it attends to."""
    attention = np.exp(read @ query) * weights * (1 + is_text)
    attention /= attention.sum()
    return unit(attention @ read), attention.astype(np.float32)


def evidence(seed: int, n_relevant: int, n_irrelevant: int) -> Evidence:
    """Clicks and boxes, some with captions, over a background."""
    rng = np.random.default_rng(seed)
    background = vectors(rng, 30)
    items = []
    for number in range(n_relevant + n_irrelevant):
        boxed = number % 3 == 1
        items.append(
            Judged(
                number,
                1 if number < n_relevant else -1,
                vectors(rng, 3),
                weight=float(rng.uniform(0.5, 2)),
                context=vectors(rng, 2) if boxed else np.zeros((0, DIM), np.float32),
                boxed=boxed,
                caption=vectors(rng, 1)[0] if number % 2 == 0 else None,
                round=number // 3,
            )
        )
    return Evidence(
        vectors(rng, 1)[0],
        tuple(items),
        image_mean=background.mean(axis=0),
        text_mean=vectors(rng, 5).mean(axis=0),
        tile_weight=0.94,
        background=background,
        phrasings=vectors(rng, 7),
        summariser=attend,
    )


sizes = st.tuples(st.integers(0, 9999), st.integers(0, 4), st.integers(0, 4))


@pytest.mark.parametrize("name", FITTED)
@given(seed=st.integers(0, 9999))
@settings(max_examples=20, deadline=None)
def test_without_judgements_the_scores_are_the_querys_own(name: str, seed: int) -> None:
    given_none = evidence(seed, 0, 0)
    candidates = vectors(np.random.default_rng(seed + 1), 20)
    scores = STRATEGIES[name](given_none).score(candidates)
    np.testing.assert_allclose(scores, candidates @ given_none.query, atol=1e-6)


@pytest.mark.parametrize("name", list(STRATEGIES))
@given(size=sizes, order=st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_order_of_judgements_changes_nothing(
    name: str, size: tuple[int, int, int], order: object
) -> None:
    judged = evidence(*size)
    items = list(judged.items)
    order.shuffle(items)  # type: ignore[attr-defined]
    candidates = vectors(np.random.default_rng(5), 20)
    np.testing.assert_array_equal(
        STRATEGIES[name](judged).score(candidates),
        STRATEGIES[name](replace(judged, items=tuple(items))).score(candidates),
    )


@pytest.mark.parametrize("name", LINEAR)
@given(size=sizes)
@settings(max_examples=20, deadline=None)
def test_contributions_sum_to_a_unit_vector(name: str, size: tuple[int, int, int]) -> None:
    scorer = STRATEGIES[name](evidence(*size))
    assert isinstance(scorer, LinearScorer)
    total = np.sum([part.vector for part in scorer.parts], axis=0)
    np.testing.assert_allclose(total, scorer.vector, atol=1e-5)
    assert np.linalg.norm(scorer.vector) == pytest.approx(1.0, abs=1e-5)
    candidates = vectors(np.random.default_rng(6), 8)
    np.testing.assert_allclose(
        scorer.explain(candidates).sum(axis=0), scorer.score(candidates), atol=1e-5
    )


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_undoing_the_last_judgement_is_the_fit_before_it(name: str) -> None:
    after = evidence(3, 3, 2)
    before = replace(after, items=after.items[:-1])
    candidates = vectors(np.random.default_rng(7), 20)
    np.testing.assert_array_equal(
        STRATEGIES[name](after.without(after.items[-1].judgement)).score(candidates),
        STRATEGIES[name](before).score(candidates),
    )


@given(seed=st.integers(0, 9999), n_irrelevant=st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_marking_a_picture_relevant_never_lowers_its_rank_under_rocchio(
    seed: int, n_irrelevant: int
) -> None:
    """Its own score gains .5 and nobody else's more; a second mark would share the mean."""
    judged = evidence(seed, 0, n_irrelevant)
    candidates = vectors(np.random.default_rng(seed + 2), 25)
    chosen = seed % 25
    liked = Judged(99, 1, candidates[chosen][None], weight=2.0)
    before = rocchio(judged).score(candidates)
    after = rocchio(replace(judged, items=(*judged.items, liked))).score(candidates)
    rank_before = int((before > before[chosen] + 1e-6).sum())
    rank_after = int((after > after[chosen] + 1e-6).sum())
    assert rank_after <= rank_before


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_a_hundred_judgements_are_no_problem(name: str) -> None:
    scores = STRATEGIES[name](evidence(9, 50, 50)).score(vectors(np.random.default_rng(1), 5))
    assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_the_same_picture_both_ways_is_no_problem(name: str) -> None:
    judged = evidence(10, 1, 0)
    both = replace(judged, items=(judged.items[0], replace(judged.items[0], judgement=1, sign=-1)))
    assert np.isfinite(STRATEGIES[name](both).score(judged.background)).all()


def test_a_query_that_feedback_cancels_stands_alone() -> None:
    query = unit(np.eye(DIM)[0])
    against = Judged(0, -1, query[None])
    scorer = rocchio(Evidence(query, (against,)), RocchioOptions(1.0, 0.5, 1.0))
    np.testing.assert_allclose(scorer.vector, query, atol=1e-6)
    assert scorer.notes == ("the judgements cancel the query; it stands alone",)


def test_the_default_is_in_the_table_and_an_unknown_name_is_told() -> None:
    assert next(iter(STRATEGIES)) == DEFAULT
    with pytest.raises(NotFoundError, match="no feedback strategy 'rochio'") as raised:
        strategy("rochio")
    assert "rocchio" in raised.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sign": 0}, "neither 1 nor -1"),
        ({"weight": 0.0}, "not above 0"),
        ({"weight": float("nan")}, "not above 0"),
        ({"caption_weight": -1.0}, "below 0"),
        ({"tiles": np.zeros((0, DIM), np.float32)}, "needs tiles"),
        ({"tiles": np.zeros(DIM, np.float32)}, "needs tiles"),
    ],
)
def test_a_judgement_that_cannot_be_used_is_refused(
    change: dict[str, object], message: str
) -> None:
    fields = {"judgement": 0, "sign": 1, "tiles": np.ones((1, DIM), np.float32), **change}
    with pytest.raises(InputError, match=message):
        Judged(**fields)  # type: ignore[arg-type]


def test_vectors_of_two_encoders_are_refused() -> None:
    other = Judged(0, 1, np.ones((1, DIM + 1), np.float32))
    with pytest.raises(InputError, match=r"length 13 beside a query of length 12"):
        Evidence(np.ones(DIM, np.float32), (other,))
    broken = Judged(0, 1, np.full((1, DIM), np.nan, np.float32))
    with pytest.raises(InputError, match="not numbers"):
        Evidence(np.ones(DIM, np.float32), (broken,))
