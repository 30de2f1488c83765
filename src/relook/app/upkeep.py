"""Looking after a library: what its index finds, and the space that it frees. Layer: app."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from relook.app.facade import Library
from relook.app.index_beside import text_queries
from relook.library.compaction import CompactReport, compact
from relook.library.lock import WriterLock
from relook.search.recall import measure_recall, sample_tiles

__all__ = ["compact_library", "index_recall"]

_N_QUERIES = 100


def compact_library(
    library: Library, progress: Callable[[int, int], None] | None = None
) -> CompactReport:
    """Rewrites a library's vectors without those that no image names any more.

    Args:
        library: Searches may go on meanwhile, here and in other processes.
        progress: Told how many rows are copied, of how many.

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
