"""Options that `relook serve` and `relook mcp` share. Layer: cli."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

__all__ = [
    "AllowHostOption", "AskModelOption", "AskProviderOption", "LibrariesOption", "TokenOption",
]  # fmt: skip

LibrariesOption = Annotated[
    list[Path] | None,
    typer.Option("--library", "-l", metavar="DIR", help="Library folder. Repeatable."),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        envvar="RELOOK_TOKEN",
        show_envvar=True,
        help="What requests must show; made up beyond this machine when not given.",
    ),
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Another name that this server is called. Repeatable."),
]
AskModelOption = Annotated[
    list[str] | None,
    typer.Option(metavar="MODEL", help="Questions may be put to this model. Repeatable."),
]
AskProviderOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Pictures may be looked up there. Repeatable."),
]
