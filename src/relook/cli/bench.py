"""`relook bench`: measure a library on data with known answers. Layer: cli."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relook.app.facade import Library
from relook.bench.answer_log import categories_of, read_log, with_categories
from relook.bench.answers import AnswerReport, Comparison, bench_answers
from relook.bench.arms import ArmReport, compare, plot_found
from relook.bench.fit_report import FitReport, bench_fit, plot_fit
from relook.bench.query_files import known_items, read_captions, read_concepts, read_queries
from relook.bench.retrieval import bench_retrieval
from relook.bench.simulate import Protocol, gallery_of, tasks_of
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
from relook.cli.config_flags import ConfigOption, open_library
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import clean_lines, print_json, print_table, progress_bar
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import EvidenceSettings, GatherSettings
from relook.feedback.strategies import DEFAULT, STRATEGIES
from relook.feedback.strategies import strategy as named_strategy

if TYPE_CHECKING:
    from relook.bench.ask_runs import AskRun
    from relook.bench.identify import IdentifyResult

_PROTOCOL = Protocol()
_SHOWN_FAILURES = 10
_NAMES = {
    "answer_in_prediction": "a gold answer occurs in the text",
    "accepted_answer": "an accepted name, or number in range",
    "number_in_range": "number in range",
    "binomial_em": "species exact",
    "genus_em": "genus exact",
    "judge_accuracy": "judged correct",
}

SplitOption = Annotated[
    str | None, typer.Option(help="Use this split only: its name, or a file of picture names.")
]
LogArgument = Annotated[
    list[Path],
    typer.Argument(metavar="LOG...", help="Answers in the paper's format; parts of one log."),
]

app = typer.Typer(help="Measure a library on data with known answers.", no_args_is_help=True)


@app.command("answers")
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


@app.command("identify")
def identify(
    labels: Annotated[Path, typer.Option(help='Lines {"query": NAME, "relevant": [file, ...]}.')],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Labelled photographs: is the right name in the library's evidence? No model is asked."""
    from relook.app.finder import library_finder  # other commands do without Pillow
    from relook.bench.identify import AT, bench_identify, labelled
    from relook.providers.library import LibraryProvider
    from relook.rag.lookup import Gatherer

    n_items = 2 * max(AT)  # so that something moves up when items are struck
    wanted = read_concepts(labels)
    with Library(library) as lib, progress_bar(as_json) as progress:
        records = list(lib.files.catalog.each_image())
        photographs, n_unmatched = labelled(wanted, records)
        settings = GatherSettings(limit=n_items)
        kept = EvidenceSettings(items=n_items)
        provider = LibraryProvider(library_finder(lib.engine))
        with Gatherer({"library": provider}, settings=settings, evidence=kept) as gatherer:
            result = bench_identify(
                photographs,
                records,
                gatherer.gather,
                n_unmatched,
                _counter("looking up", progress),
            )
    if as_json:
        print_json(result.as_dict())
    else:
        _print_identified(result)


def _print_identified(result: IdentifyResult) -> None:
    from relook.bench.identify import AT

    rows = [
        (
            f"first {k}",
            f"{result.name[k]:.3f}",
            f"{result.struck[k]:.3f}",
            f"{result.chance[k]:.3f}",
        )
        for k in AT
    ]
    print_table(["right name among", "evidence", "wrong ones struck", "chance"], rows)
    counts = [
        ("photographs", str(result.n_photographs)),
        ("names", str(result.n_names)),
        ("pairs of both", str(result.n_labelled)),
        ("images searched", str(result.n_images)),
        ("labels without a picture here", str(result.n_unmatched)),
        ("not read", str(result.n_failed)),
        ("evidence, mean", f"{result.evidence_ms:.1f} ms"),
    ]
    print_table(["measured on", "n"], counts)


@app.command("ask")
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
    batch = read_bench_questions(questions, pictures)[:limit]
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
            batch,
            out,
            lambda named: picture_of(named, lib, asking),
            judging,
            _counter("asking", bar),
        )
    report = bench_answers(read_log([out])) if done.n_answered + done.n_before else None
    _print_run(done, report, out, as_json)
    if done.failed:
        raise typer.Exit(3)


def _print_run(done: AskRun, report: AnswerReport | None, out: Path, as_json: bool) -> None:
    if as_json:
        print_json({**done.as_dict(), "report": report.as_dict() if report else None})
        return
    lost = f", {done.n_not_looked_up} not looked up" if done.n_not_looked_up else ""
    sys.stdout.write(f"{done.n_answered} answered, {done.n_before} before{lost}: {out}\n")
    if report:
        _print_answers(report)
    for failure in done.failed[:_SHOWN_FAILURES]:
        sys.stderr.write(
            clean_lines(f"not answered: number {failure['idx']}: {failure['message']}\n")
        )


@app.command("retrieval")
def retrieval(
    captions: Annotated[
        Path, typer.Option(help="TSV, Flickr token file, COCO captions or Karpathy's JSON.")
    ],
    library: LibraryOption = None,
    split: SplitOption = None,
    as_json: JsonOption = False,
) -> None:
    """Caption -> picture: how often the right picture is among the first 1, 5, 10."""
    with Library(library) as lib, progress_bar(as_json) as progress:
        queries = read_captions(captions, split)
        result = bench_retrieval(lib.engine, queries, _counter("asking", progress))
    if as_json:
        print_json(result.as_dict())
    else:
        print_table(["measure", "value"], [(k, str(v)) for k, v in result.as_dict().items()])


@app.command("fit")
def fit(
    queries: Annotated[Path, typer.Option(help='Lines {"query": ..., "relevant": [file, ...]}.')],
    library: LibraryOption = None,
    captions: Annotated[
        Path | None,
        typer.Option(help="A picture shows a query, too, when a caption here uses all its words."),
    ] = None,
    split: SplitOption = None,
    absent: Annotated[
        Path | None, typer.Option(help="Queries that nothing in the library shows, one a line.")
    ] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG or SVG of the diagram.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Is fit the probability it says, and is "nothing fits" told when nothing does?"""
    wanted = read_concepts(queries)
    caption_file = read_captions(captions, split) if captions else []
    nothing = read_queries(absent) if absent else []
    with Library(library) as lib, progress_bar(as_json) as progress:
        report = bench_fit(lib.engine, wanted, caption_file, nothing, _counter("asking", progress))
    if plot:
        plot_fit(report, plot)
    if as_json:
        print_json(report.as_dict())
    else:
        _print_fit(report)


def _print_fit(report: FitReport) -> None:
    rows = [
        (
            f"{interval.low:.1f} to {interval.high:.1f}",
            str(interval.n),
            f"{interval.fit:.3f}",
            f"{interval.shown:.3f}",
        )
        for interval in report.bins
    ]
    print_table(["fit between", "hits", "mean fit", "share that shows it"], rows)
    measures = [
        ("expected calibration error", f"{report.calibration_error:.3f}"),
        ("told 'nothing fits': something is here", f"{report.told_with:.1%}"),
        ("told 'nothing fits': its pictures taken out", f"{report.told_without:.1%}"),
    ]
    if report.told_absent is not None:
        measures.append(("told 'nothing fits': nothing shows it", f"{report.told_absent:.1%}"))
    counts = (report.n_queries, report.n_absent, report.n_images, report.n_unmatched)
    names = ("queries", "queries that nothing shows", "images", "queries left out")
    print_table(["measure", "value"], [*measures, *zip(names, map(str, counts), strict=True)])


@app.command("feedback")
def feedback(
    library: LibraryOption = None,
    queries: Annotated[
        Path | None, typer.Option(help='Lines {"query": ..., "relevant": [file, ...]}.')
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="Instead: captions, each looking for its one picture.")
    ] = None,
    split: SplitOption = None,
    strategies: Annotated[
        list[str] | None,
        typer.Option("--strategy", "-s", help=f"Repeatable, or 'all': {', '.join(STRATEGIES)}."),
    ] = None,
    page: Annotated[int, typer.Option(min=1, help="Images a page.")] = _PROTOCOL.page,
    rounds: Annotated[int, typer.Option(min=1, help="Pages looked at.")] = _PROTOCOL.rounds,
    noise: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of wrong labels.")
    ] = _PROTOCOL.noise,
    positives_only: Annotated[
        bool, typer.Option("--positives-only", help="Irrelevant images are not marked.")
    ] = False,
    marks: Annotated[int | None, typer.Option(min=1, help="At most so many marks a page.")] = None,
    plot: Annotated[Path | None, typer.Option(help="PNG or SVG of the curves.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Simulated people mark pages: what feedback finds, against no feedback at equal views."""
    if (queries is None) == (captions is None):
        raise typer.BadParameter("give either --queries or --captions")
    names = list(STRATEGIES) if strategies == ["all"] else strategies or [DEFAULT]
    arms = {name: named_strategy(name) for name in names}
    protocol = Protocol(page, rounds, noise, positives_only, marks)
    wanted = read_concepts(queries) if queries else known_items(read_captions(captions, split))  # type: ignore[arg-type]
    with Library(library) as lib, progress_bar(as_json) as progress:
        gallery, index = gallery_of(lib.engine)
        tasks = tasks_of(lib.engine, wanted, index)
        reports = compare(gallery, tasks, arms, protocol, _counter("playing", progress))
    if plot:
        plot_found(reports, plot)
    if as_json:
        several = {name: report.as_dict() for name, report in reports.items()}
        print_json({**reports[names[0]].as_dict(), "strategies": several})
    else:
        _print_reports(reports)


def _print_reports(reports: Mapping[str, ArmReport]) -> None:
    rows = []
    for name, r in reports.items():
        gain = r.found_gain
        interval = f"{gain.mean:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"
        shares = (f"{r.harmed:.1%}", f"{r.helped:.1%}")
        ndcg = f"{r.residual_ndcg_none:.3f} -> {r.residual_ndcg:.3f}"
        rows.append((name, f"{r.found:.3f}", interval, f"{r.ap:.3f}", *shares, ndcg))
    first = next(iter(reports.values()))
    columns = ["strategy", "found", "gain (95%)", "AP", "harmed", "helped", "residual nDCG@10"]
    none = ("(no feedback)", f"{first.found_none:.3f}", "", f"{first.ap_none:.3f}", "", "", "")
    print_table(columns, [none, *rows])
    strata = [
        (s.name, str(s.n_queries), f"{s.found_none:.3f}", f"{s.found:.3f}") for s in first.strata
    ]
    print_table([f"{first.strategy}: queries", "n", "found, none", "found"], strata)


def _counter(stage: str, progress: ProgressCallback | None) -> Callable[[int, int], None] | None:
    """Progress of counted work, for the bar."""
    if progress is None:
        return None
    return lambda done, total: progress(Progress(stage, done, total))
