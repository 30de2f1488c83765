"""Checking a library from end to end, without writing to it. Layer: library.

Every image has its rows, every row its vector and its sum, every vector length 1; tilings,
sessions, the index and the files fit. What a stop may leave behind (rows behind the last
commit, a file half written) is a note, not damage: nothing refers to it.
"""

from __future__ import annotations

import os
import time
from contextlib import closing, suppress
from pathlib import Path

from relook.core.errors import (
    LibraryError,
    LibraryFormatError,
    NotFoundError,
    RelookError,
    counted,
)
from relook.core.leftovers import ended_files
from relook.core.progress import Progress, ProgressCallback
from relook.core.settings import SearchSettings
from relook.core.sources import STRANGERS
from relook.library.backup import catalog_fault
from relook.library.catalog import Catalog
from relook.library.check_catalog import (
    AGAIN,
    check_backup,
    check_images,
    check_rows,
    check_sqlite,
    images_named,
)
from relook.library.check_sessions import check_sessions
from relook.library.check_vectors import Rows, VectorDamage, look_at_vectors, rows_of
from relook.library.files import LibraryFiles
from relook.library.findings import CheckReport
from relook.library.manifest import Manifest, kept_manifest
from relook.library.restore import restored_from
from relook.library.snapshot import vectors_path

CATALOG, _INDEX_FOLDER = "catalog.sqlite3", "ann"
_TRIES, _BUILD = 5, "build it; relook index does, too"
_REMOVE = "remove it; so few tiles need none, and searches are exact"
_NO_MANIFEST = (
    "nothing, as the catalog has no copy of it; nothing else is lost. Put manifest.json back from a"
    " backup of the folder, or that of another library which the same encoder made (relook index"
    " PICTURE --library NEW --encoder NAME makes one), and run relook index once; a shared library:"
    " relook attach"
)
# What reading a damaged row raises: a length beyond all memory, a value of a wrong type.
_ODD = (MemoryError, TypeError, ValueError)


def check(
    folder: Path,
    settings: SearchSettings | None = None,
    progress: ProgressCallback | None = None,
) -> CheckReport:
    """Checks everything in a library. Other processes may write meanwhile.

    Args:
        folder: The library.
        settings: `exact_rows` says from how many rows on there should be an index.
        progress: Called now and then.

    Raises:
        NotFoundError: `no_library`.
    """
    began = time.monotonic()
    report = CheckReport()
    for _ in range(_TRIES):
        report = _Check(folder, settings or SearchSettings(), progress or (lambda _: None)).run()
        # Another process may have rewritten a file between the checks of it and of the catalog.
        if report.sound or report.generation == _generation(folder):
            break
    report.seconds = time.monotonic() - began
    return report


def is_leftover(name: str) -> bool:
    """Whether a file of a library's folder is half written: it would have been renamed."""
    return name.endswith(".new")


class _Check:
    """One pass over a library."""

    def __init__(self, folder: Path, settings: SearchSettings, progress: ProgressCallback) -> None:
        self._folder, self._settings, self._progress = folder, settings, progress
        self._report = CheckReport()

    def run(self) -> CheckReport:
        manifest = self._manifest()
        rows = self._tables(manifest)
        if manifest is not None and manifest.store:
            message = f"the vectors are in {manifest.store}: only the catalog was looked at"
            self._report.note("shared", message, 1, "nothing; Milvus looks after its own")
        elif manifest is not None and rows is not None:
            self._vectors(rows)
            if self._report.sound:
                self._index(manifest)
        self._leftovers()
        check_backup(self._folder, self._report)
        return self._report

    def _manifest(self) -> Manifest | None:
        try:
            return Manifest.read(self._folder)
        except LibraryFormatError as error:
            repair = self._manifest_repair() if error.code == "bad_manifest" else error.hint
            self._report.find(error.code, error.message, [], repair, n=1)
        return None

    def _manifest_repair(self) -> str:
        with suppress(LibraryFormatError, NotFoundError):
            Manifest.read(self._folder, "manifest.json.new")
            return "use manifest.json.new, which is whole"
        if kept_manifest(self._folder) is not None:
            return "make it again from the copy that the catalog keeps"
        return _NO_MANIFEST

    def _tables(self, manifest: Manifest | None) -> Rows | None:
        """Checks the catalog; None when it cannot say what the vectors should be."""
        report = self._report
        self._progress(Progress("checking the catalog"))
        fault, lost = catalog_fault(self._folder / CATALOG)
        if fault:
            repair = restored_from(self._folder)
            report.find("bad_catalog", fault, lost, repair, n=len(lost) or 1)
            return None
        try:
            catalog = Catalog(self._folder / CATALOG, writable=False)
            with closing(catalog), catalog.reading():
                report.generation = catalog.generation()
                check_sqlite(catalog, report)
                check_rows(catalog, report)
                check_images(catalog, report)
                check_sessions(catalog, report)
                return rows_of(catalog, manifest, report)
        except (RelookError, *_ODD) as error:
            if not report.has("bad_catalog"):
                report.find("bad_catalog", _message(error), [], restored_from(self._folder), n=1)
        return None

    def _vectors(self, rows: Rows) -> None:
        report, path = self._report, vectors_path(self._folder, rows.vectors_file)
        damage = look_at_vectors(path, rows, self._progress)
        n_bytes = rows.end_row * rows.dim * 2
        short = f"{path} ends too early ({damage.n_bytes:,} bytes of {n_bytes:,})"
        for code, message, places in (
            ("vectors_missing", short, damage.missing),
            ("unreadable_vectors", f"{path} cannot be read: {damage.reason}", damage.unreadable),
            ("bad_sum", f"{path} holds other bytes than were written", damage.wrong),
        ):
            if places:
                ids = sorted({image_id for place in places for image_id in rows.images(*place)})
                n_rows = sum(end - first for first, end in places)
                where = [f"rows {first} to {end - 1}" for first, end in places]
                whole = f"{message}: {counted(n_rows, 'row')} of {counted(len(ids), 'image')}"
                report.find(code, whole, where, AGAIN, n=n_rows, rows=places, image_ids=ids)
        report.find_images(
            "not_unit", "images with a vector that is no direction",
            self._named(damage.odd_images), AGAIN,
        )  # fmt: skip
        self._note_rows(rows, damage, n_bytes)

    def _named(self, image_ids: list[int]) -> list[tuple[int, str]]:
        """Images with their paths."""
        with closing(Catalog(self._folder / CATALOG, writable=False)) as catalog:
            return images_named(catalog, image_ids)

    def _note_rows(self, rows: Rows, damage: VectorDamage, n_bytes: int) -> None:
        report = self._report
        if damage.n_bytes > n_bytes:
            n_more = damage.n_bytes - n_bytes
            message = f"{n_more:,} bytes behind the last row that counts, as a stop leaves them"
            report.note("orphan_tail", message, n_more, "cut them off; the next writer does, too")
        if damage.n_unsummed:
            rows_have = counted(damage.n_unsummed, "row has", "rows have")
            message = f"{rows_have} no checksum (an older version wrote them)"
            report.note("no_sum", message, damage.n_unsummed, "add it; the next writer does, too")
        report.counts["dead_rows"] = rows.end_row - int(rows.table[:, 1].sum())

    def _index(self, manifest: Manifest) -> None:
        """Checks the index against the vectors. A missing index is no damage: search is exact."""
        self._progress(Progress("checking the index"))
        catalog = Catalog(self._folder / CATALOG, writable=False)
        with LibraryFiles(self._folder, manifest, catalog) as files:
            fault = files.index_fault(self._settings)
            is_needed = files.index_plan(self._settings).kind != "exact"
            if fault is None and files.needs_index(self._settings):
                rows = counted(len(files.vectors), "row")
                message = f"{rows} without an index that covers them: searches are slow"
                self._report.note("no_index", message, 1, _BUILD)
        if fault is not None and fault.code == "other_index":
            message = f"{fault.message}: searches are slow" if is_needed else fault.message
            self._report.note(fault.code, message, 1, _BUILD if is_needed else _REMOVE)
        elif fault is not None:
            repair = "build it anew" if is_needed else _REMOVE
            self._report.find("bad_index", fault.message, [], repair, n=1)

    def _leftovers(self) -> None:
        paths = [self._folder, self._folder / _INDEX_FOLDER]
        names = [
            f"{name}" if folder == self._folder else f"{_INDEX_FOLDER}/{name}"
            for folder in paths
            if folder.is_dir()
            for name in sorted(os.listdir(folder))
            if is_leftover(name)
        ]
        for name in STRANGERS:
            names += [f"{name}/{file.name}" for file in ended_files(self._folder / name)]
        if names:
            files = counted(len(names), "file")
            message = f"{files} that a stop left half written, or a writer writes just now"
            self._report.note("leftover", message, len(names), "remove them", names)
        kept = [name for name in sorted(os.listdir(self._folder)) if _is_kept(name)]
        if kept:
            message = f"{counted(len(kept), 'file')} with what was damaged, kept by a repair"
            self._report.note(
                "kept", message, len(kept), "nothing; delete them when you like", kept
            )


def _message(error: Exception) -> str:
    # SQLite takes the length of a damaged record for how much memory it needs.
    return (
        error.message
        if isinstance(error, RelookError)
        else "the catalog holds a length no file has"
    )


def _is_kept(name: str) -> bool:
    return ".damaged-" in name and not name.endswith(("-wal", "-shm"))


def _generation(folder: Path) -> int:
    try:
        with closing(Catalog(folder / CATALOG, writable=False)) as catalog:
            return catalog.generation()
    except LibraryError:
        return 0
