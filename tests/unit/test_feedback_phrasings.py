"""Phrasings: readings of a short query that the judged pictures choose between."""

from dataclasses import replace

import numpy as np
import pytest

from relook.core.vectors import Floats, unit
from relook.feedback.directions import PhrasingOptions, readings
from relook.feedback.gate import AutoOptions, auto
from relook.feedback.judged import Evidence, Judged

DIM = 16
AXES = np.eye(DIM, dtype=np.float32)
# Two readings of the query, equally near to it: axis 1 and axis 2; and one far away.
PHRASINGS = unit(np.stack([AXES[0] + AXES[1], AXES[0] + AXES[2], AXES[9]]))


def evidence(*judged: tuple[Floats, int], phrasings: Floats = PHRASINGS) -> Evidence:
    rng = np.random.default_rng(3)
    return Evidence(
        AXES[0],
        tuple(Judged(i, sign, vector[None]) for i, (vector, sign) in enumerate(judged)),
        background=unit(rng.normal(size=(200, DIM)).astype(np.float32)),
        phrasings=phrasings,
    )


def weights(of: Evidence) -> Floats:
    found = readings(of)
    assert found is not None
    kept = np.ones((1, len(of.items)), dtype=bool)
    logits = found.prior + kept @ found.fits
    shares = np.exp(logits - logits.max())
    direction = found.directions(kept)[0]
    expected = shares[0] / shares.sum() @ found.vectors
    assert direction == pytest.approx(expected)
    return np.asarray(shares[0] / shares.sum())


SEEN_1 = unit(AXES[0] + 2 * AXES[1])
SEEN_2 = unit(AXES[0] + 2 * AXES[2])


def test_a_relevant_picture_chooses_the_reading_it_shows() -> None:
    """Weights by hand: sigmoid of half of (z - 1.5), z from the background's own deviations."""
    of = evidence((SEEN_1, 1))
    scores = of.background.astype(np.float64) @ PHRASINGS.T.astype(np.float64)
    z = (SEEN_1 @ PHRASINGS.T - scores.mean(axis=0)) / scores.std(axis=0)
    chance = 1 / (1 + np.exp(-0.5 * (z - 1.5)))
    prior = np.exp(40 * (PHRASINGS @ AXES[0]))
    expected = prior * chance
    assert weights(of) == pytest.approx(expected / expected.sum(), rel=1e-4)
    assert expected[0] > 1.5 * expected[1]


def test_an_irrelevant_picture_turns_its_reading_down() -> None:
    liked, both = weights(evidence((SEEN_1, 1))), weights(evidence((SEEN_1, 1), (SEEN_2, -1)))
    assert both[0] > liked[0]
    assert both[1] < liked[1]


def test_a_reading_far_from_the_query_stays_out() -> None:
    assert weights(evidence((AXES[9], 1)))[2] < 1e-6


def test_only_the_nearest_are_looked_at() -> None:
    found = readings(evidence((SEEN_1, 1)), PhrasingOptions(nearest=2))
    assert found is not None
    assert len(found.prior) == 2


def test_without_phrasings_or_judgements_there_is_no_reading() -> None:
    none = np.zeros((0, DIM), np.float32)
    assert readings(evidence((SEEN_1, 1), phrasings=none)) is None
    assert readings(evidence()) is None


def test_the_gate_adds_the_reading_and_says_so() -> None:
    of = evidence((SEEN_1, 1), (unit(AXES[0] + AXES[1] + AXES[3]), 1), (SEEN_2, -1))
    scorer, plain = auto(of), auto(of, AutoOptions(phrasing=0.0))
    assert [part.name for part in scorer.parts if part.name == "phrasing"] == ["phrasing"]
    assert sum(part.vector for part in scorer.parts) == pytest.approx(scorer.vector, abs=1e-6)
    readings_apart = PHRASINGS[0] - PHRASINGS[1]
    assert scorer.vector is not None
    assert plain.vector is not None
    assert scorer.vector @ readings_apart > plain.vector @ readings_apart


def test_a_fold_is_read_without_what_it_leaves_out() -> None:
    full = evidence((SEEN_1, 1), (SEEN_2, 1))
    found = readings(full)
    rest = readings(replace(full, items=full.items[:1]))
    assert found is not None
    assert rest is not None
    left_out = found.directions(np.array([[True, False]]))
    assert left_out == pytest.approx(rest.directions(np.array([[True]])))


def test_only_irrelevant_marks_are_not_read() -> None:
    """Readings widen a query; without a picture that is meant, nothing vouches for one."""
    scorer = auto(evidence((SEEN_2, -1)))
    assert [part.name for part in scorer.parts] == ["query"]
    np.testing.assert_array_equal(scorer.vector, AXES[0])
