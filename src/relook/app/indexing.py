"""Bringing a library up to date with folders, archives and addresses. Layer: app.

The index of the vectors grows in a thread beside the run, and room is freed after it.
"""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from relook.app.clusters import workers_of
from relook.app.models import LibraryEncoders, remember
from relook.app.paths import PathLike, absolute, expanded
from relook.core.errors import NotFoundError
from relook.core.picture_paths import is_url
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import ImageLimits, IndexSettings, RaySettings, SearchSettings
from relook.core.vectors import Floats
from relook.encoders import Encoder
from relook.library.compaction import compact, is_worthwhile
from relook.library.files import LibraryFiles
from relook.library.image_words import Sidecars
from relook.library.index_worker import IndexWorker
from relook.library.left_out import LeftOut
from relook.library.lock import WriterLock
from relook.library.report import IndexReport, Stop
from relook.library.scan import Scan, check_root
from relook.library.upgrade_staging import settle_upgrade

_N_TEXTS = 96
_INCOMPLETE = (
    "the index is not complete: searches compare with what it lacks, which takes longer;"
    " relook index finishes it"
)


@dataclass(frozen=True, slots=True)
class AddOptions:
    """How pictures are added; fields as the arguments of `Library.add`.

    With `missing_ok` a path that is away keeps its images, and the report has a note about it.
    """

    metadata: Sequence[PathLike] = ()
    settings: IndexSettings | None = None
    within: Sequence[PathLike] | None = None
    progress: ProgressCallback | None = None
    missing_ok: bool = False
    ray: RaySettings | None = None


class IndexedLibrary(Protocol):
    """What indexing needs of a `Library`."""

    encoders: LibraryEncoders
    folder: Path
    limits: ImageLimits
    search_settings: SearchSettings

    def open_or_create(self) -> LibraryFiles: ...


def add(
    library: IndexedLibrary, encoder: Encoder, paths: Sequence[PathLike], options: AddOptions
) -> IndexReport:
    """Brings a library up to date; see `Library.add`.

    Args:
        library: Made when it is not there.
        encoder: The one that made its vectors.
        paths: Folders, files or addresses; everything that was added before when empty.
        options: How.
    """
    from relook.library.build import Builder  # a search does without Pillow

    settings = options.settings or IndexSettings()
    sidecars = Sidecars([expanded(file) for file in options.metadata])
    given = [absolute(path) for path in paths]
    for root in () if options.missing_ok else given:
        check_root(root)  # a mistyped path must not leave an empty library
    files = library.open_or_create()
    files.check_encoder(encoder)
    report_to = options.progress or (lambda _: None)
    with (
        workers_of(options.ray, library.encoders.chosen, encoder, library.limits) as elsewhere,
        WriterLock(library.folder),
    ):
        files.refresh()
        files.check_encoder(encoder)  # another process may just have changed that
        settle_upgrade(files)
        remember(files, encoder)
        scan = _scan(library, files, given, options, settings)
        for root in given:
            files.catalog.add_root(root)
        builder = Builder(
            files, encoder, settings, library.limits, sidecars, options.progress, elsewhere
        )
        plans = files.shared is None and library.search_settings.memory_mib > 0
        n_images = _n_listed(scan) if plans else None
        report = run_with_index(
            files, encoder, library.search_settings, n_images, lambda: builder.run(scan), report_to
        )
        if files.backup.is_wanted(often=options.missing_ok):
            with contextlib.suppress(KeyboardInterrupt, Stop):
                if files.backup.takes_long:
                    report_to(Progress("backing up the catalog"))
                if problem := files.backup.make():
                    report.notes.append(problem)
        return report


def _scan(
    library: IndexedLibrary,
    files: LibraryFiles,
    given: Sequence[bytes],
    options: AddOptions,
    settings: IndexSettings,
) -> Scan:
    """The listing of a run.

    Raises:
        NotFoundError: `no_path` when no path is given and none was before.
    """
    roots = given or files.catalog.roots()
    if not roots:
        raise NotFoundError("no_path", "nothing has been indexed yet", "name a folder of pictures")
    return Scan(
        roots,
        avoid=os.fsencode(os.path.realpath(library.folder)),
        hidden=settings.hidden,
        must_exist=bool(given) and not options.missing_ok,
        within=None if options.within is None else _local(options.within),
        connections=settings.connections,
        left_out=LeftOut(settings.exclude, defaults=settings.default_excludes),
    )


def _n_listed(scan: Scan) -> int:
    """How many files a run will meet, for a plan that is made before it; archives count 1."""
    return sum(len(files) for files in scan)


def _local(paths: Sequence[PathLike]) -> list[bytes]:
    """The folders of this machine; no link leads to an address."""
    return [place for place in map(absolute, paths) if not is_url(place)]


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
