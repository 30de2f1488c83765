"""`relook train`: weights that feedback reads with. Layer: cli."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relook.cli.config_flags import CaptionFlags, ConfigOption, open_library, page_captions
from relook.cli.options import (
    BoxUploadOption,
    CaptionerOption,
    CaptionPromptOption,
    Commands,
    JsonOption,
    LibraryOption,
    SplitOption,
)
from relook.cli.output import print_json, print_table, progress_bar
from relook.core.registry import import_extra

if TYPE_CHECKING:
    from relook.learning.course import Trained

app = Commands(help="Train what feedback reads with.", no_args_is_help=True)


@app.callback()
def _train() -> None:
    """Nothing is sent anywhere; the encoder stays as it is."""


@app.command("afs")
def afs(
    library: LibraryOption = None,
    captions: Annotated[
        Path | None,
        typer.Option(
            help="TSV, CSV, JSON lines, Flickr tokens, COCO's or Karpathy's JSON, about the"
            " library's pictures; the captions that the library has of them (--metadata, .txt) when"
            " not given."
        ),
    ] = None,
    split: SplitOption = None,
    to: Annotated[
        Path | None,
        typer.Option(metavar="DIR|FILE", help="Library or .onnx file that gets the weights."),
    ] = None,
    pictures: Annotated[
        int, typer.Option(min=4, help="At most so many pictures, drawn at random.")
    ] = 20_000,
    epochs: Annotated[int, typer.Option(min=1, help="Times each picture is looked for.")] = 40,
    seed: Annotated[int, typer.Option(min=0, help="Of all that is drawn.")] = 0,
    captioner: CaptionerOption = None,
    prompt: CaptionPromptOption = None,
    allow_upload: BoxUploadOption = False,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Begin anew; a stopped run is gone on with otherwise.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train the strategy afs on captioned pictures: a library of them, and their captions.

    With --captioner it reads that captioner's words about the pictures, too.
    """
    if split and captions is None:
        raise typer.BadParameter("it chooses captions of a file, --captions", param_hint="--split")
    course = import_extra("relook.learning.course", "relook train afs", "train")
    from relook.app.training import train_afs

    flags = CaptionFlags(captioner, prompt, allow_upload)
    lessons = course.LessonOptions(pictures=pictures, seed=seed)
    options = course.TrainOptions(epochs=epochs, lessons=lessons)
    with open_library(library, config, flags) as lib, progress_bar(as_json) as progress:
        speak = page_captions(lib, config, flags, progress)[0] if captioner else None
        made = train_afs(
            lib, captions, split=split, to=to, options=options, speak=speak, fresh=fresh,
            progress=progress,
        )  # fmt: skip
    if as_json:
        print_json(made.as_dict())
    else:
        _print_trained(made)


def _print_trained(made: Trained) -> None:
    rows = [
        ("the query itself", f"{made.loss_query:.4f}"),
        ("the mean of its page", f"{made.loss_page:.4f}"),
        ("the trained summary", f"{made.loss:.4f}"),
    ]
    print_table([f"distance, {made.n_held_out:,} held-out pictures", "0 to 2"], rows)
    sys.stdout.write(
        f"{made.n_captions:,} captions of {made.n_pictures:,} pictures, epoch {made.best_epoch} of"
        f" {made.n_epochs}, {made.took_s:.0f} s: {made.file}\n"
        "look again with it: relook look WORDS --strategy afs\n"
    )
