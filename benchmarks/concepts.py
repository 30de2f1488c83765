"""How good the albums of concepts are, and the fit that they are drawn by.

A person marks the first N hits of each query as a list of labels says (`LABELS`, JSON lines of
`query` and `relevant` file names), and keeps what was learnt. Measured on the pictures that were
not marked: precision and recall of the album, how many pictures it holds for each one that it
should, and whether fit is calibrated (expected calibration error, and what is true of pictures
told to fit by .1 or more). With `--learn` also the slope and bias that logistic regression gives;
the constants of `search/fit.py` were learnt so on 2,500 training pictures of Flickr8k, with
`concepts-train.jsonl`, and are checked on the dev split.
Baseline in the same run: what the words alone are told to fit.
Read it: labels are words that three of five captions use, so many pictures that do show a thing
count as wrong.

    python benchmarks/concepts.py LIBRARY LABELS [--learn]
"""

import argparse
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

import relook
from relook.feedback.judged import Judged
from relook.feedback.strategies import STRATEGIES
from relook.search.engine import Engine
from relook.search.feedback_evidence import template
from relook.search.fit import LookedFor, fit_scale

MARKS = (5, 12, 30)
FEWEST, MOST = 8, 600  # relevant pictures of a query


def trials(engine: Engine, labels: Path) -> Iterator[tuple[int, dict[str, np.ndarray]]]:
    """Of each query and number of marks: what is relevant, seen, and told to fit, by row."""
    table, encoder = engine.files.row_table, engine.encoder
    rows = {record.path.name: record.image_id for record in engine.files.catalog.each_image()}
    at = {image_id: row for row, image_id in enumerate(table[:, 2].tolist())}
    scale, blank = fit_scale(engine.files, encoder), template(engine.files, encoder)
    for line in labels.read_text("utf-8").splitlines():
        wanted = json.loads(line)
        relevant = np.zeros(len(table), bool)
        relevant[[at[rows[file]] for file in wanted["relevant"] if file in rows]] = True
        if not FEWEST <= relevant.sum() <= MOST:
            continue
        words = encoder.encode_texts([wanted["query"]])
        scores = engine.score_all(words)
        order = np.argsort(-scores[0])[: max(MARKS)]
        marks = [
            Judged(n, 1 if relevant[row] else -1, engine.files.vectors.rows(
                np.arange(table[row, 0], table[row, 0] + table[row, 1])))
            for n, row in enumerate(order)
        ]  # fmt: skip
        for n in MARKS:
            if not any(mark.sign > 0 for mark in marks[:n]):
                continue
            evidence = replace(blank, query=words[0], items=tuple(marks[:n]))
            vector = STRATEGIES["auto"](evidence).vector
            usual = [
                scale.best(vector[None], mark.tiles[None])[0, 0]
                for mark in marks[:n] if mark.sign > 0
            ]  # fmt: skip
            learnt = LookedFor(vector[None], np.array([np.mean(usual)], np.float32))
            mine = engine.score_all(vector[None])
            mean = scale.best(vector[None], scale.background).mean()
            unseen = np.ones(len(table), bool)
            unseen[order[:n]] = False
            yield (
                n,
                {
                    "relevant": relevant[unseen],
                    "fit": scale.fits_wanted(learnt, mine)[0][unseen],
                    "words": scale.fits(words, scores)[0][unseen],
                    "above": ((mine[0] - mean) / (np.mean(usual) - mean))[unseen],
                    "line": np.array(scale.line(learnt)),
                    "words line": np.array(scale.line(LookedFor.words(words))),
                },
            )


def say_albums(made: list[tuple[int, dict[str, np.ndarray]]]) -> None:
    """Precision, recall and size of albums, and of what the words alone would hold."""
    for n in MARKS:
        for key, line in (("fit", "line"), ("words", "words line")):
            lines = []
            for _, one in (each for each in made if each[0] == n):
                inside, relevant = one[key] >= one[line], one["relevant"]
                right = (inside & relevant).sum()
                lines.append(
                    (right / max(inside.sum(), 1), right / max(relevant.sum(), 1),
                     inside.sum() / max(relevant.sum(), 1))
                )  # fmt: skip
            precision, recall, size = np.mean(lines, axis=0)
            print(
                f"{n:3} marks, {'the concept' if key == 'fit' else 'words alone'}: precision"
                f" {precision:.2f}, recall {recall:.2f}, {size:.2f} held for each that should be"
            )


def say_calibration(made: list[tuple[int, dict[str, np.ndarray]]]) -> None:
    """Expected calibration error in ten bins, and what is true of what is told to fit."""
    for key in ("fit", "words"):
        told = np.concatenate([one[key] for _, one in made])
        true = np.concatenate([one["relevant"] for _, one in made])
        bins = np.clip((told * 10).astype(int), 0, 9)
        error = sum(
            abs(told[bins == b].mean() - true[bins == b].mean()) * (bins == b).mean()
            for b in range(10) if (bins == b).any()
        )  # fmt: skip
        high = told > 0.1
        print(
            f"{key}: expected calibration error {error:.4f}; where it tells"
            f" {told[high].mean():.3f} in the mean, {true[high].mean():.3f} are right"
        )


def say_learnt(made: list[tuple[int, dict[str, np.ndarray]]]) -> None:
    """Slope and bias of a logistic regression of relevance on height (Newton's method)."""
    x = np.concatenate([one["above"] for _, one in made]).astype(np.float64)
    y = np.concatenate([one["relevant"] for _, one in made]).astype(np.float64)
    columns, weights = np.stack([x, np.ones_like(x)], axis=1), np.zeros(2)
    for _ in range(30):
        p = 1 / (1 + np.exp(-columns @ weights))
        hessian = columns.T @ (columns * (p * (1 - p))[:, None]) + 1e-9 * np.eye(2)
        weights += np.linalg.solve(hessian, columns.T @ (y - p))
    print(f"learnt: slope {weights[0]:.2f}, bias {weights[1]:.2f}")


def main() -> None:
    """Prints the figures."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("library", type=Path)
    made.add_argument("labels", type=Path)
    made.add_argument("--learn", action="store_true")
    asked = made.parse_args()
    with relook.Library(asked.library) as library:
        results = list(trials(library.engine, asked.labels))
    say_albums(results)
    say_calibration(results)
    if asked.learn:
        say_learnt(results)


if __name__ == "__main__":
    main()
