"""Rows of sidecar files that name their picture by its bare name, or in another spelling.

Such a row is about a picture only where no other one has that name: so it is looked at when a run
has listed everything. A row whose own picture the library knows, though its file is away or was
deleted, is about none other. Layer: library.
"""

from collections.abc import Iterator

from relook.core.picture_paths import original_path
from relook.core.progress import Progress, ProgressCallback
from relook.library.catalog import Catalog
from relook.library.image_words import Sidecars
from relook.library.known import KnownFiles
from relook.library.records import with_words
from relook.library.report import IndexReport
from relook.library.scan import Scan

_READ_AT_ONCE, _WRITTEN_AT_ONCE = 5_000, 500
_Likely = dict[bytes, list[tuple[int, bytes]]]
"""A row, by its own path -> id and content of each picture that it may be about."""


def put_words_by_name(
    catalog: Catalog,
    scan: Scan,
    sidecars: Sidecars,
    known: KnownFiles,
    report: IndexReport,
    progress: ProgressCallback,
) -> None:
    """Gives pictures the words of the rows that name them in that way, and no others.

    Args:
        catalog: Of the library; the run has entered all pictures.
        scan: It is over; pictures elsewhere are left alone.
        sidecars: The rows whose own path is a picture's are taken.
        known: What was there before the run.
        report: Its `n_metadata` counts images of before that have other words now.
        progress: Called with how many pictures have theirs; what it raises stops.
    """
    if not sidecars.has_untaken:
        return
    row_of: dict[int, bytes] = {}
    for row, pictures in _likely(catalog, scan, sidecars).items():
        if len({content for _, content in pictures}) > 1:
            sidecars.doubt(row, len(pictures))
        else:
            row_of |= dict.fromkeys((image_id for image_id, _ in pictures), row)
    ids = sorted(row_of)
    for at in range(0, len(ids), _WRITTEN_AT_ONCE):
        progress(Progress("words", at, len(ids)))
        records = catalog.images(ids[at : at + _WRITTEN_AT_ONCE], missing_ok=True)
        new = [with_words(record, sidecars.take(row_of[record.image_id])) for record in records]
        changed = [now for now, before in zip(new, records, strict=True) if now != before]
        if changed:
            with catalog.transaction() as db:
                for record in changed:
                    catalog.put(db, record)
                catalog.bump(db)
        report.n_metadata += sum(record.image_id <= known.newest_image for record in changed)


def _likely(catalog: Catalog, scan: Scan, sidecars: Sidecars) -> _Likely:
    """Rows that pictures of the run fit, without those whose own picture the library knows."""
    own = {path for (path,) in catalog.ask("SELECT path FROM tombstones") if path in sidecars}
    likely: _Likely = {}
    for image_id, path, content in _images(catalog):
        if path in sidecars:
            own.add(path)
        row = sidecars.likely(original_path(path))
        if row is not None and scan.is_below_root(path):
            likely.setdefault(row, []).append((image_id, content))
    for row in likely.keys() & own:
        sidecars.take(row)
        del likely[row]
    return likely


def _images(catalog: Catalog) -> Iterator[tuple[int, bytes, bytes]]:
    """Id, path and content of every image."""
    sql = "SELECT image_id, path, content FROM images WHERE image_id > ? ORDER BY image_id"
    last = 0
    while rows := catalog.ask(f"{sql} LIMIT {_READ_AT_ONCE}", (last,)):
        yield from rows  # type: ignore[misc]
        last = int(str(rows[-1][0]))
