"""The simulated users do what they say, and the report adds up."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from relook.bench.arms import PlayedQuery, compare, oracle
from relook.bench.query_files import Caption, Wanted, known_items, positions, read_concepts
from relook.bench.simulate import Gallery, Protocol, Task, play
from relook.core.errors import InputError
from relook.core.vectors import unit
from relook.feedback.judged import Evidence
from relook.feedback.rocchio import RocchioOptions, rocchio
from relook.feedback.scorer import LinearScorer
from relook.feedback.strategies import STRATEGIES

DIM = 4


def gallery(n: int = 40, n_tiles: int = 2, **more: object) -> Gallery:
    rng = np.random.default_rng(0)
    tiles = unit(rng.normal(size=(n, n_tiles, DIM)))
    template = Evidence(np.zeros(DIM, np.float32), tile_weight=0.5, background=tiles[:10, 0])
    return Gallery(tiles, template, **more)  # type: ignore[arg-type]


def task(images: Gallery, *relevant: int, **more: object) -> Task:
    query = unit(images.tiles[list(relevant), 0].sum(axis=0))
    return Task("thing", query, np.array(relevant), **more)  # type: ignore[arg-type]


class Recorder:
    """A strategy that keeps what it was given and never moves."""

    def __init__(self) -> None:
        self.given: list[Evidence] = []

    def __call__(self, evidence: Evidence) -> LinearScorer:
        self.given.append(evidence)
        return rocchio(evidence, RocchioOptions(1.0, 0.0, 0.0))


def test_an_image_scores_its_best_weighted_tile() -> None:
    tiles = np.zeros((2, 2, DIM), np.float32)
    tiles[0, 0, 0], tiles[0, 1, 1] = 1.0, 1.0  # whole fits
    tiles[1, 0, 1], tiles[1, 1, 0] = 1.0, 1.0  # only the other tile fits
    images = Gallery(tiles, Evidence(np.zeros(DIM, np.float32), tile_weight=0.75))
    scorer = rocchio(Evidence(np.eye(DIM, dtype=np.float32)[0]))
    np.testing.assert_array_equal(images.scores(scorer), [1.0, 0.75])
    np.testing.assert_array_equal(images.rank(scorer, np.array([0]), 5), [1])


def test_pages_never_repeat_and_without_feedback_follow_the_first_ranking() -> None:
    images = gallery()
    wanted = task(images, 3, 5)
    trace = play(images, wanted, 0, Recorder(), Protocol(page=7, rounds=4))
    scorer = rocchio(Evidence(wanted.query))
    expected = images.rank(scorer, np.zeros(0, np.int64), 28)
    np.testing.assert_array_equal(trace.shown, expected)
    np.testing.assert_allclose(trace.seconds, 1.8 * np.arange(1, 29), rtol=1e-5)


def test_what_fits_and_is_not_marked_stays_and_is_found_once() -> None:
    """Two alike pictures fit better than the one that is marked: they are there again."""
    tiles = unit(np.random.default_rng(1).normal(size=(60, 1, 64)))
    tiles[:3, 0] = unit(np.eye(64, dtype=np.float32)[:1] + tiles[:3, 0] * 0.1)
    template = Evidence(np.zeros(64, np.float32), background=tiles[10:, 0])
    images = Gallery(tiles, template)
    wanted = Task("thing", tiles[0, 0], np.array([0, 1, 2]))
    how = Protocol(page=4, rounds=2, marks=1, positives_only=True)
    fit = STRATEGIES["rocchio"]
    stays = play(images, wanted, 0, fit, how)
    first, second = stays.shown[stays.pages == 0], stays.shown[stays.pages == 1]
    marked = first[np.isin(first, [0, 1, 2])][0]
    assert set(second) & {0, 1, 2} == {0, 1, 2} - {int(marked)}
    assert stays.is_new.sum() == len(set(stays.shown.tolist())) == 6
    leaves = play(images, wanted, 0, fit, replace(how, keep_fitting=False))
    assert len(set(leaves.shown.tolist())) == 8
    report = compare(images, [wanted], {"rocchio": fit}, how)["rocchio"]
    assert (report.second, report.second_none) == (0.5, 0.5)
    assert report.found == 1.0


def test_the_oracle_knows_all_relevant_images_and_no_arm_finds_more() -> None:
    rng = np.random.default_rng(3)
    centre = unit(rng.normal(size=16))
    tiles = unit(rng.normal(size=(200, 1, 16)))
    tiles[:20, 0] = unit(centre + 0.2 * tiles[:20, 0])
    template = Evidence(np.zeros(16, np.float32), background=tiles[100:, 0])
    images = Gallery(tiles, template)
    wanted = Task("thing", unit(rng.normal(size=16)), np.arange(20))
    how = Protocol(page=10, rounds=3)
    assert oracle(images, wanted, 0, how) == 1.0  # the last two pages hold all twenty
    report = compare(images, [wanted], {"auto": STRATEGIES["auto"]}, how)["auto"]
    assert report.oracle_gain == pytest.approx(1.0 - report.found_none)
    assert report.share_of_oracle == pytest.approx(report.found_gain.mean / report.oracle_gain)
    assert 0.0 <= report.first_tail <= 1.0


def test_a_collection_smaller_than_the_pages_ends() -> None:
    images = gallery(12)
    trace = play(images, task(images, 1), 0, STRATEGIES["auto"], Protocol(page=5, rounds=4))
    assert sorted(trace.shown) == list(range(12))


@pytest.mark.parametrize(
    ("protocol", "signs"),
    [
        (Protocol(page=40, rounds=1), {1: 3, -1: 37}),
        (Protocol(page=40, rounds=1, positives_only=True), {1: 3}),
        (Protocol(page=40, rounds=1, marks=2), {1: 2}),
        (Protocol(page=40, rounds=1, marks=5), {1: 3, -1: 2}),
        (Protocol(page=40, rounds=1, noise=1.0), {1: 37, -1: 3}),
    ],
)
def test_the_user_marks_as_told(protocol: Protocol, signs: dict[int, int]) -> None:
    images, strategy = gallery(), Recorder()
    play(images, task(images, 1, 2, 3), 0, strategy, protocol)
    made = [item.sign for item in strategy.given[-1].items]
    assert {sign: made.count(sign) for sign in set(made)} == signs


def test_slips_depend_on_the_seed_and_the_task_only() -> None:
    def slips(number: int, seed: int, rounds: int) -> set[tuple[float, int]]:
        images, strategy = gallery(), Recorder()
        protocol = Protocol(page=40 // rounds, rounds=rounds, noise=0.3, seed=seed)
        play(images, task(images, 1, 2, 3), number, strategy, protocol)
        return {(float(item.tiles[0, 0]), item.sign) for item in strategy.given[-1].items}

    assert slips(0, 0, 1) == slips(0, 0, 4)
    assert slips(0, 0, 1) != slips(1, 0, 1)
    assert slips(0, 0, 1) != slips(0, 1, 1)


def test_the_report_adds_up() -> None:
    images = gallery()
    tasks = [task(images, 1, 2, 3), task(images, 7, 9), task(images, 4)]
    protocol = Protocol(page=5, rounds=3)
    reports = compare(
        images, tasks, {"same": STRATEGIES["none"], "rocchio": STRATEGIES["rocchio"]}, protocol
    )
    same = reports["same"]
    assert (same.found, same.ap, same.harmed, same.helped) == (
        same.found_none,
        same.ap_none,
        0.0,
        0.0,
    )
    assert same.found_gain.low == same.found_gain.high == 0.0
    by_hand = [
        np.isin(play(images, t, i, STRATEGIES["rocchio"], protocol).shown, t.relevant).sum()
        / len(t.relevant)
        for i, t in enumerate(tasks)
    ]
    report = reports["rocchio"]
    assert report.found == pytest.approx(np.mean(by_hand))
    assert report.found_at[-1] == (15, report.found_none, report.found)
    assert report.found_by_s[-1][0] == pytest.approx(27.0)
    assert report.found_by_s[-1][2] == pytest.approx(report.found)
    assert sum(s.n_queries for s in report.strata if s.name.startswith("relevant")) == 3
    assert sum(s.n_queries for s in report.strata if s.name.startswith("first hit")) == 3
    keys = {"found_none", "found", "ap_none", "ap", "harmed", "helped", "n_queries"}
    assert keys <= report.as_dict().keys()


def test_every_query_is_told_as_it_is_played_and_makes_the_means() -> None:
    images = gallery()
    tasks = [task(images, 1, 2, 3), task(images, 7, 9)]
    told: list[PlayedQuery] = []
    arms = {name: STRATEGIES[name] for name in ("rocchio", "auto")}
    when: list[int] = []
    reports = compare(
        images, tasks, arms, Protocol(page=5, rounds=3),
        lambda done, _: when.append(len(told)), told.append,
    )  # fmt: skip
    assert when == [1, 2]
    assert [(query.query, query.n_relevant) for query in told] == [("thing", 3), ("thing", 2)]
    for name, report in reports.items():
        of_arm = [query.strategies[name] for query in told]
        assert np.mean([figures.share for figures in of_arm]) == pytest.approx(report.found)
        assert np.mean([figures.ap for figures in of_arm]) == pytest.approx(report.ap)
        assert np.mean([figures.second for figures in of_arm]) == pytest.approx(report.second)
        residual = [figures.residual_ndcg for figures in of_arm]
        assert np.mean(residual) == pytest.approx(report.residual_ndcg)
        assert np.mean([query.none.share for query in told]) == pytest.approx(report.found_none)


def test_harm_is_counted_against_the_same_views() -> None:
    angles = np.radians([0, 5, 12, -8, -20, -30, -40, -50])
    tiles = np.stack([np.cos(angles), np.sin(angles)], axis=1)[:, None].astype(np.float32)
    images = Gallery(tiles, Evidence(np.zeros(2, np.float32)))
    tasks = [Task("right", np.eye(2, dtype=np.float32)[0], np.array([0, 1, 2]))]

    def contrary(evidence: Evidence) -> LinearScorer:
        return rocchio(evidence, RocchioOptions(1.0, -9.0, 0.0))

    report = compare(images, tasks, {"contrary": contrary}, Protocol(page=1, rounds=4))["contrary"]
    assert report.ap_none == pytest.approx((1 + 1 + 3 / 4) / 3)
    assert report.ap == pytest.approx(1 / 3)
    assert (report.harmed, report.helped) == (1.0, 0.0)


def test_concepts_are_read_and_a_broken_line_is_named(tmp_path: Path) -> None:
    file = tmp_path / "concepts.jsonl"
    file.write_text('{"query": "red kite", "relevant": ["a.jpg", "b.jpg"]}\n\n', "utf-8")
    assert read_concepts(file) == [Wanted("red kite", ("a.jpg", "b.jpg"))]
    file.write_text('{"query": "red kite", "relevant": ["a.jpg"]}\n{"query": "x"}\n', "utf-8")
    with pytest.raises(InputError, match="line 2 of"):
        read_concepts(file)


def test_known_items_look_for_one_file_each() -> None:
    (wanted,) = known_items([Caption("a.jpg", "a dog")])
    assert wanted == Wanted("a dog", ("a.jpg",))
    assert positions(Wanted("a dog", ("b.jpg", "a.jpg")), {"a.jpg": 4}) == [4]
