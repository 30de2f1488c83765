"""Which images are away, deleted or back, once a run has listed and read everything.

A file is taken for deleted only where its folder is there, can be listed, is on the file system
where it was, and still shows one of the pictures that were seen in it together with the
file. What came later proves nothing, however often it is seen. Everything else looks the same
as a disk that is not plugged in: the image is away. It keeps its id, its words and its marks,
and comes back by itself. Layer: library.
"""

import os
import sqlite3
import stat
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from relook.core.picture_paths import is_below, is_url, original_path, split_member, split_scene
from relook.core.vectors import Ints
from relook.library.catalog import Catalog
from relook.library.homes import Homes
from relook.library.known import KnownFiles
from relook.library.report import IndexReport
from relook.library.survey import Survey
from relook.library.tombstones import bury, sweep_tombstones
from relook.library.whereabouts import (
    NOWHERE,
    Identity,
    join_places,
    mark_away,
    mark_back,
    newest_place,
    place_of,
    put_place,
)

_CLOSED = "closed"
_NOT_THERE = "is not there"
_AT_ONCE = 500


@dataclass(slots=True)
class Outcome:
    """The images whose file a listing has not met, sorted into deleted and away.

    Args:
        gone: Ids of deleted ones.
        away: Id, place and reason of each that is away.
    """

    gone: list[int] = field(default_factory=list)
    away: list[tuple[int, bytes, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Folder:
    """A folder or archive with missing files: why they are away, or that it is unchanged."""

    place: bytes
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Gathering:
    """Pictures that were seen in one folder together.

    Args:
        target: The row of `places` that they get.
        rows: Rows out of which those come that were seen.
        came: Rows of what came in this run, which come whole.
    """

    target: int
    rows: set[int]
    came: set[int]


class Missing:
    """Decides about the images that one run has not met.

    Args:
        catalog: Of the library.
        survey: What was met; its listing is over.
        homes: What was found by reading.
    """

    def __init__(self, catalog: Catalog, survey: Survey, homes: Homes) -> None:
        self._catalog, self._survey, self._homes = catalog, survey, homes
        self._scan, self._known = survey.scan, survey.known
        self._folders: dict[bytes, _Folder] = {}
        self._identities = places_of(catalog)

    def sort(self, images: Iterable[tuple[int, bytes]]) -> Outcome:
        """Sorts images into deleted and away.

        Args:
            images: Id and path of the images that were not met; those that no root covers,
                and those whose file is there though it is not listed, stay as they are.
        """
        outcome = Outcome()
        for image_id, path in images:
            if not self._scan.is_below_root(original_path(path)):
                continue
            left_out = self._scan.left_out.covers(original_path(path))
            verdict = _Folder(path) if left_out else self._verdict(image_id, path)
            if verdict is None:
                continue
            if verdict.reason:
                outcome.away.append((image_id, verdict.place, verdict.reason))
            else:
                outcome.gone.append(image_id)
        return outcome

    def write(
        self, outcome: Outcome, back: list[int], unread: Collection[int], *, every: bool
    ) -> None:
        """Writes the outcome to the catalog, all or nothing.

        Args:
            outcome: As `sort` gives it, and the images in `unread`.
            back: Ids of images that were away and are not any more.
            unread: Ids of those that are away because their file, which is there, cannot be used.
            every: See `bury`.
        """
        unplaced = [(place, self._identity(place), ids) for place, ids in self._survey.unplaced]
        seen, lacking = self._sighted(outcome, list(filter(self._is_in_place, unread)))
        gatherings = self._gatherings(seen, lacking)
        changed = self._changed_places(lacking)
        changes = outcome.gone or outcome.away or back or gatherings
        if not (changes or unplaced or changed or self._catalog.count("tombstones")):
            return
        with self._catalog.transaction() as db:
            bury(db, outcome.gone, words=True, every=every)
            mark_away(db, outcome.away, time.time())
            mark_back(db, back)
            newest = newest_place(db)
            for place, identity, ids in unplaced:
                for image_id in ids.tolist():
                    put_place(db, image_id, place, identity, newest)
            self._gather(db, gatherings, seen)
            sql = "UPDATE places SET device = ?, inode = ? WHERE place_id = ?"
            db.executemany(sql, changed)
            sweep_tombstones(db)
            if changes:
                db.execute(
                    "DELETE FROM places WHERE place_id NOT IN"
                    " (SELECT place_id FROM whereabouts WHERE place_id IS NOT NULL)"
                )
                self._catalog.bump(db)

    def _identity(self, place: bytes) -> Identity:
        return self._scan.identities.get(place, NOWHERE)

    def _is_in_place(self, image_id: int) -> bool:
        """Whether the folder that an image was seen in is the one that is there now."""
        [group] = self._known.places_of(np.array([image_id], np.int64)).tolist()
        place, before = self._identities.get(group, (b"", NOWHERE))
        return bool(place) and before == self._identity(place)

    def _sighted(self, outcome: Outcome, listed: list[int]) -> tuple[Ints, set[int]]:
        """Ids of the images that were seen, and the places of which one was not.

        Args:
            outcome: Of the run.
            listed: Ids of images whose file counts as seen though it cannot be used.
        """
        lost = np.array([image_id for image_id, *_ in outcome.away], np.int64)
        lost = np.setdiff1d(np.union1d(lost, self._homes.displaced()), listed)
        also = np.union1d(self._homes.settled(), np.array(listed, np.int64))
        seen, unseen = self._known.sighted(also, lost)
        unseen = np.setdiff1d(unseen, np.array(outcome.gone, np.int64))
        return seen, set(np.unique(self._known.places_of(unseen)).tolist())

    def _changed_places(self, lacking: set[int]) -> list[tuple[int, int, int]]:
        """Unchanged places that have other numbers now: (device, inode, id)."""
        return [
            (*self._scan.identities[place], group)
            for place, groups in self._survey.steady.items()
            if place in self._scan.identities
            for group in groups - lacking
            if group in self._identities
            and self._identities[group] != (place, self._scan.identities[place])
            and self._identities[group][0] == place
        ]

    def _gatherings(self, seen: Ints, lacking: set[int]) -> list[_Gathering]:
        """Folders whose pictures do not have one row of `places`, as far as nothing is missing."""
        sizes = np.bincount(
            self._known.places_of(seen), minlength=max(self._identities, default=0) + 1
        )
        newest = self._known.newest_place
        made = {path: row for row, (path, _) in self._identities.items() if row > newest}
        gatherings = []
        for place, groups in self._survey.steady.items():
            own = groups - lacking
            rows = {row for row in own if self._identities.get(row, (b"",))[0] == place}
            came = {made[place]} if place in made else set[int]()
            if rows and len(rows | came) > 1:
                target = max(rows, key=lambda row: (int(sizes[row]), -row))
                gatherings.append(_Gathering(target, rows - {target}, came))
        return gatherings

    def _gather(self, db: sqlite3.Connection, gatherings: list[_Gathering], seen: Ints) -> None:
        """Gives the pictures that were seen in one folder one row of `places`."""
        target: dict[int, int] = {}
        came: dict[int, int] = {}
        for gathering in gatherings:
            target |= dict.fromkeys(gathering.rows, gathering.target)
            came |= dict.fromkeys(gathering.came, gathering.target)
        before = self._known.places_of(seen)
        moved = np.isin(before, list(target))
        images = zip(seen[moved].tolist(), before[moved].tolist(), strict=True)
        join_places(db, ((target[row], image_id, row) for image_id, row in images), came)

    def _verdict(self, image_id: int, path: bytes) -> _Folder | None:
        """Why an image is away; no reason when it was deleted; None when its file is there."""
        at = original_path(path)
        place = place_of(at)
        scene = split_scene(at)
        file = at if scene is None else scene[0]
        if not is_url(at):
            if at == path and place == os.path.dirname(at):
                seen = _seen(file)
                if scene is not None and seen is None:
                    seen = self._in_video(file)
                if seen is None or seen.reason:
                    return seen
            if file in self._scan.roots and not os.path.lexists(file):
                return _Folder(file, _NOT_THERE)
        elif os.path.basename(at).startswith(b"."):
            return None
        if place not in self._folders:
            self._folders[place] = self._look(place)
        folder = self._folders[place]
        if folder.reason:
            return None if folder.reason == _CLOSED else folder
        if at == path and scene is None and split_member(at) and self._is_inside(at):
            return None
        return self._in_folder(image_id, place)

    def _in_video(self, video: bytes) -> _Folder | None:
        """Why a scene cannot be reached whose video is there; no reason when it shows others."""
        if video in self._scan.unlisted:
            return self._unlisted(video)
        return _Folder(video) if video in self._survey.looked_into else None

    def _in_folder(self, image_id: int, place: bytes) -> _Folder:
        """The verdict on a file that is missing from a folder that can be listed."""
        [group] = self._known.places_of(np.array([image_id], np.int64)).tolist()
        before = self._identities.get(group, (place, NOWHERE))[1]
        if before != NOWHERE and self._now(place)[0] != before[0]:
            return _Folder(place, "is on another disk now")
        if self._homes.is_another(place, before, group):
            return _Folder(place, "has other pictures now")
        if group in self._survey.steady.get(place, ()):
            return _Folder(place)
        full = place in self._scan.identities or place in self._survey.looked_into
        return _Folder(place, "has other pictures now" if full else "has no pictures now")

    def _now(self, place: bytes) -> Identity:
        identity = self._scan.identities.get(place)
        return identity or self._scan.identity(place)

    def _look(self, place: bytes) -> _Folder:
        """The state of a folder or an archive."""
        above = self._scan.unlisted_above(place)
        if above in self._scan.closed:
            return _Folder(place, _CLOSED)
        if is_url(place):
            return self._unlisted(above) if above else _Folder(place)
        try:
            os.stat(place)
        except OSError as error:
            return _unreachable(place, error, self._scan.roots)
        except ValueError:  # a damaged catalog: no file can be called so
            return _Folder(place)
        return self._unlisted(above) if above else _Folder(place)

    def _unlisted(self, folder: bytes) -> _Folder:
        return _Folder(folder, f"cannot be read: {self._scan.unlisted[folder]}")

    def _is_inside(self, path: bytes) -> bool:
        """Whether a member is in its archive though this run has not listed it."""
        return place_of(path) not in self._survey.looked_into


def _seen(path: bytes) -> _Folder | None:
    """Why a file cannot be reached; None when it is there; no reason where its folder decides."""
    try:
        if stat.S_ISDIR(os.stat(path).st_mode):  # of that name
            return _Folder(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):  # or no file can be called so
        if os.path.islink(path):
            return _Folder(path, "is a link to what is not there")
        return _Folder(path)
    except OSError as error:
        return _Folder(os.path.dirname(path), f"cannot be reached: {error.strerror}")
    return None


def _unreachable(place: bytes, error: OSError, roots: list[bytes]) -> _Folder:
    """The topmost folder that cannot be reached, so that a disk is named once."""
    if not isinstance(error, FileNotFoundError | NotADirectoryError):
        return _Folder(place, f"cannot be reached: {error.strerror}")
    within = [root for root in roots if is_below(place, root)]
    while True:
        if os.path.islink(place):
            return _Folder(place, "is a link to what is not there")
        above = os.path.dirname(place)
        if above == place or place in within or os.path.lexists(place):
            return _Folder(place, _NOT_THERE)
        if os.path.isdir(above):
            return (
                _Folder(above, "is empty now") if _is_empty(above) else _Folder(place, _NOT_THERE)
            )
        place = above


def _is_empty(folder: bytes) -> bool:
    try:
        with os.scandir(folder) as entries:
            return next(entries, None) is None
    except OSError:
        return False


def places_of(catalog: Catalog) -> dict[int, tuple[bytes, Identity]]:
    """The places that the catalog knows: path and identity of each."""
    rows = catalog.ask("SELECT place_id, path, device, inode FROM places")
    return {row[0]: (row[1], (row[2], row[3])) for row in rows}  # type: ignore[misc]


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
    missing.write(outcome, back, unread, every=every)
    report.n_back, report.n_left = len(back), len(away - before)
    report.n_removed += len(outcome.gone)


def _not_met(catalog: Catalog, known: KnownFiles, homes: Homes) -> Iterator[tuple[int, bytes]]:
    """Id and path of the images whose file the run has not found."""
    missing = np.union1d(known.not_met(), homes.displaced())
    for at in range(0, len(missing), _AT_ONCE):
        for image in catalog.images(missing[at : at + _AT_ONCE].tolist(), missing_ok=True):
            if not homes.is_settled(image.image_id):
                yield image.image_id, image.facts.path
