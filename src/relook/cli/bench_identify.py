"""`relook bench identify`: does evidence name what a photograph shows? Layer: cli."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from relook.app.facade import Library
from relook.bench.query_files import read_concepts
from relook.cli.options import JsonOption, LibraryOption
from relook.cli.output import print_json, print_table, progress_bar
from relook.core.settings import EvidenceSettings, GatherSettings
from relook.library.report import Progress

if TYPE_CHECKING:
    from relook.bench.identify import IdentifyResult

__all__ = ["identify"]


def identify(
    labels: Annotated[Path, typer.Option(help='Lines {"query": NAME, "relevant": [file, ...]}.')],
    library: LibraryOption = None,
    as_json: JsonOption = False,
) -> None:
    """Labelled photographs: is the right name in the library's evidence? No model is asked."""
    from relook.app.finder import library_finder  # other commands do without Pillow
    from relook.bench.identify import AT, bench_identify, labelled
    from relook.providers.library import LibraryProvider
    from relook.rag.lookup import Gatherer

    n_items = 2 * max(AT)  # so that something moves up when items are struck
    wanted = read_concepts(labels)
    with Library(library) as lib, progress_bar(as_json) as progress:
        records = list(lib.files.catalog.each_image())
        photographs, n_unmatched = labelled(wanted, records)
        settings = GatherSettings(limit=n_items)
        kept = EvidenceSettings(items=n_items)
        provider = LibraryProvider(library_finder(lib.engine))
        with Gatherer({"library": provider}, settings=settings, evidence=kept) as gatherer:
            result = bench_identify(
                photographs,
                records,
                gatherer.gather,
                n_unmatched,
                progress and (lambda done, n: progress(Progress("looking up", done, n))),
            )
    if as_json:
        print_json(result.as_dict())
    else:
        _print(result)


def _print(result: IdentifyResult) -> None:
    from relook.bench.identify import AT

    rows = [
        (
            f"first {k}",
            f"{result.name[k]:.3f}",
            f"{result.struck[k]:.3f}",
            f"{result.chance[k]:.3f}",
        )
        for k in AT
    ]
    print_table(["right name among", "evidence", "wrong ones struck", "chance"], rows)
    counts = [
        ("photographs", str(result.n_photographs)),
        ("names", str(result.n_names)),
        ("pairs of both", str(result.n_labelled)),
        ("images searched", str(result.n_images)),
        ("labels without a picture here", str(result.n_unmatched)),
        ("not read", str(result.n_failed)),
        ("evidence, mean", f"{result.evidence_ms:.1f} ms"),
    ]
    print_table(["measured on", "n"], counts)
