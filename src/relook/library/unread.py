"""What a listing met and did not take in, for the catalog and the report. Layer: library."""

from __future__ import annotations

import os
from collections import Counter

from relook.library.catalog import Catalog
from relook.library.image_words import Sidecars
from relook.library.left_out import left_out_note, other_files, others_note, put_others
from relook.library.records import SkippedFile, printable
from relook.library.report import IndexReport
from relook.library.scan import Scan

_SHOWN = 3


def tell_unread(
    catalog: Catalog,
    scan: Scan,
    misnamed: list[tuple[bytes, str]],
    sidecars: Sidecars,
    report: IndexReport,
) -> None:
    """Adds to the report what was left out, and counts files that are no pictures.

    The catalog keeps the counts, unless the run was interrupted: they are not whole then.

    Args:
        catalog: Of the library.
        scan: It is over.
        misnamed: Path and format of pictures whose suffix says another format.
        sidecars: All their rows were looked up.
        report: Gets counts and notes.
    """
    total: Counter[str] = Counter()
    for counts in scan.others.values():
        total.update(counts)
    report.others, report.left_out = other_files(total), dict(scan.left_out.n_files)
    report.notes += scan.left_out.notes
    if misnamed:
        report.notes.append(_misnamed_note(sorted(misnamed)))
    report.notes += filter(None, (others_note(report.others), left_out_note(report.left_out)))
    if not report.interrupted:
        report.notes += filter(None, (sidecars.unused_note(),))
        with catalog.transaction() as db:
            for root, counts in scan.others.items():
                put_others(db, root, counts)


def _misnamed_note(misnamed: list[tuple[bytes, str]]) -> str:
    several = [f"{printable(path)} is {form}" for path, form in misnamed[:_SHOWN]]
    if len(misnamed) > _SHOWN:
        several.append(f"and {len(misnamed) - _SHOWN:,} more")
    n = "1 picture is" if len(misnamed) == 1 else f"{len(misnamed):,} pictures are"
    return f"{n} indexed, though the suffix says another format: {', '.join(several)}"


def why_away(skip: SkippedFile) -> str:
    """The reason why an image is away whose file is listed and cannot be read."""
    if os.path.islink(skip.facts.path):
        return "is a link to what is not there"
    return f"cannot be read: {skip.message}"
