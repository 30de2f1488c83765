"""Options of `relook index` that stand for themselves. Layer: cli."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from relook.core.settings import EncoderSettings, IndexSettings, RaySettings, help_of

__all__ = [
    "DeviceOption", "DtypeOption", "EncoderOption", "HiddenOption", "MetadataOption",
    "PlacesArgument", "PollOption", "RayOption", "RayWorkersOption", "RetryOption",
    "RevisionOption", "StoreOption", "TilesOption", "WatchOption",
]  # fmt: skip


def _encoder_help(name: str) -> str:
    return help_of(EncoderSettings, name).capitalize() + "."


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
    int | None, typer.Option(min=0, help=help_of(RaySettings, "workers").capitalize() + ".")
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
        help="Encoder of a new library: builtin, hf:ORG/NAME, hf:FOLDER, st:ORG/NAME;"
        " of an old one, where its model is now."
    ),
]
RevisionOption = Annotated[str | None, typer.Option(help=_encoder_help("revision"))]
DeviceOption = Annotated[str | None, typer.Option(help=_encoder_help("device"))]
DtypeOption = Annotated[str | None, typer.Option(help=_encoder_help("dtype"))]
TilesOption = Annotated[
    str | None, typer.Option(metavar="none|grid|pyramid", help="Crops with vectors of their own.")
]
MetadataOption = Annotated[
    list[Path] | None,
    typer.Option(help="CSV, JSONL or COCO JSON with titles, captions and more. Repeatable."),
]
HiddenOption = Annotated[
    bool, typer.Option("--hidden", help=help_of(IndexSettings, "hidden").capitalize() + ".")
]
RetryOption = Annotated[
    bool, typer.Option("--retry-skipped", help="Try files again that were skipped before.")
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
