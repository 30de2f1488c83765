"""Looking after a library: what it holds, what its index finds, what it frees. Layer: app."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from relook.app.indexing import text_queries
from relook.app.library_encoders import upgrade_offer
from relook.library.compaction import CompactReport, compact
from relook.library.image_table import UNENCODED
from relook.library.lock import WriterLock
from relook.search.recall import measure_recall, sample_tiles

if TYPE_CHECKING:
    from relook.app.facade import Library
    from relook.library.files import LibraryFiles

__all__ = ["compact_library", "index_recall", "library_facts"]

_N_QUERIES = 100


def library_facts(files: LibraryFiles) -> dict[str, Any]:
    """What a library holds; the object that `relook info --json` prints."""
    files.refresh()
    manifest, catalog = files.manifest, files.catalog
    away = catalog.absences()
    return {
        "library": str(files.folder),
        "n_images": catalog.count("images"),
        "n_tiles": catalog.n_tiles(),
        "n_away": sum(absence.n for absence in away),
        "away": [absence.as_dict() for absence in away],
        "n_skipped": catalog.count("skipped"),
        "n_unencoded": catalog.count(f"images WHERE {UNENCODED}"),
        "encoder": manifest.encoder,
        "encoder_revision": manifest.fingerprint.revision,
        "upgrade": upgrade_offer(files),
        "fingerprint": manifest.fingerprint.digest,
        "dim": manifest.fingerprint.dim,
        "format_version": manifest.format_version,
        "roots": [os.fsdecode(root) for root in catalog.roots()],
        "n_bytes": files.n_bytes(),
        **({"store": manifest.store} if manifest.store else {}),
    }


def compact_library(
    library: Library, progress: Callable[[int, int], None] | None = None
) -> CompactReport:
    """Rewrites a library's vectors without those that no image names any more.

    Args:
        library: Searches may go on meanwhile, here and in other processes.
        progress: Called with how many rows are copied, of how many.

    Raises:
        NotFoundError: `no_library`; LibraryBusyError; StorageError: the disk refused, and the
            library is as it was; InputError: `not_for_shared`.
    """
    files = library.files
    with WriterLock(library.folder):
        return compact(files, progress)


def index_recall(library: Library, n_queries: int = _N_QUERIES) -> dict[str, Any]:
    """What the search of a library finds of the 20 best tiles; what `doctor --recall` prints.

    Args:
        library: An exact search is compared with, so this takes as long as a few hundred of them.
        n_queries: How many of each sort: tiles of the library, and its captions and other words
            where the encoder knows any.

    Returns:
        `index`: what searches; `n_tiles`, `n_indexed`; `tiles` and `words`: what was found,
        None for words where there are none.
    """
    engine = library.engine
    files = library.files
    with files.moment():
        store = files.store(library.search_settings)
        card = getattr(store, "card", None)
        texts = text_queries(files, engine.encoder)
        tiles = measure_recall(files, store, sample_tiles(files, n_queries))
        words = None if texts is None else measure_recall(files, store, texts[:n_queries])
        n_tiles = len(files.vectors)
        return {
            "index": "milvus" if files.shared else card.kind if card else "exact",
            "n_tiles": n_tiles,
            "n_indexed": getattr(store, "n_indexed", 0),
            "n_segments": len(card.segments) if card else 0,
            "tiles": tiles.as_dict(),
            "words": None if words is None else words.as_dict(),
        }
