"""`relook bench answers` and `relook bench ask`: how good answers are. Layer: cli."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relook.bench.answer_log import categories_of, read_log, with_categories
from relook.bench.answers import AnswerReport, Comparison, bench_answers
from relook.cli.ask import (
    BaseUrlOption,
    FormOption,
    ModelOption,
    PromptOption,
    ProviderOption,
    UploadOption,
    WhenOption,
    asking_of,
    picture_of,
    saved_spec,
)
from relook.cli.config_flags import ConfigOption, open_library
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import clean_lines, counter, print_json, print_table, progress_bar

if TYPE_CHECKING:
    from relook.app.asking import Asking
    from relook.bench.ask_runs import AskRun, PaperRun

_SHOWN_FAILURES = 10
_NAMES = {
    "answer_in_prediction": "a gold answer occurs in the text",
    "accepted_answer": "an accepted name, or number in range",
    "number_in_range": "number in range",
    "binomial_em": "species exact",
    "genus_em": "genus exact",
    "binomial_recall": "species in the text",
    "genus_recall": "genus in the text",
    "judge_accuracy": "judged correct",
}

RunOption = Annotated[
    str,
    typer.Option(
        metavar="regular|text-only|consistency|entity|decide",
        help="What the model is shown, as in the paper's experiments.",
    ),
]
LogArgument = Annotated[
    list[Path],
    typer.Argument(metavar="LOG...", help="Answers in the paper's format; parts of one log."),
]


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
        _print_answers(report)


def _print_answers(report: AnswerReport) -> None:
    rows = []
    for name, share in report.shares.items():
        if share is not None:
            count = str(report.counts[name])
            rows.append((_NAMES[name], count, f"{share:.1%}", *_gain(report.compared.get(name))))
    compared = ["against", "gain (95%)", "fixed", "broken", "auto", "best"]
    print_table(["measure", "n", "right", *compared], rows)
    if report.looked_up is not None:
        auto = f"auto: what --when auto would give, looking up {report.looked_up:.1%}"
        sys.stdout.write(f"{auto}; best: a perfect choice\n")
    for name, agreed in report.judge_agreement.items():
        share, kappa = agreed["share"], agreed["kappa"]
        agreement = f"agrees with the judge on {share:.1%}, kappa {kappa:.2f}"
        sys.stdout.write(f"{_NAMES[name]}: {agreement}\n")
    if report.categories:
        rows = []
        for name, shares in report.categories.items():
            gain = _gain(report.category_compared.get(name))
            rows.append((name, f"{shares['answer_in_prediction'] or 0:.1%}", *gain))
        print_table(["category", "gold in text", *compared], rows)


def _gain(comparison: Comparison | None) -> tuple[str, ...]:
    if comparison is None:
        return ("",) * 6
    mean, low, high = comparison.gain.mean, comparison.gain.low, comparison.gain.high
    return (
        f"{comparison.against:.1%}",
        f"{mean:+.1%} ({low:+.1%} to {high:+.1%})",
        str(comparison.fixed),
        str(comparison.broken),
        f"{comparison.auto:.1%}",
        f"{comparison.best:.1%}",
    )


QuestionsArgument = Annotated[
    Path, typer.Argument(metavar="QUESTIONS", help="The paper's file, or one of your own.")
]
OutOption = Annotated[Path, typer.Option(metavar="LOG", help="Answers as JSONL; added to.")]
PicturesOption = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where the file's pictures are.")
]
JudgeOption = Annotated[
    str, typer.Option(metavar="string|MODEL", help="What says whether an answer is right.")
]
SavedOption = Annotated[
    Path | None, typer.Option(metavar="FOLDER", help="Saved screenshots, called like the pictures.")
]
EntitiesOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="For --run entity: entity_id, tab, name.")
]


def ask(
    questions: QuestionsArgument,
    out: OutOption,
    pictures: PicturesOption = None,
    library: LibraryOption = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    when: WhenOption = None,
    form: FormOption = None,
    prompt: PromptOption = None,
    judge: JudgeOption = "string",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many, from the first.")] = None,
    run: RunOption = "regular",
    evidence: SavedOption = None,
    entities: EntitiesOption = None,
    allow_upload: UploadOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look up, answer and judge a question file. Run it again to go on where it stopped."""
    from relook.app.asking import make_answerer, open_asker
    from relook.bench.answers import ModelJudge, StringJudge
    from relook.bench.ask_runs import bench_ask, of_entities, read_bench_questions, read_entities

    experiment = _experiment(run, when)
    if evidence is not None:
        provider = [*(provider or ()), saved_spec(evidence)]
    asking = asking_of(
        config,
        prompt,
        ask={"when": when, "form": form, "model": model,
             "providers": tuple(provider) if provider else None},
        model={"base_url": base_url, "stream": False},
    )  # fmt: skip
    asking = _for_run(asking, experiment)
    batch = read_bench_questions(questions, pictures)[:limit]
    if experiment.of_entity:
        batch = of_entities(batch, read_entities(entities) if entities else {})
    lib = open_library(library, config) if asking.needs_library else None
    judging = StringJudge() if judge == "string" else ModelJudge(make_answerer(judge, asking.model))
    with (
        closing(judging),
        closing(lib) if lib else closing(judging),
        open_asker(asking, library=lib, allow_upload=allow_upload, remember=True) as asker,
        progress_bar() as bar,
    ):
        done = bench_ask(
            asker,
            batch,
            out,
            lambda named: picture_of(named, lib, asking),
            judging,
            counter("asking", bar),
            run=run,
        )
    report = bench_answers(read_log([out])) if done.n_answered + done.n_before else None
    _print_run(done, report, out, as_json)
    if done.failed:
        raise typer.Exit(3)


def _experiment(run: str, when: str | None) -> PaperRun:
    """The run of this name.

    Raises:
        typer.BadParameter: when there is none, or it says itself when evidence is used.
    """
    from relook.bench.ask_runs import RUNS

    if run not in RUNS:
        raise typer.BadParameter(f"{run!r} is none of {', '.join(RUNS)}", param_hint="--run")
    if when is not None and RUNS[run].when:
        raise typer.BadParameter(f"the run {run} says itself when to look up", param_hint="--when")
    return RUNS[run]


def _for_run(asking: Asking, experiment: PaperRun) -> Asking:
    """The settings of a question as an experiment has them."""
    from relook.bench.ask_runs import for_numbers

    asking = asking.with_(ask={"when": experiment.when or None})
    texts = experiment.applied_to(for_numbers(asking.texts))
    return replace(asking, texts=texts, shows=experiment.shows)


def _print_run(done: AskRun, report: AnswerReport | None, out: Path, as_json: bool) -> None:
    if as_json:
        print_json({**done.as_dict(), "report": report.as_dict() if report else None})
        return
    n_left = len(done.failed) - done.n_not_looked_up
    counts = [
        (done.n_not_looked_up, "not looked up"), (n_left, "not answered"),
        (done.n_partly_looked_up, "with a provider that failed"),
    ]  # fmt: skip
    more = "".join(f", {count} {what}" for count, what in counts if count)
    sys.stdout.write(f"{done.n_answered} answered, {done.n_before} before{more}: {out}\n")
    ends = ", ".join(f"{how.replace('_', ' ')} {n}" for how, n in sorted(done.looked_up.items()))
    sys.stdout.write(f"run {done.run}: {done.n_with_evidence} of them with evidence ({ends})\n")
    if report:
        _print_answers(report)
    for failure in done.failed[:_SHOWN_FAILURES]:
        sys.stderr.write(
            clean_lines(f"not answered: number {failure['idx']}: {failure['message']}\n")
        )
