"""`relook bench replay`: logs of sessions, scored by time and wrong submissions. Layer: cli."""

from pathlib import Path
from typing import Annotated

import typer

from relook.app.facade import Library
from relook.bench.query_files import Wanted, read_concepts
from relook.bench.showdown import LIMIT_S, Score, logs_in, score_logs, score_simulated, standings
from relook.bench.simulate import Protocol, gallery_of, tasks_of
from relook.cli.options import CONCEPTS_HELP, JsonOption, LibraryOption
from relook.cli.output import print_json, print_notes, print_table
from relook.feedback.strategies import STRATEGIES
from relook.feedback.strategies import strategy as named_strategy

_PROTOCOL = Protocol()


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
