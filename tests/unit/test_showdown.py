"""Points of searches: for the item, for time left, less for wrong submissions."""

import numpy as np
import pytest

from relook.bench.showdown import Search, Submission, score, score_simulated, standings
from relook.bench.simulate import Gallery, Protocol, Task
from relook.core.vectors import unit
from relook.feedback.judged import Evidence
from relook.feedback.strategies import STRATEGIES

KNOWN, ALL = Search("ann", "", "van", 1), Search("bob", "", "vans", 4)


def said(*submissions: tuple[float, bool]) -> list[Submission]:
    return [Submission(*each) for each in submissions]


@pytest.mark.parametrize(
    ("submissions", "points", "seconds", "n_wrong"),
    [
        (said((0.0, True)), 100.0, 0.0, 0),
        (said((150.0, True)), 75.0, 150.0, 0),
        (said((150.0, True), (30.0, False), (20.0, False)), 55.0, 150.0, 2),
        (said((150.0, True), (200.0, False)), 75.0, 150.0, 0),  # it was over
        (said((310.0, True)), 0.0, 300.0, 0),
        (said((299.0, True), *((at, False) for at in range(9))), 0.0, 299.0, 9),
        ([], 0.0, 300.0, 0),
    ],
)
def test_a_known_item(
    submissions: list[Submission], points: float, seconds: float, n_wrong: int
) -> None:
    made = score(KNOWN, submissions)
    assert made.score == pytest.approx(points, abs=0.2)
    assert (made.seconds, made.n_wrong) == (seconds, n_wrong)
    assert made.solved == (seconds < 300)


def test_all_of_a_kind() -> None:
    """Three of four, and two that are wrong: 100 x 3 / (3 + 1) x 3 / 4."""
    submissions = said((1, True), (2, False), (3, True), (4, False), (5, True), (400, True))
    made = score(ALL, submissions)
    assert (made.n_right, made.n_wrong, made.seconds) == (3, 2, 1)
    assert made.score == 56.25


def test_standings_are_means_with_the_best_first() -> None:
    scores = [score(KNOWN, said((300.0, True))), score(KNOWN, []), score(ALL, said((1, True)))]
    first, second = standings(scores)
    assert (first.who, first.n_searches, first.score) == ("ann", 2, 25.0)
    assert first.solved == 0.5
    assert (second.who, second.score) == ("bob", 25.0)


def test_simulated_people_submit_what_they_take_for_right() -> None:
    """Without slips nobody submits a wrong one; with slips alone everything is wrong."""
    tiles = unit(np.random.default_rng(0).normal(size=(30, 1, 8)))
    gallery = Gallery(tiles, Evidence(np.zeros(8, np.float32), background=tiles[:10, 0]))
    task = Task("thing", tiles[3, 0], np.array([3, 4]))
    how = {"page": 30, "rounds": 1}
    (clean,) = score_simulated("x", gallery, [task], STRATEGIES["none"], Protocol(**how))
    assert (clean.n_right, clean.n_wrong, clean.score) == (2, 0, 100.0)
    assert clean.seconds == pytest.approx(1.8)
    (wrong,) = score_simulated("x", gallery, [task], STRATEGIES["none"], Protocol(**how, noise=1.0))
    assert (wrong.n_right, wrong.n_wrong, wrong.score) == (0, 28, 0.0)
