"""Runs that change a library, with the index made beside them and room freed after. Layer: app."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from relook.core.settings import SearchSettings
from relook.core.vectors import Floats
from relook.encoders.base import Encoder
from relook.library.compaction import compact, is_worthwhile
from relook.library.files import LibraryFiles
from relook.library.index_worker import IndexWorker
from relook.library.report import IndexReport, Progress, ProgressCallback, Stop

__all__ = ["run_with_index", "text_queries"]

_N_TEXTS = 96
_INCOMPLETE = (
    "the index is not complete: searches compare with what it lacks, which takes longer;"
    " relook index finishes it"
)


def run_with_index(
    files: LibraryFiles,
    encoder: Encoder,
    settings: SearchSettings,
    n_images: int | None,
    run: Callable[[], IndexReport],
    progress: ProgressCallback | None = None,
) -> IndexReport:
    """Runs something that adds images, while the index grows in a thread beside it.

    Args:
        files: The open library. The caller holds the writer's lock.
        encoder: Of the library.
        settings: What kind of index, and what memory it may take.
        n_images: How many images the library will have, about; None when nobody knows yet.
        run: Adds them.
        progress: Called now and then.

    Raises:
        InputError: `memory_limit` before anything is done.
        StorageError: what was committed stays.
    """
    if files.shared is not None:  # its index is Milvus' own, and nothing is left to free
        report = run()
        files.refresh()
        return report
    tell = progress or (lambda _: None)
    if n_images is not None:
        n_new = max(n_images - len(files.row_table), 0)
        files.index_plan(settings, len(files.vectors) + n_new * len(encoder.tiles_for(4, 3)))
    with IndexWorker(files, settings, lambda: text_queries(files, encoder)) as worker:
        report = run()
        files.refresh()
        was_interrupted = report.interrupted
        if not was_interrupted:
            try:
                worker.finish(tell)
            except (KeyboardInterrupt, Stop):
                report.interrupted = True
    files.refresh()
    if report.interrupted and not was_interrupted and files.needs_index(settings):
        report.notes.append(_INCOMPLETE)
    if not report.interrupted and is_worthwhile(files):
        compact(files, lambda done, total: tell(Progress("freeing space", done, total)))
    return report


def text_queries(files: LibraryFiles, encoder: Encoder) -> Floats | None:
    """[n, d] vectors of words as people might search for: captions of the library, phrasings.

    None where neither is known.
    """
    # Ids in a mixed order, the same every time.
    captions = files.catalog.ask(
        "SELECT caption FROM images WHERE caption <> ''"
        " ORDER BY (image_id * 7919) % 1000003 LIMIT ?",
        (_N_TEXTS // 2,),
    )
    parts = [encoder.encode_texts([str(caption) for (caption,) in captions])] if captions else []
    phrasings = encoder.means.phrasings if encoder.means else None
    if phrasings is not None and len(phrasings):
        order = np.random.default_rng(3).permutation(len(phrasings))
        parts.append(phrasings[order[: _N_TEXTS - len(captions)]])
    return np.concatenate(parts).astype(np.float32) if parts else None
