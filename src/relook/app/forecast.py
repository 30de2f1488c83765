"""What indexing will take, before anything of it starts: time, disk, memory. Layer: app.

A few pictures, drawn by chance from those that are new, are indexed into a library that is thrown
away; what they take, on this machine and with this encoder, is what the others take: seconds by the
clock, as busy as the machine is now, and seconds of its processor, which do not depend on that.
The catalog is measured with many rows like theirs, as the pages of a short one are not full. The
index of the vectors is counted in multiplications, and a short one tells what this machine does of
them.
"""

from __future__ import annotations

import contextlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated

import numpy as np

from relook.app.indexing import AddOptions, add, scan_of
from relook.app.paths import PathLike, absolute
from relook.core.converter import JsonValue
from relook.core.errors import ImageError, InputError, counted
from relook.core.json_form import SHOWN, Digits
from relook.core.picture_paths import is_archive, is_video
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import SearchSettings
from relook.core.sources import archive_at
from relook.encoders import Encoder
from relook.library.catalog import Catalog
from relook.library.commit import image_bytes, n_bytes_of
from relook.library.files import LibraryFiles
from relook.library.known import is_unchanged, load_known
from relook.library.manifest import Manifest
from relook.library.records import FileFacts
from relook.library.report import IndexReport, Stop
from relook.stores.centres import ROUNDS_OF_ALL
from relook.stores.nearest import BLOCK, n_products
from relook.stores.plan import IndexPlan, plan_index

if TYPE_CHECKING:
    from relook.app.facade import Library

_MEASURED = 400  # pictures
_MEASURED_S = 20.0
_FIRST = 16  # pictures until every stage is busy
_CODING_S = 7e-9  # a number of a row, on one core; see decisions/0013
_ROW_BYTES = 24  # of an image, in memory while a library is open
_FACT_BYTES = 43  # of an image, once a filter or a count was asked for
_KNOWN_BYTES = 48  # of an image, in memory while indexing; see docs/indexing.md
_BACKUPS = 2  # the catalog, and its copy
_PRODUCTS_S = 0.3


@dataclass(frozen=True, slots=True)
class Forecast(JsonValue):
    """What a run of indexing will take.

    Args:
        n_listed: Files that may be pictures, below the paths; an archive counts once.
        n_new: Of them, those that the library does not have as they are, or what was supposed.
        n_images: Images of the library afterwards.
        n_measured: Pictures that were indexed to know.
        n_unreadable: Of the files that were drawn, those that could not be read.
        images_per_s: How many this machine indexes in a second.
        encoding_s: Seconds until all are encoded.
        index_s: Seconds that the index of the vectors takes, as far as nothing else runs.
        processor_s: Seconds of one core for all of it, whatever else runs.
        index_kind: Its kind; `exact` is none.
        vectors_bytes, catalog_bytes, index_bytes: What they take on disk.
        searching_bytes: Memory that the library takes to itself while it is searched.
        building_bytes: Memory that building the index takes for a while.
        running_bytes: Memory of the whole process while it indexes, building left out.
    """

    n_listed: int
    n_new: int
    n_images: int
    n_measured: int
    n_unreadable: int
    images_per_s: Annotated[float, Digits(2)]
    encoding_s: Annotated[float, Digits(1)]
    index_s: Annotated[float, Digits(1)]
    processor_s: Annotated[float, Digits(1)]
    index_kind: str
    vectors_bytes: int
    catalog_bytes: int
    index_bytes: int
    searching_bytes: int
    building_bytes: int
    running_bytes: int

    @property
    def seconds(self) -> Annotated[float, SHOWN, Digits(1)]:
        """Of the whole run."""
        return self.encoding_s + self.index_s

    @property
    def disk_bytes(self) -> Annotated[int, SHOWN]:
        """What the library takes afterwards."""
        return self.vectors_bytes + self.catalog_bytes + self.index_bytes


def forecast(
    library: Library,
    paths: Sequence[PathLike],
    options: AddOptions,
    n_new: int | None = None,
    seed: int = 7,
) -> Forecast:
    """Says what indexing some paths takes; changes nothing, and makes no library.

    Args:
        library: The library that they would be added to; it need not be there.
        paths: As for `Library.add`.
        options: How they would be added.
        n_new: As if so many new pictures were there, like those; None: those that there are.
        seed: Draws the pictures that are measured.

    Raises:
        NotFoundError: `no_path`.
        InputError: `nothing_to_measure` when none of the pictures can be read; `memory_limit` as
            the run would.
        KeyboardInterrupt: Ctrl-C; nothing was changed.
        MissingExtraError, FetchError: as `Library.add`.
    """
    files = library.files if Manifest.exists(library.folder) else None
    listed = _listed(library, files, paths, options)
    new = listed if files is None else _unknown(files.catalog, listed)
    wanted = sum(map(_n_inside, new)) if n_new is None else n_new
    chosen = library.encoders
    encoder = chosen.for_new() if files is None else chosen.of(files.manifest)
    drawn = _drawn(new or listed, seed)
    measured = _measure(library, encoder, drawn, options) if wanted else _NOTHING
    n_added = round(wanted * measured.images_per_file)
    n_before, n_rows = (0, 0) if files is None else (len(files.row_table), len(files.vectors))
    n_bytes = measured.empty_bytes if files is None else n_bytes_of(files.catalog)
    n_images, n_rows = n_before + n_added, n_rows + round(n_added * measured.rows_per_image)
    settings = library.search_settings
    plan = plan_index(
        n_rows, encoder.dim, kind=settings.index_kind, exact_rows=settings.exact_rows,
        memory_bytes=settings.memory_mib * 1024**2,
    )  # fmt: skip
    index_s, index_processor_s = _index_s(plan, 0 if files is None else _n_indexed(files, settings))
    return Forecast(
        n_listed=len(listed),
        n_new=wanted,
        n_images=n_images,
        n_measured=measured.n_images,
        n_unreadable=measured.n_unreadable,
        images_per_s=measured.images_per_s,
        encoding_s=n_added / measured.images_per_s if n_added else 0.0,
        index_s=index_s,
        processor_s=n_added * measured.processor_s + index_processor_s,
        index_kind=plan.kind,
        vectors_bytes=n_rows * encoder.dim * 2,
        catalog_bytes=round(_BACKUPS * (n_bytes + n_added * measured.catalog_bytes)),
        index_bytes=plan.likely_bytes,
        searching_bytes=n_images * (_ROW_BYTES + _FACT_BYTES),
        building_bytes=_building_bytes(plan),
        running_bytes=measured.peak_bytes + n_images * _KNOWN_BYTES,
    )


@dataclass(frozen=True, slots=True)
class _Measured:
    """What indexing some pictures took.

    Args:
        n_images, n_unreadable: Images that were made, and files that could not be used.
        images_per_file: Less than 1 where files cannot be read, more with scenes of videos.
        images_per_s: From when every stage was busy.
        processor_s: Of one core, for an image.
        rows_per_image: Vectors.
        empty_bytes: Of a catalog without images.
        catalog_bytes: Of an image in one with many.
        peak_bytes: Memory of this process, at most.
    """

    n_images: int
    n_unreadable: int
    images_per_file: float
    images_per_s: float
    processor_s: float
    rows_per_image: float
    empty_bytes: int
    catalog_bytes: float
    peak_bytes: int


_NOTHING = _Measured(0, 0, 1.0, 0.0, 0.0, 0.0, 0, 0.0, 0)


def _listed(
    library: Library, files: LibraryFiles | None, paths: Sequence[PathLike], options: AddOptions
) -> list[FileFacts]:
    """All files below the paths, or below what was added before."""
    before = [] if files is None else files.catalog.roots()
    given = [absolute(path) for path in paths]
    tell = options.progress or (lambda _: None)
    listed = list[FileFacts]()
    for part in scan_of(library.folder, given, options, before):
        listed += part
        tell(Progress("listing", len(listed)))
    return listed


def _unknown(catalog: Catalog, listed: Sequence[FileFacts]) -> list[FileFacts]:
    """Files that the library does not have as they are."""
    known, _ = load_known(catalog)
    skipped = {file.facts.path: file.facts for file in catalog.skipped()}
    same = known.compare(listed)[0] if listed else np.zeros(0, np.bool_)
    return [
        file
        for file, is_known in zip(listed, same, strict=True)
        if not is_known
        and skipped.get(file.path) != file
        and not (is_archive(file.path) and is_unchanged(catalog, file))
    ]


def _n_inside(file: FileFacts) -> int:
    """How many pictures a file is; a video counts as one."""
    if is_video(file.path) or not is_archive(file.path):
        return 1
    try:
        return len(archive_at(file.path).pictures)
    except ImageError:
        return 0


def _drawn(new: Sequence[FileFacts], seed: int) -> list[FileFacts]:
    """Files to measure with; an archive or a video only where there is nothing else."""
    single = [file for file in new if not is_archive(file.path)]
    random = Random(seed)
    if single:
        return random.sample(single, min(len(single), _MEASURED))
    return random.sample(list(new), min(len(new), 1))


def _measure(
    library: Library, encoder: Encoder, files: Sequence[FileFacts], options: AddOptions
) -> _Measured:
    """Indexes some files into a library that is thrown away, for some seconds at most.

    Raises:
        InputError: `nothing_to_measure`.
    """
    watch = _Stopwatch(options.progress or (lambda _: None))
    settings = replace(options.settings or library.index_settings, batch=_FIRST, text=False)
    how = AddOptions(settings=settings, progress=watch)
    limits, search = library.limits, library.search_settings
    with (
        tempfile.TemporaryDirectory(prefix="relook-forecast-") as folder,
        type(library)(Path(folder, "kept"), encoder=encoder, limits=limits, search=search) as kept,
    ):
        catalog = kept.open_or_create().catalog
        empty_bytes = n_bytes_of(catalog)
        paths = [os.fsdecode(file.path) for file in files]
        report = add(kept, encoder, paths, how) if paths else IndexReport()
        n_images, n_rows = report.n_images, len(kept.files.vectors)
        peak_bytes = _peak_bytes()
        grown_bytes = image_bytes(catalog) if n_images else 0.0
    if report.interrupted and not watch.is_enough:
        raise KeyboardInterrupt
    if not n_images:
        raise InputError(
            "nothing_to_measure",
            f"none of {counted(len(files), 'picture')} that were tried can be read",
            "name a folder with pictures; relook index says why a file is left out",
        )
    share = n_images / (n_images + report.n_skipped)
    files_per_s = watch.rate_per_s or (n_images + report.n_skipped) / max(report.seconds, 1e-9)
    return _Measured(
        n_images=n_images,
        n_unreadable=report.n_skipped,
        images_per_file=share,
        images_per_s=files_per_s * share,
        processor_s=watch.processor_s / share,
        rows_per_image=n_rows / n_images,
        empty_bytes=empty_bytes,
        catalog_bytes=grown_bytes,
        peak_bytes=peak_bytes,
    )


def _peak_bytes() -> int:
    """Memory that this process had at most."""
    # Where the system tells it: what getrusage says holds the peak of whoever started this, too.
    with contextlib.suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text("ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


class _Stopwatch:
    """Hears how far a run is, and ends it when enough is known.

    Args:
        tell: Told the same.
    """

    def __init__(self, tell: ProgressCallback) -> None:
        self._tell, self._began_s = tell, time.monotonic()
        self._first: tuple[float, float, int] | None = None
        self._began_processor_s = time.process_time()
        self.rate_per_s, self.is_enough = 0.0, False
        self.processor_s = 0.0

    def __call__(self, now: Progress) -> None:
        self._tell(replace(now, stage="measuring") if now.stage == "indexing" else now)
        if now.stage != "indexing" or not now.done:
            return
        at_s, processor_s = time.monotonic(), time.process_time()
        if now.done < _FIRST:
            self.processor_s = (processor_s - self._began_processor_s) / now.done
            return
        if self._first is None:
            self._first = at_s, processor_s, now.done
        first_s, first_processor_s, first = self._first
        if now.done > first:
            self.rate_per_s = (now.done - first) / max(at_s - first_s, 1e-9)
            self.processor_s = (processor_s - first_processor_s) / (now.done - first)
        if at_s - self._began_s > _MEASURED_S and self.rate_per_s:
            self.is_enough = True
            raise Stop


def _n_indexed(files: LibraryFiles, settings: SearchSettings) -> int:
    """How many rows an index has already."""
    if files.index_plan(settings).kind == "exact":
        return 0
    return len(files.vectors) - files.rows_without_index(settings)


def _index_s(plan: IndexPlan, n_indexed: int) -> tuple[float, float]:
    """Seconds that an index takes here until it has every row, and those of one core.

    Nothing where there is none.

    Args:
        plan: Of all rows.
        n_indexed: Rows that an index has already: it grows, and is made anew once they are few.
    """
    n_rows, n_trained = plan.n_rows - n_indexed, 0
    if plan.kind == "exact" or not n_rows:
        return 0.0, 0.0
    if n_rows > n_indexed:
        n_rows, n_trained = plan.n_rows, plan.n_sample
    products = (ROUNDS_OF_ALL * n_trained + n_rows) * n_products(plan.n_lists, plan.dim)
    per_s, n_cores = _products_per_s(plan)
    coding_s = n_rows * plan.dim * _CODING_S
    return products / per_s + coding_s, products / per_s * n_cores + coding_s


def _products_per_s(plan: IndexPlan) -> tuple[float, float]:
    """Multiplications of rows and centres that this machine does in a second, on how many cores."""
    rows = np.ones((2048, plan.dim), np.float32)
    centres = np.ones((min(plan.n_lists, 4096), plan.dim), np.float32)
    rows @ centres.T  # the first one is slower
    began, began_processor, n = time.perf_counter(), time.process_time(), 0
    while time.perf_counter() - began < _PRODUCTS_S:
        rows @ centres.T
        n += 1
    took_s = time.perf_counter() - began
    n_cores = (time.process_time() - began_processor) / took_s
    return n * len(rows) * len(centres) * plan.dim / took_s, n_cores


def _building_bytes(plan: IndexPlan) -> int:
    """Memory while an index is built: the sample, centres and their sums, a block of products."""
    if plan.kind == "exact":
        return 0
    return 4 * (plan.dim * (plan.n_sample + 3 * plan.n_lists) + BLOCK)
