"""`relook concept`: what sessions learnt, under names. Layer: cli."""

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from relook.cli.config_flags import open_library
from relook.cli.options import Commands, JsonOption, LibraryOption
from relook.cli.output import (
    print_json,
    print_notes,
    print_page,
    print_paths,
    print_table,
    written_file,
)
from relook.core.errors import InputError, NotFoundError, counted
from relook.core.outputs import JSON, check_output
from relook.library.concept_values import Concept, ConceptAlbum, ConceptChange, ExampleChange
from relook.search.concepts import MAX_ALBUM

app = Commands(
    help="What sessions learnt, under names: use them in any query as @NAME.", no_args_is_help=True
)
NameArgument = Annotated[
    str, typer.Argument(metavar="NAME", help="Its name; capitals do not matter.")
]
ReplaceOption = Annotated[
    bool, typer.Option("--replace", help="Take the place of a concept of this name.")
]
Numbers = list[int] | None


@app.command("save")
def save(
    name: Annotated[str, typer.Argument(metavar="NAME", help='What to call it: "our old van".')],
    session_id: Annotated[
        str | None,
        typer.Option("--session", metavar="SESSION", help="Id; the newest session when not given."),
    ] = None,
    replace: ReplaceOption = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep what a session has learnt, as it stands, under a name."""
    with open_library(library, None) as lib:
        chosen = session_id or next((row.session_id for row in lib.sessions()), None)
        if chosen is None:
            raise NotFoundError(
                "no_session", "this library has no session yet", "begin one with: relook look WORDS"
            )
        concept = lib.concepts.save(lib.session(chosen), name, replaced=replace)
    if as_json:
        print_json(concept.as_dict())
    else:
        line = shlex.quote(f"@{concept.name} + snow")
        sys.stdout.write(f"{_told(concept)}\nuse it: relook search {line}\n")


@app.command("list")
def list_concepts(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """The concepts of a library, with how many pictures each holds now."""
    with open_library(library, None) as lib:
        lines = lib.concepts.lines()
    if as_json:
        print_json({"concepts": [line.as_dict() for line in lines]})
        return
    if not lines:
        sys.stdout.write("none yet: mark pictures in relook look, then relook concept save NAME\n")
        return
    rows = [
        (
            f"@{line.name}",
            line.words,
            f"{line.n_relevant} + {line.n_irrelevant}",
            line.problem or _counted(line.n_pictures or 0, line.n_new or 0),
        )
        for line in lines
    ]
    print_table(["concept", "words", "examples", "pictures"], rows)


@app.command("show")
def show(name: NameArgument, library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """What a concept rests on: its words, and its examples with their numbers."""
    with open_library(library, None) as lib:
        concept = lib.concepts.get(name)
    if as_json:
        print_json(concept.as_dict())
        return
    sys.stdout.write(_told(concept) + "\n")
    for title, words in (("fits", concept.relevant_words), ("not", concept.irrelevant_words)):
        if words:
            sys.stdout.write(f"{title}, in words: {words}\n")
    rows = [
        (
            str(example.example_id),
            "relevant" if example.relevant else "irrelevant",
            "whole" if example.box is None else ",".join(f"{e:g}" for e in example.box.as_list()),
            example.caption,
            Path(example.path).name,
        )
        for example in concept.examples
    ]
    print_table(["example", "sign", "region", "caption", "picture"], rows)
    print_notes(concept.problems)


@app.command("album")
def album(
    name: NameArgument,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, max=MAX_ALBUM)] = 20,
    files: Annotated[bool, typer.Option("--files", "-f", help="Print paths only.")] = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """The pictures that a concept holds now; those that came since you looked last are counted."""
    with open_library(library, None) as lib:
        shown = lib.concepts.album(name, limit=limit, seen=True)
    if as_json:
        counted = {"n_pictures": shown.n_pictures, "is_cut": shown.is_cut, "n_new": shown.n_new}
        print_json({**shown.page.as_dict(), **counted})
    elif files:
        print_paths((hit.path for hit in shown.page), shown.page.notes)
    else:
        print_page(shown.page)
        sys.stdout.write(_album_line(shown) + "\n")


@app.command("edit")
def edit(
    name: NameArgument,
    rename: Annotated[str | None, typer.Option(metavar="NAME", help="Call it this.")] = None,
    without: Annotated[
        Numbers, typer.Option(metavar="EXAMPLE", help="Take an example out. Repeatable.")
    ] = None,
    relevant: Annotated[
        Numbers, typer.Option(metavar="EXAMPLE", help="This example does show it. Repeatable.")
    ] = None,
    irrelevant: Annotated[
        Numbers, typer.Option(metavar="EXAMPLE", help="This one does not. Repeatable.")
    ] = None,
    words: Annotated[
        str | None, typer.Option(help="What fits, in words; commas part several.")
    ] = None,
    not_words: Annotated[str | None, typer.Option(help="The same for what does not.")] = None,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Change what a concept is called or rests on; `show` has the numbers of its examples."""
    signs = [ExampleChange(number, True) for number in relevant or []]
    signs += [ExampleChange(number, False) for number in irrelevant or []]
    change = ConceptChange(rename, words, not_words, tuple(signs), tuple(without or []))
    if change == ConceptChange():
        raise InputError("no_change", "nothing is to be changed", "see: relook concept edit --help")
    with open_library(library, None) as lib:
        concept = lib.concepts.change(name, change)
    if as_json:
        print_json(concept.as_dict())
    else:
        sys.stdout.write(_told(concept) + "\n")


@app.command("delete")
def delete(name: NameArgument, library: LibraryOption = None) -> None:
    """Remove a concept; pictures and sessions stay."""
    with open_library(library, None) as lib:
        lib.concepts.delete(name)


@app.command("merge")
def merge(
    first: Annotated[str, typer.Argument(metavar="NAME")],
    second: Annotated[str, typer.Argument(metavar="OTHER")],
    into: Annotated[
        str,
        typer.Option(metavar="NAME", help="What to call both; one of the two names replaces it."),
    ],
    replace: ReplaceOption = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a concept of what either of two holds; the two stay."""
    with open_library(library, None) as lib:
        concept, notes = lib.concepts.merge(first, second, into, replaced=replace)
    _added(concept, notes, as_json)


@app.command("export")
def export(
    name: NameArgument,
    library: LibraryOption = None,
    to: Annotated[Path | None, typer.Option(help="File to write; stdout when not given.")] = None,
) -> None:
    """A concept as JSON, to share: vectors, words and examples, but no picture."""
    from relook.search.concept_file import export_concept

    if to is not None:
        check_output(to, JSON)
    with open_library(library, None) as lib:
        text = json.dumps(export_concept(lib.concepts, name), indent=2) + "\n"
    if to is None:
        sys.stdout.write(text)
    else:
        with written_file(to, JSON) as file:
            file.write(text.encode())


@app.command("import")
def import_(
    file: Path,
    name: Annotated[str, typer.Option(help="What to call it; its own name when empty.")] = "",
    replace: ReplaceOption = False,
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Add an exported concept. One of another encoder is fitted again from its examples."""
    from relook.search.concept_file import add_concept, read_bytes

    data = read_bytes(file)
    with open_library(library, None) as lib:
        concept, notes = add_concept(
            lib.concepts, data, name=name, replaced=replace, source=str(file)
        )
    _added(concept, notes, as_json)


def _added(concept: Concept, notes: tuple[str, ...], as_json: bool) -> None:
    if as_json:
        print_json({**concept.as_dict(), "notes": list(notes)})
    else:
        sys.stdout.write(_told(concept) + "\n")
        print_notes(notes)


def _told(concept: Concept) -> str:
    words = f'"{concept.query.text}", ' if concept.query else ""
    return (
        f"@{concept.name}: {words}{counted(concept.n_relevant, 'example')} for it,"
        f" {concept.n_irrelevant} against"
    )


def _counted(n_pictures: int, n_new: int) -> str:
    return f"{n_pictures:,}" + (f", {n_new:,} new" if n_new else "")


def _album_line(shown: ConceptAlbum) -> str:
    if shown.is_cut:
        return f"the first {shown.n_pictures:,}; there are more (--limit)"
    new = f", {shown.n_new:,} of them new" if shown.n_new else ""
    return f"{counted(shown.n_pictures, 'picture')}{new}"
