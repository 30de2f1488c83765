"""`relook bench sets`: what complete sets cost, and whether their estimates hold. Layer: cli."""

from pathlib import Path
from typing import Annotated

import typer

from relook.app.facade import Library
from relook.bench.query_files import read_concepts
from relook.bench.sets_report import SetsReport, bench_sets
from relook.bench.simulate import Protocol, gallery_of, tasks_of
from relook.cli.options import CONCEPTS_HELP, JsonOption, LibraryOption
from relook.cli.output import print_json, print_table, progress_bar
from relook.core.progress import Progress
from relook.feedback.strategies import DEFAULT
from relook.feedback.strategies import strategy as named_strategy

_PROTOCOL = Protocol()


def sets(
    queries: Annotated[Path, typer.Option(help=CONCEPTS_HELP)],
    library: LibraryOption = None,
    strategy: Annotated[
        str, typer.Option("--strategy", "-s", help="How marks are used on the first pages.")
    ] = DEFAULT,
    page: Annotated[int, typer.Option(min=1, help="Images a page.")] = _PROTOCOL.page,
    rounds: Annotated[int, typer.Option(min=1, help="Pages before estimates lead.")] = (
        _PROTOCOL.rounds
    ),
    noise: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of wrong labels.")
    ] = _PROTOCOL.noise,
    seed: Annotated[int, typer.Option(min=0, help="Of the wrong labels.")] = _PROTOCOL.seed,
    as_json: JsonOption = False,
) -> None:
    """Simulated people look for all of a kind until they are told that it was enough."""
    protocol = Protocol(page, rounds, noise, seed=seed)
    wanted, fit = read_concepts(queries), named_strategy(strategy)
    with Library(library) as lib, progress_bar() as progress:
        gallery, index = gallery_of(lib.engine)
        tasks = tasks_of(lib.engine, wanted, index)

        def report(done: int, total: int) -> None:
            if progress is not None:
                progress(Progress("looking", done, total))

        made = bench_sets(gallery, tasks, fit, protocol, progress=report)
    if as_json:
        print_json(made.as_dict())
    else:
        _print(made)


def _print(report: SetsReport) -> None:
    rows = [
        (
            str(at.looked),
            str(at.n_queries),
            f"{at.coverage:.3f}",
            f"{at.below:.3f}",
            f"{at.above:.3f}",
            f"{at.width:.1f}",
        )
        for at in report.at
    ]
    print_table(["looked at", "searches", "in the range", "below it", "above it", "width"], rows)
    measures = [
        ("in the likely range after the pages", f"{report.coverage:.3f}"),
        ("the same over all estimates until the signal", f"{report.coverage_until:.3f}"),
        ("nine of ten found at the signal", f"{report.promise:.3f}"),
        ("share found at the signal, mean", f"{report.recall:.3f}"),
        ("signal before everything was looked at", f"{report.signalled:.3f}"),
        ("looked at until the signal, mean", f"{report.looked:.0f} of {report.everything}"),
        ("the same, median", f"{report.looked_median:.0f}"),
        ("nine of ten take, if one knew", f"{report.looked_for_recall:.0f}"),
        ("searches", str(report.n_queries)),
    ]
    print_table(["measure", "value"], measures)
