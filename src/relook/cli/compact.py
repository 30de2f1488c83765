"""`relook compact`: frees the space of pictures that left a library. Layer: cli."""

from __future__ import annotations

import sys

from relook.app.facade import Library
from relook.app.upkeep import compact_library
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import print_json, progress_bar
from relook.library.report import Progress

__all__ = ["compact"]


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
            f" {report.n_rows_before - report.n_rows:,} of {report.n_rows_before:,} vectors\n"
        )
    else:
        sys.stdout.write("nothing to free: every vector belongs to an image\n")
