"""`relook model`: which models there are, how they get here, and in what form. Layer: cli."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from relook.cli.options import JsonOption
from relook.cli.output import print_json, print_table, progress_bar
from relook.core.errors import MissingExtraError, NotFoundError
from relook.core.registry import import_extra
from relook.encoders.checkpoint import fetch as fetch_checkpoint
from relook.encoders.known_models import BUILTIN, KNOWN, KnownModel, is_here, resolve
from relook.encoders.spec import ModelSpec

__all__ = ["app"]

app = typer.Typer(help="Models of pictures and words: list, fetch, export.", no_args_is_help=True)
_NOTE = (
    "tower: of pictures, and pixels of its input. words: languages, or how many of them. COCO:"
    " how often the first of 5,000 pictures is the one that a caption is of, in percent, as"
    " published. ms: a pass of one picture in float32 on ONNX Runtime, see docs/backbones.md;"
    " a picture takes 5, with --tiles none 1. Apple AMLR: for research only. here: on this machine;"
    " relook model fetch NAME brings it. --json has sources and hub ids.\n"
)


@app.callback()
def _models() -> None:
    """Models by name. Only `fetch` uses the network."""


@app.command("list")
def list_models(as_json: JsonOption = False) -> None:
    """The models that have a short name, for --encoder. Asks nobody: a table of this version."""
    models = {"builtin": BUILTIN, **KNOWN}
    facts = [_facts(name, model) for name, model in models.items()]
    if as_json:
        print_json({"models": facts})
        return
    print_table(
        ["name", "tower", "MB", "words", "COCO", "ms", "licence", "here"],
        [
            (
                fact["name"],
                fact["shape"].removeprefix("ViT-").removesuffix(" px").replace(",", ""),
                f"{fact['n_mb']:,}",
                fact["languages"].removesuffix(" languages").replace("about ", "~"),
                _shown(fact["coco_recall_1"]), _shown(fact["ms"]), fact["licence"],
                "yes" if fact["here"] else "no",
            )
            for fact in facts
        ],
    )  # fmt: skip
    sys.stdout.write(_NOTE)


def _facts(name: str, model: KnownModel) -> dict[str, Any]:
    """What the table knows of a model, and what it would be on this machine."""
    try:
        spec = str(resolve(ModelSpec(name)))
    except MissingExtraError:
        spec = ""
    there = "" if not spec or (model.forms and not is_here(ModelSpec.parse(spec))) else spec
    return {
        "name": name, "shape": model.shape, "n_mb": model.n_mb, "languages": model.languages,
        "coco_recall_1": model.recall, "source": model.source, "ms": model.ms,
        "licence": model.licence, "forms": model.forms, "encoder": spec, "here": there,
    }  # fmt: skip


def _shown(number: float | None) -> str:
    return "-" if number is None else f"{number:g}"


@app.command("fetch")
def fetch(
    model: Annotated[
        str,
        typer.Argument(
            metavar="NAME",
            help="A name of `relook model list`, or a hub id: openai/clip-vit-base-patch32,"
            " onnx:ORG/NAME?variant=int8.",
        ),
    ],
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; the main branch when not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Download a model into the hub's cache; what is there already stays.

    Goes on where it broke off, and compares every file with the sum that the hub states. Asks
    the hub for the files of this id, and sends nothing else. HF_TOKEN opens gated models,
    HF_HOME moves the cache, HF_HUB_OFFLINE forbids it.
    """
    spec = resolve(ModelSpec.parse(model)).with_options(revision=revision)
    revision = spec.options.get("revision", "")
    if spec.kind == "onnx":
        spec.check_options(("revision", "variant", "size", "tiles"))
        onnx_folder = import_extra("relook.encoders.onnx_folder", "an ONNX model", "onnx")
        with progress_bar(as_json) as progress:
            found = onnx_folder.fetch(spec.model, spec.options, progress)
    elif spec.model:
        with progress_bar(as_json) as progress:
            found = fetch_checkpoint(spec.model, revision, progress)
    else:
        raise NotFoundError(
            "unknown_model", f"{model} is not fetched from anywhere",
            f"there are: {', '.join(KNOWN)}; or name a hub id, ORG/NAME",
        )  # fmt: skip
    found.check()
    if as_json:
        facts = {"revision": found.revision, "folder": str(found.folder), "n_bytes": found.n_bytes}
        print_json({"model": spec.model, "encoder": str(spec), **facts})
        return
    sys.stdout.write(
        f"{spec.model} {found.revision}: {found.n_bytes / 1e6:,.0f} MB in {found.folder}\n"
        f"index with it: relook index FOLDER --encoder {model}\n"
    )


@app.command("export")
def export(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="Folder or hub id of a transformers checkpoint.")
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            metavar="DIR",
            help="Where to; NAME-onnx in the current folder when not given.",
        ),
    ] = None,
    revision: Annotated[
        str | None, typer.Option(help="Branch, tag or commit; the main branch when not given.")
    ] = None,
    int8: Annotated[
        bool, typer.Option("--int8", help="Also write an int8 variant, a quarter of the size.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Write a checkpoint as ONNX files, which need no torch, and compare the vectors of both."""
    exporter = import_extra("relook.encoders.onnx_export", "relook model export", "hf")
    spec = resolve(ModelSpec.parse(model)).with_options(revision=revision)
    if spec.kind != "hf":
        raise NotFoundError(
            "no_checkpoint", f"{model} is no checkpoint of transformers", "name an hf: model"
        )
    folder = output or Path(f"{Path(spec.model).name}-onnx")
    made = exporter.export(
        spec.model, folder, revision=spec.options.get("revision", ""), int8=int8,
        tell=lambda text: sys.stderr.write(f"{text}\n"),
    )  # fmt: skip
    if as_json:
        print_json(
            {
                "folder": str(made.folder), "n_bytes": made.n_bytes, "apart": made.apart,
                "int8_cosine": made.int8_cosine, "encoder": f"onnx:{made.folder}",
            }
        )  # fmt: skip
        return
    sys.stdout.write(
        f"{made.folder}: {made.n_bytes / 1e6:,.0f} MB; vectors at most {made.apart:.1g} from the"
        " checkpoint's\n"
    )
    if made.int8_cosine is not None:
        sys.stdout.write(f"int8: cosine to float32 at least {made.int8_cosine:.4f}\n")
    sys.stdout.write(f"index with it: relook index FOLDER --encoder onnx:{made.folder}\n")
