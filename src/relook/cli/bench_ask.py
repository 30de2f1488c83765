"""`relook bench ask`: a question file end to end. Layer: cli."""

from __future__ import annotations

import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
)
from relook.cli.bench_answers import print_report
from relook.cli.configured import ConfigOption, open_library
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import clean_lines, print_json, progress_bar
from relook.library.report import Progress

if TYPE_CHECKING:
    from relook.bench.answers import AnswerReport
    from relook.bench.ask_runs import AskRun

__all__ = ["ask"]

_SHOWN = 10


def ask(
    questions: Annotated[
        Path, typer.Argument(metavar="QUESTIONS", help="The paper's file, or one of your own.")
    ],
    out: Annotated[Path, typer.Option(metavar="LOG", help="Answers as JSONL; added to.")],
    pictures: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where the file's pictures are.")
    ] = None,
    library: LibraryOption = None,
    provider: ProviderOption = None,
    model: ModelOption = None,
    base_url: BaseUrlOption = None,
    when: WhenOption = None,
    form: FormOption = None,
    prompt: PromptOption = None,
    judge: Annotated[
        str, typer.Option(metavar="string|MODEL", help="What says whether an answer is right.")
    ] = "string",
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many, from the first.")] = None,
    allow_upload: UploadOption = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Look up, answer and judge a question file. Run it again to go on where it stopped."""
    from relook.app.asking import make_answerer, open_asker
    from relook.bench.answer_log import read_log
    from relook.bench.answers import bench_answers
    from relook.bench.ask_runs import bench_ask, for_numbers, read_bench_questions
    from relook.bench.judge import ModelJudge, StringJudge

    asking = asking_of(
        config,
        prompt,
        ask={"when": when, "form": form, "model": model,
             "providers": tuple(provider) if provider else None},
        model={"base_url": base_url, "stream": False},
    )  # fmt: skip
    asking = replace(asking, texts=for_numbers(asking.texts))
    asked = read_bench_questions(questions, pictures)[:limit]
    lib = open_library(library, config) if asking.needs_library else None
    judging = StringJudge() if judge == "string" else ModelJudge(make_answerer(judge, asking.model))
    with (
        closing(judging),
        closing(lib) if lib else closing(judging),
        open_asker(asking, library=lib, allow_upload=allow_upload, remember=True) as asker,
        progress_bar(as_json) as bar,
    ):
        done = bench_ask(
            asker,
            asked,
            out,
            lambda named: picture_of(named, lib, asking),
            judging,
            (lambda n, total: bar(Progress("asking", n, total))) if bar else None,
        )
    report = bench_answers(read_log([out])) if done.n_answered + done.n_before else None
    _tell(done, report, out, as_json)
    if done.failed:
        raise typer.Exit(3)


def _tell(done: AskRun, report: AnswerReport | None, out: Path, as_json: bool) -> None:
    if as_json:
        print_json({**done.as_dict(), "report": report.as_dict() if report else None})
        return
    sys.stdout.write(f"{done.n_answered} answered, {done.n_before} before: {out}\n")
    if report:
        print_report(report)
    for one in done.failed[:_SHOWN]:
        sys.stderr.write(clean_lines(f"not answered: number {one['idx']}: {one['message']}\n"))
