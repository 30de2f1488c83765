"""Simulated people and logs of real ones, measured. Layer: cli.

`relook bench feedback` plays searches with and without feedback, `bench sets` looks for all of a
kind until it is enough, `bench replay` scores logs by time and wrong submissions.
"""

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from relook.app.facade import Library
from relook.bench.arms import ArmReport, PlayedQuery, compare, plot_found
from relook.bench.measures import MeasuredOn
from relook.bench.query_files import Wanted, known_items, read_captions, read_concepts
from relook.bench.sets_report import SetsReport, bench_sets
from relook.bench.showdown import LIMIT_S, Score, logs_in, score_logs, score_simulated, standings
from relook.bench.simulate import Protocol, gallery_of, tasks_of
from relook.cli.options import CONCEPTS_HELP, JsonOption, LibraryOption, SplitOption
from relook.cli.output import (
    clean_lines,
    counter,
    print_json,
    print_notes,
    print_table,
    progress_bar,
)
from relook.core.json_writer import to_json
from relook.core.outputs import CURVES, JSON_LINES, check_output
from relook.core.progress import Progress
from relook.feedback.strategies import DEFAULT, STRATEGIES
from relook.feedback.strategies import strategy as named_strategy
from relook.search.summariser import OnnxSummariser, summariser_of

_PROTOCOL = Protocol()

QueriesOption = Annotated[Path | None, typer.Option(help=CONCEPTS_HELP)]
CaptionsOption = Annotated[
    Path | None, typer.Option(help="Instead: captions, each looking for its one picture.")
]
StrategiesOption = Annotated[
    list[str] | None,
    typer.Option("--strategy", "-s", help=f"Repeatable, or 'all': {', '.join(STRATEGIES)}."),
]
PageOption = Annotated[int, typer.Option(min=1, help="Images a page.")]
RoundsOption = Annotated[int, typer.Option(min=1, help="Pages looked at.")]
NoiseOption = Annotated[float, typer.Option(min=0.0, max=1.0, help="Share of wrong labels.")]
PositivesOption = Annotated[
    bool, typer.Option("--positives-only", help="Irrelevant images are not marked.")
]
MarksOption = Annotated[int | None, typer.Option(min=1, help="At most so many marks a page.")]
KeepOption = Annotated[
    bool, typer.Option(help="What was shown, fits and is not marked stays, as in a session.")
]
SeedOption = Annotated[int, typer.Option(min=0, help="Of --noise: which labels are wrong.")]
LinesOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="A line of JSON for each query, as it is played."),
]
PlotOption = Annotated[Path | None, typer.Option(help="PNG or SVG of the curves.")]


def feedback(
    library: LibraryOption = None,
    queries: QueriesOption = None,
    captions: CaptionsOption = None,
    split: SplitOption = None,
    strategies: StrategiesOption = None,
    page: PageOption = _PROTOCOL.page,
    rounds: RoundsOption = _PROTOCOL.rounds,
    noise: NoiseOption = _PROTOCOL.noise,
    positives_only: PositivesOption = False,
    marks: MarksOption = None,
    keep_fitting: KeepOption = _PROTOCOL.keep_fitting,
    seed: SeedOption = _PROTOCOL.seed,
    per_query: LinesOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Simulated people mark pages: what feedback finds, against no feedback at equal views."""
    if (queries is None) == (captions is None):
        raise typer.BadParameter("give either --queries or --captions")
    if plot:
        check_output(plot, CURVES)
    names = strategies or [DEFAULT]
    protocol = Protocol(page, rounds, noise, positives_only, marks, keep_fitting, seed=seed)
    wanted = read_concepts(queries) if queries else known_items(read_captions(captions, split))  # type: ignore[arg-type]
    with Library(library) as lib, _lines_in(per_query) as each, progress_bar() as progress:
        gallery, index = gallery_of(lib.engine)
        if names == ["all"]:
            names = playable(STRATEGIES, summariser_of(lib.files, lib.engine.encoder.fingerprint))
        arms = {name: named_strategy(name) for name in names}
        tasks = tasks_of(lib.engine, wanted, index)
        reports = compare(gallery, tasks, arms, protocol, counter("playing", progress), each)
        measured = MeasuredOn.of(lib.engine)
    if plot:
        plot_found(reports, plot)
    n_left_out = len(wanted) - len(tasks)
    if as_json:
        several = {name: report.as_dict() for name, report in reports.items()}
        print_json({
            **reports[names[0]].as_dict(), "strategies": several, "n_left_out": n_left_out,
            "protocol": to_json(protocol), "measured_on": measured.as_dict(),
        })  # fmt: skip
    else:
        _print_reports(reports)
        _print_measured(measured, protocol, len(tasks), n_left_out)


def playable(names: Iterable[str], summariser: OnnxSummariser) -> list[str]:
    """The strategies that can be played; a note says it where afs has no weights."""
    if summariser.path.is_file():
        return list(names)
    note = f"note: afs is left out, {summariser.path} is not there; relook train afs makes it\n"
    sys.stderr.write(clean_lines(note))
    return [name for name in names if name != "afs"]


@contextmanager
def _lines_in(file: Path | None) -> Iterator[Callable[[PlayedQuery], None] | None]:
    """What writes a line a query into a file at once; None without a file."""
    if file is None:
        yield None
        return
    check_output(file, JSON_LINES)
    with file.open("w", encoding="utf-8") as lines:

        def write(played: PlayedQuery) -> None:
            lines.write(json.dumps(played.as_dict()) + "\n")
            lines.flush()  # a run that is stopped has what it played

        yield write


def _print_reports(reports: Mapping[str, ArmReport]) -> None:
    first = next(iter(reports.values()))
    none = "(no feedback)"
    rows = [(none, f"{first.found_none:.3f}", "", "", "", "")]
    more = [(none, f"{first.ap_none:.3f}", "", "", f"{first.second_none:.3f}")]
    for name, r in reports.items():
        gain = r.found_gain
        interval = f"{gain.low:+.3f} to {gain.high:+.3f}"
        shares = (f"{r.harmed:.1%}", f"{r.helped:.1%}")
        rows.append((name, f"{r.found:.3f}", f"{gain.mean:+.3f}", interval, *shares))
        ndcg = f"{r.residual_ndcg_none:.3f} -> {r.residual_ndcg:.3f}"
        more.append((name, f"{r.ap:.3f}", ndcg, f"{r.share_of_oracle:.0%}", f"{r.second:.3f}"))
    print_table(["strategy", "found", "gain", "95%", "harmed", "helped"], rows)
    print_table(["strategy", "AP", "residual nDCG@10", "of the oracle", "second page fits"], more)
    sys.stdout.write(
        f"first page's tail fits: {first.first_tail:.3f}\noracle (the best linear step from all"
        f" positives known beforehand): gain {first.oracle_gain:+.3f}\n"
    )
    strata = [
        (s.name, str(s.n_queries), f"{s.found_none:.3f}", f"{s.found:.3f}") for s in first.strata
    ]
    print_table([f"{first.strategy}: queries", "n", "found, none", "found"], strata)


def _print_measured(
    measured: MeasuredOn, protocol: Protocol, n_queries: int, n_left_out: int
) -> None:
    rows = [
        ("queries", f"{n_queries:,}"),
        ("queries without a picture here", f"{n_left_out:,}"),
        ("images", f"{measured.n_images:,}"),
        ("their contents", measured.pictures),
        ("encoder", measured.encoder.told),
        ("seed", str(protocol.seed)),
        ("versions", ", ".join(f"{name} {number}" for name, number in measured.versions.items())),
    ]
    print_table(["measured on", ""], rows)


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
        _print_sets(made)


def _print_sets(report: SetsReport) -> None:
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


def replay(
    queries: Annotated[Path, typer.Option(help=CONCEPTS_HELP)],
    logs: Annotated[
        list[Path] | None,
        typer.Argument(help="Exported sessions, or folders of them: a folder for each person."),
    ] = None,
    simulate: Annotated[
        list[str] | None,
        typer.Option(
            "--simulate",
            help=f"Simulated people beside them, who look again with: {', '.join(STRATEGIES)}."
            " Repeatable.",
        ),
    ] = None,
    library: LibraryOption = None,
    limit_s: Annotated[float, typer.Option(min=1, help="Seconds that a search may take.")] = (
        LIMIT_S
    ),
    page: Annotated[int, typer.Option(min=1, help="Images a page.")] = _PROTOCOL.page,
    rounds: Annotated[int, typer.Option(min=1, help="Pages looked at.")] = _PROTOCOL.rounds,
    noise: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Share of wrong labels of simulated people.")
    ] = _PROTOCOL.noise,
    as_json: JsonOption = False,
) -> None:
    """Score logs as the Video Browser Showdown does: time, and wrong submissions.

    People, agents and simulated people compare. What is marked relevant counts as submitted.
    """
    if not logs and not simulate:
        raise typer.BadParameter("give logs, or --simulate")
    wanted = read_concepts(queries)
    scores, notes = score_logs(logs_in(logs or []), wanted, limit_s=limit_s)
    if simulate:
        scores += _simulated(library, wanted, simulate, Protocol(page, rounds, noise), limit_s)
    table = standings(scores)
    if as_json:
        values = {"limit_s": limit_s, "notes": list(notes)}
        print_json(
            values
            | {"standings": [each.as_dict() for each in table]}
            | {"searches": [each.as_dict() for each in scores]}
        )
        return
    rows = [
        (
            each.who,
            str(each.n_searches),
            f"{each.score:.1f}",
            f"{each.solved:.0%}",
            f"{each.seconds:.0f} s",
            f"{each.n_right:.1f}",
            f"{each.n_wrong:.1f}",
        )
        for each in table
    ]
    columns = ["who", "searches", "score", "solved", "until the first", "right", "wrong"]
    print_table(columns, rows)
    print_notes(notes)


def _simulated(
    library: Path | None, wanted: list[Wanted], names: list[str], protocol: Protocol, limit_s: float
) -> list[Score]:
    with Library(library) as lib:
        gallery, index = gallery_of(lib.engine)
        tasks = tasks_of(lib.engine, wanted, index)
    return [
        each
        for name in names
        for each in score_simulated(
            f"simulated, {name}", gallery, tasks, named_strategy(name), protocol, limit_s
        )
    ]
