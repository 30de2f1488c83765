"""Rows of sidecar files that name their picture by its bare name, or in another spelling.

Such a row is about a picture only where no other one has that name: so it is looked at when a run
has listed everything. A row whose own picture the library knows, though its file is away or was
deleted, is about none other. Layer: library.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from relook.core.picture_paths import original_path
from relook.library.catalog import Catalog
from relook.library.image_words import Sidecars
from relook.library.known import KnownFiles
from relook.library.records import with_words
from relook.library.report import IndexReport
from relook.library.scan import Scan

_AT_ONCE = 5_000


@dataclass(frozen=True, slots=True)
class _Likely:
    """A picture that a row may be about."""

    image_id: int
    content: bytes


def put_words_by_name(
    catalog: Catalog, scan: Scan, sidecars: Sidecars, known: KnownFiles, report: IndexReport
) -> None:
    """Gives pictures the words of the rows that name them in that way, and no others.

    Args:
        catalog: Of the library; the run has entered all pictures.
        scan: It is over; pictures elsewhere are left alone.
        sidecars: The rows whose own path is a picture's are taken.
        known: What was there before the run.
        report: Its `n_metadata` counts images of before that have other words now.
    """
    likely: dict[bytes, list[_Likely]] = {}
    for image_id, path, content in _images(catalog) if sidecars.has_untaken else ():
        row = sidecars.likely(original_path(path))
        if row is not None and scan.is_below_root(path):
            likely.setdefault(row, []).append(_Likely(image_id, content))
    for row, pictures in likely.items():
        if _is_known(catalog, row):
            sidecars.take(row)
        elif len({picture.content for picture in pictures}) > 1:
            sidecars.doubt(row, len(pictures))
        else:
            words = sidecars.take(row)
            records = catalog.images([picture.image_id for picture in pictures], missing_ok=True)
            changed = [new for old in records if (new := with_words(old, words)) != old]
            if changed:
                with catalog.transaction() as db:
                    for record in changed:
                        catalog.put(db, record)
                    catalog.bump(db)
            report.n_metadata += sum(record.image_id <= known.newest_image for record in changed)


def _images(catalog: Catalog) -> Iterator[tuple[int, bytes, bytes]]:
    """Id, path and content of every image."""
    sql = "SELECT image_id, path, content FROM images WHERE image_id > ? ORDER BY image_id"
    last = 0
    while rows := catalog.ask(f"{sql} LIMIT {_AT_ONCE}", (last,)):
        yield from rows  # type: ignore[misc]
        last = int(str(rows[-1][0]))


def _is_known(catalog: Catalog, path: bytes) -> bool:
    """Whether a path is an image's, or one's that was deleted and is remembered."""
    sql = "SELECT 1 FROM tombstones WHERE path = ? LIMIT 1"
    return bool(catalog.image_at(path) or catalog.ask(sql, (path,)))
