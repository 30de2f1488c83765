"""`relook bench answers`: how good the answers of a log are. Layer: cli."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from relook.bench.answer_log import categories_of, read_log, with_categories
from relook.bench.answers import AnswerReport, Comparison, bench_answers
from relook.cli.options import JsonOption
from relook.cli.output import print_json, print_table

__all__ = ["answers", "print_report"]

LogArgument = Annotated[
    list[Path],
    typer.Argument(metavar="LOG...", help="Answers in the paper's format; parts of one log."),
]
_NAMES = {
    "answer_in_prediction": "a gold answer occurs in the text",
    "accepted_answer": "an accepted name, or number in range",
    "number_in_range": "number in range",
    "binomial_em": "species exact",
    "genus_em": "genus exact",
    "judge_accuracy": "judged correct",
}


def answers(
    log: LogArgument,
    against: Annotated[
        list[Path] | None,
        typer.Option(metavar="LOG", help="Answers without retrieval, say. Repeat for parts."),
    ] = None,
    questions: Annotated[
        Path | None, typer.Option(help="Question file {category: [...]}, to tell categories.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """How good the answers of a log are, and what they fix and break of another log's."""
    records, others = read_log(log), read_log(against) if against else None
    if questions:
        records = with_categories(records, categories_of(questions))
    report = bench_answers(records, others)
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report)


def print_report(report: AnswerReport) -> None:
    """Tables of a report."""
    rows = []
    for name, share in report.shares.items():
        if share is not None:
            count = str(report.counts[name])
            rows.append((_NAMES[name], count, f"{share:.1%}", *_gain(report.compared.get(name))))
    compared = ["against", "gain (95%)", "fixed", "broken", "auto", "best"]
    print_table(["measure", "n", "right", *compared], rows)
    if report.looked_up is not None:
        told = "auto: what --when auto would give, looking up"
        sys.stdout.write(f"{told} {report.looked_up:.1%}; best: a perfect choice\n")
    for name, agreed in report.judge_agreement.items():
        share, kappa = agreed["share"], agreed["kappa"]
        told = f"{_NAMES[name]}: agrees with the judge on {share:.1%}, kappa {kappa:.2f}"
        sys.stdout.write(told + "\n")
    if report.categories:
        rows = []
        for name, shares in report.categories.items():
            gain = _gain(report.category_compared.get(name))
            rows.append((name, f"{shares['answer_in_prediction'] or 0:.1%}", *gain))
        print_table(["category", "gold in text", *compared], rows)


def _gain(one: Comparison | None) -> tuple[str, ...]:
    if one is None:
        return ("",) * 6
    gain = f"{one.gain.mean:+.1%} ({one.gain.low:+.1%} to {one.gain.high:+.1%})"
    chosen = (f"{one.auto:.1%}", f"{one.best:.1%}")
    return (f"{one.against:.1%}", gain, str(one.fixed), str(one.broken), *chosen)
