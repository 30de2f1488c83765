"""Looking after a library: what it holds, what its index finds, what it frees. Layer: app."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import numpy as np

from relook.app.indexing import text_queries
from relook.app.models import UpgradeOffer, upgrade_offer
from relook.core.converter import JsonValue
from relook.core.json_form import Digits, JsonShape, Key
from relook.core.picture_paths import as_path
from relook.core.vectors import Floats
from relook.encoders.known_models import languages_of
from relook.library.album_table import AlbumTable
from relook.library.album_values import ALBUM, FAVOURITES
from relook.library.backup import backup_age_s
from relook.library.compaction import CompactReport, compact
from relook.library.fact_columns import facts_of
from relook.library.files import LibraryFiles
from relook.library.image_table import UNENCODED
from relook.library.left_out import OtherFiles, others_of
from relook.library.lock import WriterLock
from relook.library.whereabouts import Absence
from relook.search.written import text_counts
from relook.stores.base import Store
from relook.stores.exact import exact_search

if TYPE_CHECKING:
    from relook.app.facade import Library
    from relook.library.files import LibraryFiles

_BEST = 20
_SAME = 1e-5  # two tiles whose scores differ by less are as good as each other


@dataclass(frozen=True, slots=True)
class Recall(JsonValue):
    """What a search finds of the 20 best tiles.

    Args:
        n_queries: How many were asked.
        mean: Share of the best that was found, on average.
        worst: The same of the worst query.
        p50_ms: Median time of a search for 20 tiles.
    """

    n_queries: int
    mean: Annotated[float, Key("recall_at_20"), Digits(4)]
    worst: Annotated[float, Digits(4)]
    p50_ms: Annotated[float, Digits(3)]


def sample_tiles(files: LibraryFiles, n: int, seed: int = 17) -> Floats:
    """[n, d] tiles of the library as queries, drawn at random, the same ones every time."""
    alive = files.alive()
    rows = np.arange(len(files.vectors)) if alive is None else np.flatnonzero(alive)
    chosen = np.random.default_rng(seed).permutation(len(rows))[:n]
    return files.vectors.rows(np.sort(rows[chosen]))


def measure_recall(
    files: LibraryFiles,
    store: Store,
    queries: Floats,
    progress: Callable[[int, int], None] | None = None,
) -> Recall:
    """Compares a store with an exact search.

    Args:
        files: The library, at the moment the store is of.
        store: What is measured.
        queries: [q, d]
        progress: Told how many queries are done, of how many.
    """
    alive = files.alive()
    _, right = exact_search(files.vectors, queries, _BEST, alive)  # [q, 20]
    shares, taken = np.ones(len(queries)), np.zeros(len(queries))
    for q in range(len(queries)):
        began = time.perf_counter()
        _, scores = store.search(queries[q : q + 1], _BEST, alive)
        taken[q] = (time.perf_counter() - began) * 1e3
        # By scores: of tiles that are copies of each other any will do.
        last = right[q][np.isfinite(right[q])][-1:]
        if len(last):
            n_due = int(np.isfinite(right[q]).sum())
            n_found = int(np.count_nonzero(scores[0] >= last[0] - _SAME))
            shares[q] = min(n_found, n_due) / n_due
        if progress:
            progress(q + 1, len(queries))
    if not len(queries):
        return Recall(0, 1.0, 1.0, 0.0)
    return Recall(len(queries), float(shares.mean()), float(shares.min()), float(np.median(taken)))


_N_QUERIES = 100


@dataclass(frozen=True, slots=True)
class LibraryFacts(JsonValue):
    """What a library holds; the object that `relook info --json` prints.

    Args:
        library: Its folder.
        n_images, n_tiles: What can be found, and by how many vectors.
        n_away: How many of the images are away: not to be reached now.
        away: Why, by place.
        n_skipped: Files that could not be indexed.
        n_unencoded: Images without vectors: their picture could not be read at an upgrade.
        n_text_read: In how many images words were looked for; n_text_found: how many have some.
        others: Files below the roots that are no pictures that can be read, by suffix.
        encoder: The encoder's name.
        encoder_revision: Which version of it.
        upgrade: The newer version that relook upgrade would make the vectors with, if there is one.
        languages: Which it reads words in, or "not known".
        fingerprint: Digest of what must be equal for vectors to be compared.
        dim: Length of a vector.
        format_version: Of the library on disk.
        roots: Folders and files that were indexed.
        n_bytes: Size on disk.
        store: Where the vectors are, when they are not in the library.
        backup_age_s: Seconds since the catalog was backed up last, if it ever was.
    """

    json_shape: ClassVar = JsonShape(leave_out_none=True)

    library: Path
    n_images: int
    n_tiles: int
    n_away: int
    away: tuple[Absence, ...]
    n_skipped: int
    n_unencoded: int
    n_text_read: int
    n_text_found: int
    others: tuple[OtherFiles, ...]
    encoder: str
    encoder_revision: str
    upgrade: UpgradeOffer | None
    languages: str
    fingerprint: str
    dim: int
    format_version: int
    roots: tuple[Path, ...]
    n_bytes: int
    store: str | None = None
    backup_age_s: Annotated[float | None, Digits(1)] = None


def library_facts(files: LibraryFiles) -> LibraryFacts:
    """What a library holds now."""
    files.refresh()
    manifest, catalog = files.manifest, files.catalog
    n_text_read, n_text_found = text_counts(files)
    absences = catalog.absences()
    return LibraryFacts(
        library=files.folder,
        n_images=catalog.count("images"),
        n_tiles=catalog.n_tiles(),
        n_away=sum(absence.n for absence in absences),
        away=tuple(absences),
        n_skipped=catalog.count("skipped"),
        n_unencoded=catalog.count(f"images WHERE {UNENCODED}"),
        n_text_read=n_text_read,
        n_text_found=n_text_found,
        others=tuple(others_of(catalog.ask)),
        encoder=manifest.encoder,
        encoder_revision=manifest.fingerprint.revision,
        upgrade=upgrade_offer(files),
        languages=languages_of(manifest.encoder) or "not known",
        fingerprint=manifest.fingerprint.digest,
        dim=manifest.fingerprint.dim,
        format_version=manifest.format_version,
        roots=tuple(map(as_path, catalog.roots())),
        n_bytes=files.n_bytes(),
        store=manifest.store or None,
        backup_age_s=backup_age_s(files.folder),
    )


def library_fields(files: LibraryFiles) -> list[dict[str, Any]]:
    """What `where` may name: each key with how many images have it, and a value.

    Returns:
        `key`, `n`, `example`; the most frequent first.
    """
    rows = files.catalog.ask(
        "SELECT each.key, count(*) AS n, min(each.value) FROM images, json_each(images.metadata)"
        " AS each GROUP BY each.key ORDER BY n DESC, each.key"
    )
    albums = AlbumTable(files.catalog)
    put = {i for album in albums.all() for i in albums.image_ids(album.album_id)}
    own = [("folder", "*/holiday"), ("orientation", "portrait")] if facts_of(files) else []
    return [
        *({"key": key, "n": n, "example": example} for key, n, example in rows),
        *([{"key": ALBUM, "n": len(put), "example": FAVOURITES}] if put else []),
        *({"key": key, "n": files.catalog.count("images"), "example": text} for key, text in own),
    ]


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
        report = compact(files, progress)
        files.backup.follow()  # the one before may name rows of the old file
        return report


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
