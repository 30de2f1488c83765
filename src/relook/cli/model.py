"""`relook model fetch`: the one command that downloads a model. Layer: cli."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from relook.cli.options import JsonOption
from relook.cli.output import print_json
from relook.encoders.checkpoint import fetch as fetch_checkpoint
from relook.encoders.spec import ModelSpec

__all__ = ["app"]

app = typer.Typer(help="Fetch models of the hub.", no_args_is_help=True)


@app.callback()
def _models() -> None:
    """Fetch models of the hub. No other command downloads one."""


@app.command("fetch")
def fetch(
    model: Annotated[
        str, typer.Argument(metavar="ID", help="Hub id, as openai/clip-vit-base-patch32.")
    ],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; the main branch when not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Download a model into the hub's cache; what is there already stays.

    Asks the hub for the files of this id, and sends nothing else. HF_TOKEN opens gated
    models, HF_HOME moves the cache, HF_HUB_OFFLINE forbids it.
    """
    spec = ModelSpec.parse(model)
    named = spec.model or model
    found = fetch_checkpoint(named, revision or spec.options.get("revision", ""))
    found.check()
    size = sum(path.stat().st_size for path in found.weight_files())
    if as_json:
        print_json(
            {
                "model": named, "revision": found.revision, "folder": str(found.folder),
                "n_bytes": size,
            }
        )  # fmt: skip
        return
    sys.stdout.write(f"{named} {found.revision}: {size / 1e6:,.0f} MB in {found.folder}\n")
