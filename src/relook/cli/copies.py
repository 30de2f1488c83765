"""`relook copies`: equal and near-equal pictures, and which to keep. Layer: cli."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from relook.cli.config_flags import ConfigOption, open_library
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import print_json, print_table, written_file
from relook.core.errors import counted
from relook.core.outputs import check_output
from relook.core.picture_paths import printable
from relook.search.copies import Copies
from relook.search.copy_list import FORMATS


class Form(StrEnum):
    """What a list may be written as."""

    CSV = "csv"
    JSON = "json"
    SH = "sh"


def copies(
    library: LibraryOption = None,
    equal: Annotated[
        bool, typer.Option("--equal", help="Only pictures that are the same file, byte for byte.")
    ] = False,
    limit: Annotated[
        int | None,
        typer.Option("--limit", "-n", min=1, help="How many groups; all by default."),
    ] = None,
    form: Annotated[
        Form | None,
        typer.Option(
            "--format",
            help="Write a list: csv, json, or sh, a script that moves the others into a folder.",
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="FILE", help="Write the list there.")
    ] = None,
    measure: Annotated[
        bool,
        typer.Option("--sharpness/--no-sharpness", help="Read the pictures to see which is sharp."),
    ] = True,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """List copies of pictures, with which of each to keep and why. Nothing is ever deleted."""
    if out is not None:
        if form is None:
            what = "say what to write: --format csv, json or sh"
            raise typer.BadParameter(what, param_hint="--out")
        check_output(out, (f".{form.value}",))
    with open_library(library, config) as lib:
        review = lib.overview.copies(equal_only=equal, limit=limit, measure=measure)
    if form is not None:
        data = FORMATS[form.value](review)
        if out is None:
            sys.stdout.buffer.write(data)
        else:
            with written_file(out, (f".{form.value}",)) as file:
                file.write(data)
            sys.stderr.write(f"wrote {out}\n")
    elif as_json:
        print_json(review.as_dict())
    else:
        _print(review)


def _print(review: Copies) -> None:
    rows = []
    for number, group in enumerate(review.groups, start=1):
        for at, copy in enumerate(group.copies):
            what = group.why if at == 0 else "same file" if copy.is_same_file else "near copy"
            rows.append(
                (str(number) if at == 0 else "", "keep" if at == 0 else "",
                 printable(bytes(copy.path)), f"{copy.width_px} x {copy.height_px}",
                 f"{copy.size_bytes / 1e6:.2f} MB",
                 "" if copy.sharpness is None else f"{copy.sharpness:.1f}", what)
            )  # fmt: skip
    if rows:
        print_table(["group", "", "picture", "pixels", "size", "sharpness", "why"], rows)
    sys.stdout.write(
        f"{counted(review.n_groups, 'group')};"
        f" {counted(review.n_others, 'picture is a copy', 'pictures are copies')} of another,"
        f" {review.n_bytes / 1e6:,.1f} MB. Nothing was changed.\n"
    )
