"""Options that several commands share. Layer: cli. Their defaults come from the settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relook.cli.configured import config_for
from relook.core.settings import SearchSettings, help_of

__all__ = ["JsonOption", "LibraryOption", "LimitOption", "PathOption", "WhereOption", "pairs"]


def _configured_library(context: typer.Context, folder: Path | None) -> Path | None:
    """The library that the configuration names, where no flag does."""
    named = None if folder else config_for(context).given("library.folder")
    return Path(named).expanduser() if named else folder


LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library", "-l", metavar="DIR", callback=_configured_library,
        help="Library folder; $RELOOK_LIBRARY or one per user when not given.",
    ),
]  # fmt: skip
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object to stdout instead of a table.")
]
LimitOption = Annotated[
    int,
    typer.Option("--limit", "-n", min=1, help=help_of(SearchSettings, "limit").capitalize() + "."),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="KEY=VALUE",
        help="Only images whose metadata fits; * and ? stand for anything. Repeat for more.",
    ),
]  # fmt: skip
PathOption = Annotated[
    str | None, typer.Option("--path", metavar="PATTERN", help="Only images whose path fits.")
]


def pairs(where: list[str] | None) -> dict[str, str]:
    """`KEY=VALUE` options as a dict.

    Raises:
        typer.BadParameter: for one without an equals sign.
    """
    found = {}
    for item in where or []:
        key, equals, value = item.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{item!r} is not KEY=VALUE", param_hint="--where")
        found[key] = value
    return found
