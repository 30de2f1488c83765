"""`relook index`, `attach`, `move`, `forget` and `compact`. Layer: cli."""

import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from relook.app.clusters import attach as attach_collection
from relook.app.configured import config_of
from relook.app.facade import Library
from relook.app.indexing import AddOptions
from relook.app.upkeep import compact_library
from relook.cli.config_flags import ConfigOption, open_library
from relook.cli.index_cost import AsIfOption, HourlyOption, PlanOption, tell_forecast, telling_cost
from relook.cli.options import JsonOption, LibraryOption, help_sentence
from relook.cli.output import print_json, print_report, progress_bar
from relook.core.errors import counted
from relook.core.progress import Progress
from relook.core.settings import EncoderSettings, IndexSettings, RaySettings, WatchSettings
from relook.library.report import IndexReport

_INDEX = IndexSettings()

StoreOption = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Collection for a new library's vectors, shared by several servers:"
        " milvus://HOST:19530/COLLECTION.",
    ),
]
RayOption = Annotated[
    str | None,
    typer.Option(
        metavar="auto|local|HOST:PORT", help="Read and encode on the workers of a Ray cluster."
    ),
]
RayWorkersOption = Annotated[
    int | None, typer.Option(min=0, help=help_sentence(RaySettings, "workers"))
]
PlacesArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PATH...",
        help="Folders, pictures, archives (tar, zip) or addresses (s3://, gs://, https://);"
        " none: all added before.",
    ),
]
EncoderOption = Annotated[
    str | None,
    typer.Option(
        help="Encoder of a new library: builtin, a name of relook model list, onnx:FOLDER,"
        " hf:ORG/NAME, st:ORG/NAME; of an old one, where its model is now."
    ),
]
RevisionOption = Annotated[
    str | None, typer.Option(help=help_sentence(EncoderSettings, "revision"))
]
DeviceOption = Annotated[str | None, typer.Option(help=help_sentence(EncoderSettings, "device"))]
DtypeOption = Annotated[str | None, typer.Option(help=help_sentence(EncoderSettings, "dtype"))]
TilesOption = Annotated[
    str | None, typer.Option(metavar="none|grid|pyramid", help="Crops with vectors of their own.")
]
DecodeOption = Annotated[
    str | None,
    typer.Option(metavar="full|reduced", help=help_sentence(EncoderSettings, "decode")),
]
MetadataOption = Annotated[
    list[Path] | None,
    typer.Option(help="CSV, JSONL or COCO JSON with titles, captions and more. Repeatable."),
]
BatchOption = Annotated[
    int, typer.Option("--batch-size", min=0, help=help_sentence(IndexSettings, "batch"))
]
HiddenOption = Annotated[
    bool, typer.Option("--hidden", help=help_sentence(IndexSettings, "hidden"))
]
ExcludeOption = Annotated[
    list[str] | None,
    typer.Option(metavar="PATTERN", help=help_sentence(IndexSettings, "exclude") + " Repeatable."),
]
DefaultsOption = Annotated[
    bool,
    typer.Option("--default-excludes/--no-default-excludes",
                 help=help_sentence(IndexSettings, "default_excludes")),
]  # fmt: skip
RetryOption = Annotated[
    bool, typer.Option("--retry-skipped", help="Try files again that were skipped before.")
]
TextOption = Annotated[
    bool,
    typer.Option(
        "--text", help="Also read the words in pictures, once a picture; needs the extra ocr."
    ),
]
WatchOption = Annotated[
    bool, typer.Option("--watch", help="Go on: index again whenever pictures change.")
]
PollOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        min=0.1,
        help="With --watch: look every so often, for drives that tell of no changes.",
    ),
]


def index(
    paths: PlacesArgument = None,
    library: LibraryOption = None,
    encoder: EncoderOption = None,
    revision: RevisionOption = None,
    device: DeviceOption = None,
    dtype: DtypeOption = None,
    tiles: TilesOption = None,
    decode: DecodeOption = None,
    metadata: MetadataOption = None,
    batch_size: BatchOption = _INDEX.batch,
    hidden: HiddenOption = _INDEX.hidden,
    exclude: ExcludeOption = None,
    default_excludes: DefaultsOption = _INDEX.default_excludes,
    retry_skipped: RetryOption = _INDEX.retry_skipped,
    text: TextOption = _INDEX.text,
    store: StoreOption = None,
    ray: RayOption = None,
    ray_workers: RayWorkersOption = None,
    watch: WatchOption = False,
    poll: PollOption = None,
    plan: PlanOption = False,
    as_if: AsIfOption = None,
    hourly: HourlyOption = None,
    config: ConfigOption = None,
    as_json: JsonOption = False,
) -> None:
    """Index pictures, or bring the index up to date. Picture files are only ever read."""
    config = config or config_of(None)
    settings = config.settings(IndexSettings)
    settings = replace(
        settings, batch=batch_size, hidden=hidden, retry_skipped=retry_skipped,
        exclude=(*settings.exclude, *(exclude or ())),
        default_excludes=settings.default_excludes and default_excludes,
        text=settings.text or text,
    )  # fmt: skip
    cluster = replace(config.settings(RaySettings), address=ray or "", workers=ray_workers or 0)
    opened = open_library(
        library, config, store=store, model=encoder, revision=revision, device=device,
        dtype=dtype, tiles=tiles, decode=decode,
    )  # fmt: skip
    if plan:
        with opened as lib, progress_bar(as_json) as progress:
            options = AddOptions(settings=settings, progress=progress)
            tell_forecast(lib, paths or [], options, as_if, hourly, as_json=as_json)
        return
    _write_labels(paths or [], metadata or [])
    with opened as lib, progress_bar(as_json) as progress:
        report_to = progress if as_json else telling_cost(lambda: lib.engine.encoder, progress)
        if watch or poll is not None:
            watching = config.settings(WatchSettings)
            watching = watching if poll is None else replace(watching, poll_s=poll)
            options = AddOptions(metadata or (), settings, progress=report_to, ray=cluster)
            report = _keep_watching(lib, paths or [], options, watching, as_json=as_json)
            raise typer.Exit(130 if report.interrupted else 0)
        report = lib.add(
            *(paths or []), metadata=metadata or [], settings=settings, progress=report_to,
            ray=cluster,
        )  # fmt: skip
    _tell(report, as_json=as_json)


def _tell(report: IndexReport, *, as_json: bool) -> None:
    """Prints what a run did, and ends the command with its exit code."""
    if as_json:
        print_json(report.as_dict())
    else:
        print_report(report)
    if report.interrupted:
        raise typer.Exit(130)
    if report.skipped or report.unlisted:
        raise typer.Exit(3)


def _write_labels(paths: Sequence[str], metadata: Sequence[Path]) -> None:
    """Labels of a known data set that was unpacked by hand: its folders say them."""
    from relook.datasets.catalogue import write_missing_labels

    for sidecar in metadata:
        for path in paths:
            n_labels = write_missing_labels(Path(path).expanduser(), sidecar.expanduser())
            if n_labels:
                sys.stderr.write(f"wrote the labels of {counted(n_labels, 'picture')}: {sidecar}\n")


def attach(
    store: Annotated[
        str, typer.Argument(metavar="ADDRESS", help="milvus://HOST:19530/COLLECTION.")
    ],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a library here of a collection that another server fills, or bring it up to date."""
    facts = attach_collection(store, library)
    if as_json:
        print_json(facts)
    else:
        sys.stdout.write(
            f"{facts['library']}: {counted(facts['n_images'], 'image')}, {facts['n_new']:,} new\n"
        )


def forget(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Folders, pictures, archives, addresses.")
    ],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take images out of the library. The picture files stay."""
    with Library(library) as lib:
        taken = lib.take_out(*paths)
    if as_json:
        counts = {"n_marks": taken.n_marks, "n_in_albums": taken.n_in_albums}
        print_json({"n_forgotten": taken.n_images, **counts})
        return
    sys.stdout.write(f"forgot {counted(taken.n_images, 'image')}; the files are where they were\n")
    if taken.n_marks:
        sys.stderr.write(
            f"note: marks in sessions that do not count any more: {taken.n_marks:,}; they hold"
            " again if the same pictures are indexed again\n"
        )
    if taken.n_in_albums:
        sys.stderr.write(
            f"note: taken out of albums: {taken.n_in_albums:,}; back there if the same pictures"
            " are indexed again\n"
        )


def move(
    old: Annotated[str, typer.Argument(metavar="OLD", help="Where it was.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Where it is now.")],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that a folder, an archive or a picture has moved. Nothing is read or encoded again.

    One picture that is named by itself may have been edited, too.
    """
    with Library(library) as lib:
        report = lib.move(old, new)
    if as_json:
        print_json(report.as_dict())
    else:
        sys.stdout.write(f"moved {counted(report.n_moved, 'image')} with words and marks\n")
        if report.n_missing or report.n_other:
            n_stay = report.n_missing + report.n_other
            images_stay = counted(n_stay, "image stays", "images stay")
            sys.stderr.write(
                f"note: {images_stay} at the old place:"
                f" {report.n_missing:,} not there at the new one, {report.n_other:,} with another"
                " picture there; relook index looks for them\n"
            )
        if report.n_other:
            sys.stderr.write(
                "note: one that was edited since: relook move OLD/PICTURE NEW/PICTURE\n"
            )
    if report.n_missing or report.n_other:
        raise typer.Exit(3)


def compact(library: LibraryOption = None, as_json: JsonOption = False) -> None:
    """Free the disk space of pictures that are not in the library any more.

    relook index does it by itself once three rows in ten are dead. Searches may go on.
    """
    with Library(library) as lib, progress_bar(as_json) as progress:
        tell = progress or (lambda _: None)
        report = compact_library(
            lib, lambda done, total: tell(Progress("freeing space", done, total))
        )
    if as_json:
        print_json(report.as_dict())
    elif report.n_bytes_freed:
        sys.stdout.write(
            f"freed {report.n_bytes_freed / 1024**2:,.1f} MiB:"
            f" {report.n_rows_before - report.n_rows:,} of"
            f" {counted(report.n_rows_before, 'vector')}\n"
        )
    else:
        sys.stdout.write("nothing to free: every vector belongs to an image\n")


def _keep_watching(
    library: Library,
    paths: Sequence[str],
    options: AddOptions,
    settings: WatchSettings,
    *,
    as_json: bool,
) -> IndexReport:
    """Indexes until Ctrl-C and prints each pass; returns the last report."""
    from relook.app.watching import watch

    report = IndexReport()
    try:
        for report in watch(library, paths, options, settings):
            if as_json:
                print_json(report.as_dict(), one_line=True)
            else:
                sys.stdout.write(time.strftime("%H:%M:%S "))
                print_report(report)
            sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("stopped watching; everything indexed is kept\n")
    return report
