"""The gate: shortcuts equal the long way, and it steps back when judgements disagree."""

from dataclasses import replace

import numpy as np
import pytest

from relook.core.vectors import Floats, unit
from relook.feedback.directions import heights, image_pulls
from relook.feedback.gate import AutoOptions, auto
from relook.feedback.judged import Evidence, Judged
from relook.feedback.scorer import GateRecord, LinearScorer

DIM = 16
OPTIONS = AutoOptions()


def record_of(scorer: LinearScorer) -> GateRecord:
    assert scorer.record is not None
    return scorer.record


def clustered(n: int, axis: int, seed: int, spread: float = 0.3) -> Floats:
    """Pictures around query and one more axis."""
    rng = np.random.default_rng(seed)
    centre = np.eye(DIM)[0] + np.eye(DIM)[axis]
    return unit(centre + spread * rng.normal(size=(n, DIM)))


def judged(relevant: Floats, irrelevant: Floats, **more: object) -> Evidence:
    rng = np.random.default_rng(99)
    background = unit(rng.normal(size=(200, DIM)))
    items = [Judged(i, 1, vector[None]) for i, vector in enumerate(relevant)]
    items += [Judged(50 + i, -1, vector[None]) for i, vector in enumerate(irrelevant)]
    query = np.eye(DIM, dtype=np.float32)[0]
    return Evidence(query, tuple(items), background=background, **more)  # type: ignore[arg-type]


def test_leaving_out_by_coefficients_equals_fitting_again() -> None:
    """The closed form against brute force: every gain in the record, fitted from scratch."""
    full = judged(clustered(5, 1, 0), clustered(4, 2, 1))
    # One strange picture must not turn the gate off, or there is nothing to compare.
    scorer = auto(full)
    trial = next(t for t in record_of(scorer).trials if (t.strategy, t.step) == ("rocchio", 1.0))
    lifts = []
    for item in full.relevant:
        rest = full.without(item.judgement)
        pulls = image_pulls(
            rest,
            shrinkage=OPTIONS.shrinkage,
            caution=OPTIONS.caution,
            irrelevant=OPTIONS.irrelevant,
            part=OPTIONS.part,
        )
        everyone = np.ones((1, len(rest.items)), dtype=bool)
        fitted = full.query + OPTIONS.strength * pulls.directions(everyone)[0]
        before, after = full.query.astype(np.float64), fitted
        background = full.background.astype(np.float64)
        picture = item.tiles[0].astype(np.float64)
        stands = [
            (picture @ w - (background @ w).mean()) / (background @ w).std()
            for w in (before, after)
        ]
        lifts.append(stands[1] - stands[0])
    assert trial.gain == pytest.approx(np.mean(lifts), abs=1e-6)


def test_agreeing_judgements_are_followed() -> None:
    liked = clustered(6, 1, 2)
    scorer = auto(judged(liked, clustered(6, 2, 3)))
    record = record_of(scorer)
    assert (record.strategy, record.step) == ("rocchio", 1.0)
    unseen, decoys = clustered(20, 1, 4), clustered(20, 2, 5)
    query = np.eye(DIM, dtype=np.float32)[0]
    gap_before = (unseen @ query).mean() - (decoys @ query).mean()
    gap_after = scorer.score(unseen).mean() - scorer.score(decoys).mean()
    assert gap_after > gap_before + 0.05


def test_relevant_pictures_without_anything_in_common_leave_the_query_alone() -> None:
    """All as near to the query, and each away from the mean of the others."""
    own = np.eye(DIM)[1:7]
    scattered = unit(np.eye(DIM)[0] + own - own.mean(axis=0))
    centre = scattered.mean(axis=0)
    scorer = auto(judged(scattered, clustered(3, 9, 6), image_mean=centre))
    record = record_of(scorer)
    assert record.strategy == "none"
    assert all(trial.gain < 0 for trial in record.trials if trial.strategy == "rocchio")
    np.testing.assert_array_equal(scorer.vector, np.eye(DIM, dtype=np.float32)[0])


@pytest.mark.parametrize(("n", "pull", "is_followed"), [(3, 0.5, True), (3, 1.0, False)])
def test_a_few_that_come_out_a_little_lower_hardly_tell(
    n: int, pull: float, is_followed: bool
) -> None:
    """What moving usually gains counts beside them; the reason does not say that they agree."""
    own = np.eye(DIM)[1 : 1 + n]
    scattered = unit(np.eye(DIM)[0] + pull * (own - own.mean(axis=0)))
    evidence = judged(scattered, clustered(3, 9, 6), image_mean=scattered.mean(axis=0))
    record = record_of(auto(evidence))
    assert all(trial.gain < 0 for trial in record.trials if trial.strategy == "rocchio")
    assert (record.strategy == "rocchio") == is_followed
    assert ("that hardly tells yet" in record.reason) == is_followed


def test_only_irrelevant_marks_leave_the_query_alone() -> None:
    scorer = auto(judged(clustered(0, 1, 0), clustered(5, 2, 1)))
    record = record_of(scorer)
    assert record == GateRecord("none", 0.0, record.reason)
    assert "nothing is marked relevant yet" in record.reason
    np.testing.assert_array_equal(scorer.vector, np.eye(DIM, dtype=np.float32)[0])


def test_one_click_is_a_careful_step_and_one_box_a_full_one() -> None:
    clicked = judged(clustered(1, 1, 0), clustered(0, 2, 1))
    boxed = replace(clicked, items=(replace(clicked.items[0], boxed=True),))
    small, full = auto(clicked), auto(boxed)
    assert record_of(small).step == OPTIONS.first
    assert record_of(full).step == 1.0
    target = clicked.items[0].tiles
    assert clicked.query @ target[0] < small.score(target)[0] < full.score(target)[0]


@pytest.mark.parametrize(("n_tiles", "times"), [(1, OPTIONS.boxed), (0, 1.0)])
@pytest.mark.parametrize("n", [1, 4])
def test_a_box_moves_the_query_twice_as_far_as_a_click_that_shows_the_same(
    n: int, n_tiles: int, times: float
) -> None:
    """However many there are; not one that no tile lies in, which other pictures cannot answer."""
    clicks = judged(clustered(n, 1, 0), clustered(2, 2, 1))
    boxed = tuple(
        replace(item, boxed=True, tiles=np.repeat(item.tiles, 1 + n_tiles, axis=0))
        if item.sign > 0
        else item
        for item in clicks.items
    )
    moved, further = (
        {part.name: part.vector for part in auto(evidence).parts}
        for evidence in (clicks, replace(clicks, items=boxed))
    )
    # The whole is of length one: parts are compared beside the query's.
    moves, moves_further = (
        parts["relevant 0"] / np.linalg.norm(parts["query"]) for parts in (moved, further)
    )
    step = 1.0 if n > 1 else OPTIONS.first  # of the click; a box's is a full one
    assert OPTIONS.boxed == 2.0
    np.testing.assert_allclose(moves_further, times * moves / step)


def test_a_click_means_the_part_that_fits_the_words_as_well_as_the_whole() -> None:
    """Its other parts say nothing; a box's are all meant."""
    whole, fits, other = np.eye(DIM, dtype=np.float32)[[3, 0, 5]]
    evidence = judged(np.zeros((0, DIM), np.float32), np.zeros((0, DIM), np.float32))
    moved = [
        auto(replace(evidence, items=(Judged(0, 1, np.stack(tiles)),))).vector
        for tiles in ((whole, fits, other), (whole, fits, -other), (whole, other, -other))
    ]
    np.testing.assert_array_equal(moved[0], moved[1])
    assert moved[0][3] < moved[2][3]  # where no part fits better, the whole is what is meant


def test_one_wrong_label_in_ten_hardly_turns_the_answer() -> None:
    liked = clustered(9, 1, 2)
    wrong = clustered(1, 2, 7)
    clean = auto(judged(liked, clustered(6, 2, 3)))
    noisy = auto(judged(np.concatenate([liked, wrong]), clustered(6, 2, 3)))
    assert record_of(noisy).strategy == "rocchio"
    assert float(clean.vector @ noisy.vector) > 0.97


def test_captions_join_in_where_there_are_some() -> None:
    full = judged(clustered(4, 1, 0), clustered(2, 2, 1))
    said = np.eye(DIM, dtype=np.float32)[1]
    items = tuple(replace(i, caption=said) if i.sign > 0 else i for i in full.items)
    scorer = auto(replace(full, items=items))
    record = record_of(scorer)
    assert {t.strategy for t in record.trials} == {"none", "rocchio", "caption-rocchio"}
    assert record.strategy == "caption-rocchio"
    assert any(part.name == "caption relevant 0" for part in scorer.parts)


def test_a_height_does_not_change_with_the_length_of_the_scorer() -> None:
    full = judged(clustered(3, 1, 0), clustered(0, 2, 1))
    scorers = np.stack([full.query, 7 * full.query]).astype(np.float64)
    one = heights(full, scorers, np.array([0, 0, 0]))
    np.testing.assert_allclose(one, heights(full, scorers, np.array([1, 1, 1])), rtol=1e-9)
    background = full.background @ full.query
    expected = (full.items[0].tiles[0] @ full.query - background.mean()) / background.std()
    assert one[0] == pytest.approx(expected, rel=1e-4)


def test_other_tiles_count_with_their_weight() -> None:
    full = judged(clustered(2, 1, 0), clustered(0, 2, 1))
    tiles = np.stack([np.eye(DIM)[3], np.eye(DIM)[0]]).astype(np.float32)  # tile 1 is the query
    item = Judged(0, 1, tiles)
    bare = Evidence(full.query, (item,), tile_weight=0.5)
    assert heights(bare, full.query[None].astype(np.float64), np.array([0]))[0] == 0.5


def test_without_a_background_the_gate_still_answers() -> None:
    full = replace(
        judged(clustered(4, 1, 0), clustered(2, 2, 1)), background=np.zeros((0, DIM), np.float32)
    )
    assert np.isfinite(auto(full).vector).all()
