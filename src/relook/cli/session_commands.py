"""`relook session`: the sessions of a library. Layer: cli."""

from __future__ import annotations

import json
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relook.cli.config_flags import ConfigOption, open_library
from relook.cli.look import HitsOption, SessionArgument
from relook.cli.options import Commands, JsonOption, LibraryOption
from relook.cli.output import print_json, print_notes, print_page, print_table, written_file
from relook.core.outputs import JSON, check_output
from relook.search.judging import JudgementRequest

if TYPE_CHECKING:
    from relook.search.session_replay import RoundAgain

app = Commands(help="List, show, export and remove sessions.", no_args_is_help=True)


@app.command("list")
def list_sessions(
    library: LibraryOption = None, config: ConfigOption = None, as_json: JsonOption = False
) -> None:
    """The sessions of a library, newest first."""
    with open_library(library, config) as lib:
        rows = lib.sessions()
    if as_json:
        listed = [
            {"session_id": row.session_id, "name": row.name, "created_s": row.created_s}
            for row in rows
        ]
        print_json({"sessions": listed})
    elif rows:
        dates = [datetime.fromtimestamp(row.created_s) for row in rows]
        lines = [
            (row.session_id, f"{date:%Y-%m-%d %H:%M}", row.name)
            for row, date in zip(rows, dates, strict=True)
        ]
        print_table(["session", "begun", "name"], lines)
    else:
        sys.stdout.write("No sessions yet: relook look WORDS begins one.\n")


@app.command("show")
def show(
    session_id: SessionArgument, library: LibraryOption = None, as_json: JsonOption = False
) -> None:
    """A session's current page."""
    with open_library(library, None) as lib:
        page = lib.session(session_id).page
    if as_json:
        print_json(page.as_dict())
    else:
        print_page(page)


@app.command("estimate")
def estimate(
    session_id: SessionArgument,
    library: LibraryOption = None,
    relevant: Annotated[
        HitsOption, typer.Option(metavar="ID", help="First mark an image as relevant. Repeatable.")
    ] = None,
    irrelevant: Annotated[
        HitsOption, typer.Option(metavar="ID", help="First mark an image as not. Repeatable.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", "-n", min=0, max=1000, help="Pictures to judge next.")
    ] = 5,
    passed_over: Annotated[
        bool,
        typer.Option(
            "--passed-over/--marks-only",
            help="Pictures without a mark on pages that were marked and left do not fit.",
        ),
    ] = True,
    as_json: JsonOption = False,
) -> None:
    """How many pictures of the kind there are, how many are found, and what to judge next."""
    with open_library(library, None) as lib:
        session = lib.session(session_id)
        marks = [JudgementRequest(image_id, True) for image_id in relevant or []]
        marks += [JudgementRequest(image_id, False) for image_id in irrelevant or []]
        session.judge_all(marks)
        made = session.estimate(limit, passed_over=passed_over)
        hits = session.engine.hits([(each.image_id, each.chance, 0) for each in made.to_judge])
    if as_json:
        print_json(made.as_dict())
        return
    sys.stdout.write(f"{made.summary}\n")
    print_notes(made.notes)
    if hits:
        rows = [(str(hit.image_id), f"{hit.score:.3f}", str(hit.path)) for hit in hits]
        print_table(["worth judging", "chance", "picture"], rows)


@app.command("replay")
def replay(
    session: Annotated[str, typer.Argument(metavar="SESSION|FILE", help="Id, or exported file.")],
    library: LibraryOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Run a session's log again and compare each page; exit code 1 when one is another."""
    from relook.search.session_replay import replay_file  # brings the converter

    with open_library(library, config) as lib:
        file = Path(session)
        if file.suffix == ".json" or file.is_file():
            made = replay_file(lib.engine, file, lib.session_limits, lib.feedback)
        else:
            made = lib.session(session).replay()
    if as_json:
        print_json(made.as_dict())
    else:
        rows = [(str(each.number + 1), str(each.n_hits), _outcome(each)) for each in made.rounds]
        print_table(["page", "hits", "made again"], rows)
        print_notes(made.notes)
    if not made.same:
        raise typer.Exit(1)


def _outcome(again: RoundAgain) -> str:
    if again.same:
        return "the same page"
    if again.problem:
        return f"not made: {again.problem}"
    if again.differs_at is None:
        return f"the same pictures, scores off by {again.score_difference:.4f}"
    return f"another from hit {again.differs_at} on"


@app.command("rename")
def rename(session_id: SessionArgument, name: str, library: LibraryOption = None) -> None:
    """Give a session another name."""
    with open_library(library, None) as lib:
        lib.session(session_id).rename(name)


@app.command("delete")
def delete(session_id: SessionArgument, library: LibraryOption = None) -> None:
    """Remove a session with its rounds and judgements; the library stays."""
    with open_library(library, None) as lib:
        lib.session(session_id).delete()


@app.command("export")
def export(
    session_id: SessionArgument,
    library: LibraryOption = None,
    to: Annotated[Path | None, typer.Option(help="File to write; stdout when not given.")] = None,
) -> None:
    """A whole session as JSON, to keep or to import elsewhere."""
    from relook.search.transfer import export_session  # brings the converter

    if to is not None:
        check_output(to, JSON)
    with open_library(library, None) as lib:
        text = json.dumps(export_session(lib.session(session_id)), indent=2) + "\n"
    if to is None:
        sys.stdout.write(text)
    else:
        with written_file(to, JSON) as file:
            file.write(text.encode())


@app.command("import")
def import_(file: Path, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Add an exported session; its pictures are found again by their content."""
    with open_library(library, None) as lib:
        session, notes = lib.import_session(file)
    if as_json:
        print_json({"session_id": session.session_id, "notes": list(notes)})
    else:
        sys.stdout.write(f"session {session.session_id}\n")
        print_notes(notes)
