"""`relook model` and `relook upgrade`: the models there are, and going over to one. Layer: cli."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from relook.app.configured import config_of
from relook.app.facade import Library
from relook.app.upgrading import UpgradeCost, upgrade_cost
from relook.app.upgrading import upgrade as upgrade_library
from relook.cli.config_flags import ConfigOption
from relook.cli.index import DeviceOption, DtypeOption, RevisionOption, TilesOption
from relook.cli.options import Commands, JsonOption, LibraryOption
from relook.cli.output import print_json, print_table, progress_bar
from relook.core.errors import MissingExtraError, NotFoundError, counted
from relook.core.picture_paths import printable
from relook.core.registry import import_extra
from relook.core.settings import EncoderSettings, ImageLimits, IndexSettings, SearchSettings
from relook.encoders.checkpoint import fetch as fetch_checkpoint
from relook.encoders.known_models import BUILTIN, KNOWN, KnownModel, is_here, resolve
from relook.encoders.spec import ModelSpec
from relook.library.upgrade import UpgradeReport

app = Commands(help="Models of pictures and words: list, fetch, export.", no_args_is_help=True)
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
            fetched = onnx_folder.fetch(spec.model, spec.options, progress)
    elif spec.model:
        with progress_bar(as_json) as progress:
            fetched = fetch_checkpoint(spec.model, revision, progress)
    else:
        raise NotFoundError(
            "unknown_model", f"{model} is not fetched from anywhere",
            f"there are: {', '.join(KNOWN)}; or name a hub id, ORG/NAME",
        )  # fmt: skip
    fetched.check()
    if as_json:
        facts = {
            "revision": fetched.revision,
            "folder": str(fetched.folder),
            "n_bytes": fetched.n_bytes,
        }
        print_json({"model": spec.model, "encoder": str(spec), **facts})
        return
    sys.stdout.write(
        f"{spec.model} {fetched.revision}: {fetched.n_bytes / 1e6:,.0f} MB in {fetched.folder}\n"
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
    encoder = shlex.quote(f"onnx:{made.folder}")
    sys.stdout.write(f"index with it: relook index FOLDER --encoder {encoder}\n")


_SHOWN = 10


def upgrade(
    library: LibraryOption = None,
    encoder: Annotated[
        str | None,
        typer.Option(
            help="The new encoder: builtin, hf:ORG/NAME, hf:FOLDER, st:ORG/NAME; the present"
            " version of the library's own when not given."
        ),
    ] = None,
    revision: RevisionOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    tiles: TilesOption = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what it would take.")
    ] = False,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make all vectors again with another encoder. Ids, words, marks and sessions are kept.

    Searches go on meanwhile. A run that is stopped is gone on with by the next one.
    """
    config = config or config_of(None)
    flags = {"model": encoder, "revision": revision, "device": device, "dtype": dtype,
             "tiles": tiles}  # fmt: skip
    chosen = {name: value for name, value in flags.items() if value}
    settings = replace(config.settings(EncoderSettings), **chosen)
    # The library need not open with the encoder that it is to have.
    opened = Library(
        library or config.given("library.folder"),
        search=config.settings(SearchSettings), limits=config.settings(ImageLimits),
        index=config.settings(IndexSettings),
    )  # fmt: skip
    with opened as lib:
        cost = upgrade_cost(lib, settings)
        if dry_run or not cost.is_needed:
            print_json(cost.as_dict()) if as_json else sys.stdout.write(_cost_line(cost) + "\n")
            return
        sys.stderr.write(_cost_line(cost) + "\n")
        with progress_bar(as_json) as progress:
            report = upgrade_library(lib, settings, progress)
    if as_json:
        print_json(report.as_dict())
    else:
        _print_report(report)
    if report.interrupted:
        raise typer.Exit(130)
    if report.n_unread:
        raise typer.Exit(3)


def _cost_line(cost: UpgradeCost) -> str:
    """What an upgrade would take, in a line or two."""
    if not cost.is_needed:
        return f"nothing to do: the library has this encoder already, {cost.after}"
    n_done = cost.n_images - cost.n_left
    lines = [
        f"{cost.before} -> {cost.after}: {counted(cost.n_left, 'picture')} to encode"
        + (f" ({n_done:,} are done)" if n_done else "")
        + (f", {_duration(cost.seconds)}" if cost.seconds is not None else "")
        + f", {cost.n_bytes / 1024**2:,.1f} MiB beside the old vectors until it is done"
        f" ({cost.free_bytes / 1024**2:,.0f} MiB are free)"
    ]
    if cost.n_away:
        lines.append(
            f"{counted(cost.n_away, 'picture is', 'pictures are')} away: what still is then cannot"
            " be searched afterwards until it comes back and is indexed"
        )
    return "\n".join(lines)


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"about {max(round(seconds), 1)} s"
    minutes = round(seconds / 60)
    return (
        f"about {minutes // 60} h {minutes % 60} min" if minutes >= 90 else f"about {minutes} min"
    )


def _print_report(report: UpgradeReport) -> None:
    n_done = report.n_encoded + report.n_resumed
    if report.interrupted:
        sys.stdout.write(
            f"stopped: {n_done:,} of {counted(report.n_images, 'picture')} done; the library is as"
            " it was, and the same command goes on from here\n"
        )
        return
    pictures = counted(report.n_images - report.n_unread, "picture")
    boxes = counted(report.n_boxes, "marked box", "marked boxes")
    sys.stdout.write(
        f"the library is {report.after} now: {pictures} ({report.n_resumed:,} done before),"
        f" {boxes}, {report.seconds:.1f} s\n"
    )
    if report.n_unread:
        sys.stdout.write(
            f"{counted(report.n_unread, 'picture')} cannot be read now. Ids, words and marks are"
            " kept; what cannot be read is not found until relook index makes its vectors:\n"
        )
    for file in report.unread[:_SHOWN]:
        sys.stdout.write(f"  {printable(file.facts.path)}: {file.message}\n")
    if report.n_unread > _SHOWN:
        sys.stdout.write(f"  and {report.n_unread - _SHOWN:,} more\n")
    if report.n_concepts or report.n_concepts_unread:
        away = f"; {report.n_concepts_unread:,} are fitted when their pictures can be read"
        sys.stdout.write(
            f"{counted(report.n_concepts, 'concept')} fitted again from examples"
            f"{away if report.n_concepts_unread else ''}\n"
        )
    if report.n_boxes_unread:
        boxes_get = counted(report.n_boxes_unread, "marked box gets", "marked boxes get")
        sys.stdout.write(
            f"note: {boxes_get} vectors when the session is used and the picture can be read\n"
        )
