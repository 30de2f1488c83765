"""What a run of indexing does once everything is listed and read. Layer: library.

Tells which images are away, deleted or back, forgets what is no longer skipped, and puts what a
person should know of it into the report.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping

import numpy as np

from relook.core.picture_paths import is_url
from relook.library.catalog import Catalog
from relook.library.homes import Homes
from relook.library.known import KnownFiles
from relook.library.missing import Missing, has_images
from relook.library.records import printable
from relook.library.report import IndexReport
from relook.library.scan import Scan
from relook.library.survey import Survey
from relook.library.whereabouts import away_note

__all__ = ["sort_missing", "tell_missing"]

_AT_ONCE = 500


def sort_missing(
    catalog: Catalog,
    survey: Survey,
    homes: Homes,
    unread: Mapping[int, tuple[bytes, str]],
    report: IndexReport,
    *,
    every: bool,
) -> None:
    """Enters which images are away, deleted, or back.

    Args:
        catalog: Of the library.
        survey: What was met; its listing is over.
        homes: What the run has found.
        unread: Image id -> place and reason of files that were listed and could not be read.
        report: Gets the counts.
        every: See `bury`.
    """
    known = survey.known
    missing = Missing(catalog, survey, homes)
    outcome = missing.sort(_not_met(catalog, known, homes))
    outcome.away += [(image_id, *why) for image_id, why in unread.items()]
    away = {image_id for image_id, *_ in outcome.away}
    before = set(known.away.tolist())
    seen = set(known.same_of(known.away).tolist()) | set(filter(homes.is_settled, before))
    back = sorted(seen - away)
    missing.write(outcome, back, every=every)
    report.n_back, report.n_left = len(back), len(away - before)
    report.n_removed += len(outcome.gone)


def _not_met(catalog: Catalog, known: KnownFiles, homes: Homes) -> Iterator[tuple[int, bytes]]:
    """Id and path of the images whose file the run has not found."""
    missing = np.union1d(known.not_met(), homes.displaced())
    for at in range(0, len(missing), _AT_ONCE):
        for image in catalog.images(missing[at : at + _AT_ONCE].tolist(), missing_ok=True):
            if not homes.is_settled(image.image_id):
                yield image.image_id, image.facts.path


def tell_missing(catalog: Catalog, scan: Scan, report: IndexReport) -> None:
    """Puts into the report what is away, and what could not be listed."""
    report.links = sorted(scan.links)
    report.away = catalog.absences()
    report.n_away = sum(absence.n for absence in report.away)
    named = {absence.place for absence in report.away}
    for folder, reason in scan.unlisted.items():
        there = is_url(folder) or os.path.lexists(folder)
        if there:
            report.unlisted[folder] = reason
        if there or folder not in named:
            report.notes.append(f"cannot list {printable(folder)}: {reason}")
    if report.n_moved:
        report.notes += _drop_left_roots(catalog)
    if note := away_note(report.away):
        report.notes.append(
            f"{note}; they keep their marks, and come back by themselves."
            " Were they deleted for good? Then: relook forget PATH"
        )


def _drop_left_roots(catalog: Catalog) -> Iterator[str]:
    """Forgets roots that are not there any more, and whose images have all moved away."""
    for root in catalog.roots():
        if is_url(root) or os.path.lexists(root) or has_images(catalog, root):
            continue
        with catalog.transaction() as db:
            db.execute("DELETE FROM roots WHERE path = ?", (root,))
        yield (
            f"{printable(root)} is not there, and all its pictures have moved:"
            " it is not gone over any more"
        )
