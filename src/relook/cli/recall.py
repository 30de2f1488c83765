"""`relook doctor --recall`: what the index of a library finds. Layer: cli."""

from __future__ import annotations

import sys
from typing import Any

from relook.app.upkeep import index_recall
from relook.cli.configured import open_library
from relook.cli.output import print_json, print_table

__all__ = ["print_recall"]


def print_recall(library: Any, as_json: bool) -> None:
    """Measures and prints recall@20 of tiles and of words."""
    with open_library(library, None) as lib:
        found = index_recall(lib)
    if as_json:
        print_json(found)
        return
    indexed = f"{found['n_indexed']:,} of {found['n_tiles']:,} tiles in the index"
    sys.stdout.write(f"index: {found['index']}; {indexed}\n")
    rows = [
        (sort, str(one["n_queries"]), f"{one['recall_at_20']:.4f}", f"{one['worst']:.2f}",
         f"{one['p50_ms']:.1f} ms")
        for sort in ("tiles", "words")
        if (one := found[sort])
    ]  # fmt: skip
    print_table(["queries", "asked", "recall@20", "worst", "a search"], rows)
