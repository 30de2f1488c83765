"""`relook bench`: measure a library on data with known answers. Layer: cli."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated

import typer

from relook.app.facade import Library
from relook.bench.arms import ArmReport, compare, plot_found
from relook.bench.query_files import known_items, read_captions, read_concepts
from relook.bench.retrieval import bench_retrieval
from relook.bench.simulate import Protocol, gallery_of, tasks_of
from relook.cli.bench_answers import answers
from relook.cli.bench_ask import ask
from relook.cli.bench_identify import identify
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import print_json, print_table, progress_bar
from relook.feedback.strategies import DEFAULT, STRATEGIES
from relook.feedback.strategies import strategy as named_strategy
from relook.library.report import Progress, ProgressCallback

__all__ = ["app"]

SplitOption = Annotated[
    str | None, typer.Option(help="Use this split only: its name, or a file of picture names.")
]

app = typer.Typer(help="Measure a library on data with known answers.", no_args_is_help=True)
app.command("answers")(answers)
app.command("identify")(identify)
app.command("ask")(ask)
_PROTOCOL = Protocol()


@app.command("retrieval")
def retrieval(
    captions: Annotated[
        Path, typer.Option(help="TSV, Flickr token file, COCO captions or Karpathy's JSON.")
    ],
    library: LibraryOption = None,
    split: Annotated[
        str | None, typer.Option(help="Use this split only: its name, or a file of picture names.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Caption -> picture: how often the right picture is among the first 1, 5, 10."""
    with Library(library) as lib, progress_bar(as_json) as progress:
        asked = read_captions(captions, split)
        result = bench_retrieval(lib.engine, asked, _counter("asking", progress))
    if as_json:
        print_json(result.as_dict())
    else:
        print_table(["measure", "value"], [(k, str(v)) for k, v in result.as_dict().items()])


@app.command("feedback")
def feedback(
    library: LibraryOption = None,
    queries: Annotated[
        Path | None, typer.Option(help='Lines {"query": ..., "relevant": [file, ...]}.')
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="Instead: captions, each looking for its one picture.")
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Use this split only: its name, or a file of picture names.")
    ] = None,
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
