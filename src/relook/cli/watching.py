"""`relook index --watch`: a line for each pass that found something. Layer: cli."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from relook.app.indexing import AddOptions
from relook.cli.output import print_json, print_report
from relook.core.settings import WatchSettings
from relook.library.report import IndexReport

if TYPE_CHECKING:
    from relook.app.facade import Library

__all__ = ["keep_watching"]


def keep_watching(
    library: Library,
    paths: Sequence[str],
    options: AddOptions,
    settings: WatchSettings,
    *,
    as_json: bool,
) -> IndexReport:
    """Indexes until Ctrl-C, and tells of each pass; with `as_json` as one object a line.

    Returns:
        The last report.
    """
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
