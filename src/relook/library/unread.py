"""What a listing did not meet or did not take in, for catalog and report. Layer: library."""

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

from relook.core.errors import counted
from relook.core.picture_paths import inside, is_url, is_video, printable
from relook.library.catalog import Catalog
from relook.library.commit import PASSING
from relook.library.image_words import Sidecars
from relook.library.left_out import left_out_note, other_files, others_note, put_others
from relook.library.records import SkippedFile
from relook.library.report import IndexReport
from relook.library.scan import Scan
from relook.library.tombstones import sweep_dropped
from relook.library.whereabouts import away_note, place_of

_SHOWN = 3


@dataclass(frozen=True, slots=True)
class OddFiles:
    """Files that are not what their names say.

    Args:
        misnamed: Path and format of pictures whose suffix says another format.
        beside: Place of a file beside a picture that cannot be read, and why.
    """

    misnamed: list[tuple[bytes, str]]
    beside: Mapping[str, str]


def tell_unread(
    catalog: Catalog,
    scan: Scan,
    odd: OddFiles,
    sidecars: Sidecars,
    report: IndexReport,
) -> None:
    """Adds to the report what was left out, and counts files that are no pictures.

    The catalog keeps the counts, unless the run was interrupted: they are not whole then.

    Args:
        catalog: Of the library.
        scan: It is over.
        odd: That the run met.
        sidecars: All their rows were looked up.
        report: Gets counts and notes.
    """
    total: Counter[str] = Counter()
    for counts in scan.others.values():
        total.update(counts)
    report.others, report.left_out = other_files(total), dict(scan.left_out.n_files)
    report.notes += scan.left_out.notes
    if odd.misnamed:
        report.notes.append(_misnamed_note(sorted(odd.misnamed)))
    if odd.beside:
        report.notes.append(_beside_note(odd.beside))
    report.notes += filter(None, (others_note(report.others), left_out_note(report.left_out)))
    if not report.interrupted:
        report.notes += filter(None, (sidecars.unused_note(), sidecars.doubts_note()))
        with catalog.transaction() as db:
            for root, counts in scan.others.items():
                put_others(db, root, counts)


def tell_missing(catalog: Catalog, scan: Scan, report: IndexReport) -> None:
    """Adds to the report which images are away, and which folders could not be listed."""
    report.links = sorted(scan.links)
    report.away = catalog.absences()
    report.n_away = sum(absence.n for absence in report.away)
    named = {absence.place for absence in report.away}
    for folder, reason in scan.unlisted.items():
        if is_video(folder):  # it is listed with what was skipped
            continue
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
        if is_url(root) or os.path.lexists(root) or _has_images(catalog, root):
            continue
        with catalog.transaction() as db:
            db.execute("DELETE FROM roots WHERE path = ?", (root,))
        yield (
            f"{printable(root)} is not there, and all its pictures have moved:"
            " it is not gone over any more"
        )


def _has_images(catalog: Catalog, root: bytes) -> bool:
    """Whether an image is at or below a path."""
    below = inside(root)
    sql = (
        "SELECT 1 FROM images WHERE path = ?1 OR path >= ?2 AND substr(path, 1, length(?2)) = ?2"
        " OR path >= ?3 AND substr(path, 1, length(?3)) = ?3 LIMIT 1"
    )
    return bool(catalog.ask(sql, (root, below[0], below[-1])))


def _misnamed_note(misnamed: list[tuple[bytes, str]]) -> str:
    several = [f"{printable(path)} is {form}" for path, form in misnamed[:_SHOWN]]
    if len(misnamed) > _SHOWN:
        several.append(f"and {len(misnamed) - _SHOWN:,} more")
    n = counted(len(misnamed), "picture is", "pictures are")
    return f"{n} indexed, though the suffix says another format: {', '.join(several)}"


def _beside_note(unread: Mapping[str, str]) -> str:
    place, reason = min(unread.items())
    n = len(unread)
    more = f", and {n - 1:,} more" if n > 1 else ""
    return f"nothing was read from {counted(n, 'file')} beside pictures: {place} ({reason}){more}"


def why_away(unread: Mapping[int, SkippedFile]) -> dict[int, tuple[bytes, str]]:
    """Why images are away whose files are listed, and cannot be read or used.

    Args:
        unread: Image id -> its file.

    Returns:
        Image id -> place and reason: the file, or its folder where several say the same.
    """
    reasons = {image_id: _reason(file) for image_id, file in unread.items()}
    alike = Counter((place_of(unread[i].facts.path), reason) for i, reason in reasons.items())
    why = {}
    for image_id, reason in reasons.items():
        path = unread[image_id].facts.path
        place = place_of(path)
        several = f"has files that {reason}".replace("that is a link", "that are links")
        why[image_id] = (place, several) if alike[place, reason] > 1 else (path, reason)
    return why


def _reason(file: SkippedFile) -> str:
    path = file.facts.path
    if not is_url(path) and os.path.islink(path) and not os.path.exists(path):
        return "is a link to what is not there"
    verb = "read" if file.code in PASSING else "used"
    return f"cannot be {verb}: {file.message.removeprefix('cannot read it: ')}"


def drop_skipped(catalog: Catalog, stale: Collection[bytes], places: Collection[bytes]) -> None:
    """Forgets skipped files that are no longer there or no longer skipped.

    Args:
        catalog: Of the library.
        stale: Their paths.
        places: See `sweep_dropped`.
    """
    if stale or catalog.count("dropped"):
        with catalog.transaction() as db:
            db.executemany("DELETE FROM skipped WHERE path = ?", [(path,) for path in stale])
            sweep_dropped(db, places)
