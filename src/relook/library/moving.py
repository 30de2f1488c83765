"""Giving pictures that have moved their new paths, without reading them. Layer: library.

One transaction rewrites every path below the old place: of images, roots, archives and skipped
files. A library that was moved together with its pictures does this by itself when it is opened:
a disk that mounts elsewhere, or a folder that holds both, needs no command.
"""

import logging
import os
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

from relook.core.converter import JsonValue
from relook.core.errors import (
    ImageError,
    InputError,
    LibraryBusyError,
    NotFoundError,
    StorageError,
    counted,
)
from relook.core.json_form import PATH
from relook.core.picture_paths import (
    displaced_path,
    inside,
    is_below,
    is_url,
    original_path,
    printable,
    split_member,
    split_scene,
)
from relook.library.files import LibraryFiles
from relook.library.image_table import COLUMNS, column_values, read_columns
from relook.library.lock import WriterLock
from relook.library.records import FileFacts, set_words, words_of
from relook.library.tombstones import bury, rename_in_sessions
from relook.library.whereabouts import (
    NOWHERE,
    Identity,
    away_ids,
    device_of,
    identity_of,
    newest_place,
    place_of,
    put_place,
)

_LOG = logging.getLogger(__name__)
_SAMPLE = 50
_Image = tuple[int, bytes, int, int, bytes]  # id, path, size, time, content
_Move = tuple[_Image, FileFacts]


@dataclass(frozen=True, slots=True)
class MoveReport(JsonValue):
    """What a move changed.

    Args:
        n_moved: Images that have their new path.
        n_missing: Images whose file is not at the new place; they stay where they were.
        n_other: Images at whose new path another picture is; they stay, too.
        roots: What `relook index` goes over from now on.
    """

    n_moved: int
    n_missing: int
    n_other: int
    roots: Annotated[tuple[bytes, ...], PATH]


def move(files: LibraryFiles, old: bytes, new: bytes) -> MoveReport:
    """Records that a folder, an archive or a file is at another path. Writer's lock held.

    A file counts as there when size and time are as they were, or else its content. One file
    that is named by itself counts as there in any case: it was edited after it was moved.

    Args:
        files: The open library.
        old: Where it was, as the catalog keeps it.
        new: Where it is.

    Raises:
        NotFoundError: `no_image` when nothing is indexed at the old place; `no_path` when none of
            its pictures is at the new one.
        InputError: `bad_move` for addresses, for a place that is the same, and for a picture that
            is still at the old place while another one is at the new.
    """
    if is_url(old) or is_url(new) or old == new:
        raise InputError(
            "bad_move",
            f"cannot move {printable(old)} to {printable(new)}",
            "name two different places of this machine; what is in a remote store is known"
            " by its content: relook index NEW",
        )
    if files.shared is not None:
        files.shared.take_in(now=True)
    images = _images(files, old)
    if not images:
        raise NotFoundError(
            "no_image",
            f"no image is indexed at {printable(old)}",
            "relook info shows what is indexed",
        )
    moves, n_missing, n_other, is_edited = [], 0, 0, False
    is_one = len(images) == 1 and original_path(images[0][1]) == old and files.shared is None
    for image in images:
        facts = _facts_there(image, _target(original_path(image[1]), old, new))
        if isinstance(facts, FileFacts):
            moves.append((image, facts))
        elif facts and is_one:
            _check_left(image, old, new)
            is_edited = True
            moves.append((image, FileFacts(new, *image[2:4])))  # which the next run finds changed
        else:
            n_other += facts
            n_missing += not facts
    if not moves:
        pictures = counted(len(images), "picture")
        raise NotFoundError(
            "no_path",
            f"none of the {pictures} of {printable(old)} is at {printable(new)}",
            "name the place that has taken the old one's place; or index it: relook index NEW",
        )
    with files.catalog.transaction() as db:
        if not (is_edited and _become(db, moves[0][0], new)):
            _relabel(files, db, moves)
        _relabel_rest(db, old, new, keep=bool(n_missing or n_other))
        files.catalog.bump(db)
    files.backup.follow()
    return MoveReport(len(moves), n_missing, n_other, tuple(files.catalog.roots()))


def _check_left(image: _Image, old: bytes, new: bytes) -> None:
    """Refuses another picture as an image's edited file while the image's own is where it was."""
    if isinstance(_facts_there(image, old), FileFacts):
        raise InputError(
            "bad_move",
            f"{printable(old)} is still there, and {printable(new)} is another picture",
            "move the file first; to index both, run relook index",
        )


def follow_library(files: LibraryFiles) -> None:
    """Lets a library that was moved together with its pictures find them.

    Roots that were beside the library, or around it, are looked for at the same place as
    seen from where it is now. Nothing is done while another process writes, for a library that
    may only be read, and where the pictures are not there.
    """
    now = os.fsencode(os.path.abspath(files.folder))
    if not files.catalog.writable or files.shared is not None:
        return
    row = files.catalog.ask("SELECT path FROM home")
    if row and (row[0][0] == now or _is_same_folder(row[0][0], now)):  # type: ignore[arg-type]
        return
    try:
        with WriterLock(files.folder), files.catalog.transaction() as db:
            if row:
                _follow(files, db, row[0][0], now)  # type: ignore[arg-type]
            db.execute("DELETE FROM home")
            db.execute("INSERT INTO home VALUES (?)", (now,))
    except (LibraryBusyError, StorageError) as error:
        _LOG.info("the library does not look for pictures beside it: %s", error)


def _follow(files: LibraryFiles, db: sqlite3.Connection, before: bytes, now: bytes) -> None:
    around, away = os.path.dirname(before), set(away_ids(db).tolist())
    for root in files.catalog.roots():
        beside = not is_url(root) and (is_below(before, root) or is_below(root, around))
        if not beside or around == b"/":
            continue
        new = os.path.normpath(os.path.join(now, os.path.relpath(root, before)))
        if new == root or not _same_disk(new, now):
            continue
        images = _images(files, root)
        here = [image for image in images if image[0] not in away]
        if not _are_there(here or images, root, new):
            continue
        _LOG.info("%s is %s now, beside the library", printable(root), printable(new))
        moves = []
        for image in images:
            target = _target(image[1], root, new)  # the path of a displaced one is no file's
            outcome = _facts_there(image, target)
            moved = outcome if isinstance(outcome, FileFacts) else FileFacts(target, *image[2:4])
            moves.append((image, moved))
        reasons = db.execute("SELECT * FROM whereabouts WHERE absence_id IS NOT NULL").fetchall()
        _relabel(files, db, moves)
        db.executemany("INSERT OR REPLACE INTO whereabouts VALUES (?, ?, ?)", reasons)
        _relabel_rest(db, root, new, keep=False)
        files.catalog.bump(db)


def _is_same_folder(before: bytes, now: bytes) -> bool:
    """Whether a folder is only named in another way: through a link, or at a second mount."""
    try:
        return os.path.samefile(before, now)
    except OSError:
        return False


def _same_disk(place: bytes, library: bytes) -> bool:
    try:
        return os.stat(place).st_dev == os.stat(library).st_dev
    except OSError:
        return False


def _are_there(images: Sequence[_Image], old: bytes, new: bytes) -> bool:
    """Whether at least half of some of the images are at a new place."""
    some = images[:: max(len(images) // _SAMPLE, 1)]
    there = [
        _facts_there(image, _target(original_path(image[1]), old, new), hashing=False)
        for image in some
    ]
    return 2 * sum(isinstance(facts, FileFacts) for facts in there) > len(some)


def _images(files: LibraryFiles, root: bytes) -> list[_Image]:
    below = inside(root)
    sql = (
        "SELECT image_id, path, size_bytes, mtime_ns, content FROM images WHERE path = ?1"
        " OR substr(path, 1, length(?2)) = ?2 OR substr(path, 1, length(?3)) = ?3 ORDER BY path"
    )
    return files.catalog.ask(sql, (root, below[0], below[-1]))  # type: ignore[return-value]


def _target(path: bytes, old: bytes, new: bytes) -> bytes:
    return new + path[len(old) :] if old != b"/" else os.path.join(new, path[1:])


def _facts_there(image: _Image, target: bytes, *, hashing: bool = True) -> FileFacts | bool:
    """The facts of an image's file at another path; else whether another picture is there."""
    from relook.core.images import content_of  # Pillow, which a search does without
    from relook.core.sources import archive_at, read_bytes, scene_content

    _, _, size_bytes, mtime_ns, content = image
    member = split_member(target)
    try:
        if split_scene(target) is not None:
            assert member is not None
            facts = FileFacts.of(member[0], os.stat(member[0]))
            facts = FileFacts(target, facts.size_bytes, facts.mtime_ns)
        elif member is not None:
            archive, name = member
            picture = archive_at(archive).pictures.get(name)
            if picture is None:
                return False
            time_ns = os.stat(archive).st_mtime_ns if picture.stamp is None else picture.stamp
            facts = FileFacts(target, picture.size_bytes, time_ns)
        else:
            facts = FileFacts.of(target, os.stat(target))
        if facts.size_bytes == size_bytes and (facts.mtime_ns == mtime_ns or not hashing):
            return facts
        if facts.size_bytes != size_bytes:
            return True
        same = (scene_content(target) or content_of(target, read_bytes(target))) == content
        return facts if same else True
    except (OSError, ImageError):
        return False


def _relabel(files: LibraryFiles, db: sqlite3.Connection, moves: Sequence[_Move]) -> None:
    """Gives images their new paths, and moves images that have these aside. In a transaction."""
    ours, copies = {image[0] for image, _ in moves}, {}
    for image, facts in moves:
        row = db.execute(
            "SELECT image_id, content FROM images WHERE path = ?", (facts.path,)
        ).fetchone()
        if row and row[0] != image[0]:
            aside = displaced_path(facts.path, row[0])
            db.execute("UPDATE images SET path = ? WHERE image_id = ?", (aside, row[0]))
            if row[1] == image[4] and row[0] not in ours:
                copies[row[0]] = image[0]
        sql = "UPDATE images SET path = ?, size_bytes = ?, mtime_ns = ? WHERE image_id = ?"
        db.execute(sql, (facts.path, facts.size_bytes, facts.mtime_ns, image[0]))
    _merge(db, copies, every=files.shared is not None)
    identify, newest = _identify(), newest_place(db)
    for image, facts in moves:
        place = place_of(facts.path)
        put_place(db, image[0], place, identify(place), newest)


def _identify() -> Callable[[bytes], Identity]:
    """Identities of folders; each folder is looked at once."""
    known: dict[bytes, Identity] = {}

    def identity(place: bytes) -> Identity:
        if place not in known:
            try:
                facts = os.stat(place)
                is_folder = os.path.isdir(place)
                identity = identity_of(device_of(place, facts), facts) if is_folder else NOWHERE
            except OSError:
                identity = NOWHERE
            known[place] = identity
        return known[place]

    return identity


def _become(db: sqlite3.Connection, image: _Image, path: bytes) -> bool:
    """Makes an image that which was indexed at a path with another content: its edited file.

    Returns:
        Whether there was one.
    """
    sql = f"SELECT image_id, {COLUMNS} FROM images WHERE path = ? AND content <> ?"
    row = db.execute(sql, (path, image[4])).fetchone()
    if row is None:
        return False
    edited = read_columns(row)
    [before] = db.execute(
        f"SELECT image_id, {COLUMNS} FROM images WHERE image_id = ?", (image[0],)
    ).fetchall()
    record = set_words(edited, words_of(edited).over(words_of(read_columns(before))))
    if record.n_tiles == 0:
        record = replace(record, first_row=-image[0])
    rename_in_sessions(db, {edited.image_id: image[0]})
    for table in ("images", "whereabouts"):
        db.execute(f"DELETE FROM {table} WHERE image_id = ?", (edited.image_id,))
    sets = ", ".join(f"{name.strip()} = ?" for name in COLUMNS.split(","))
    values = (*column_values(record), image[0])
    db.execute(f"UPDATE images SET {sets} WHERE image_id = ?", values)
    place = place_of(path)
    put_place(db, image[0], place, _identify()(place), newest_place(db))
    return True


def _merge(db: sqlite3.Connection, copies: Mapping[int, int], *, every: bool) -> None:
    """Merges images that were indexed as copies into those that have moved there.

    Args:
        db: Of the transaction.
        copies: Id of a copy -> id of the image that it is.
        every: See `bury`.
    """
    rename_in_sessions(db, copies)
    db.executemany(
        "UPDATE images SET title = CASE images.title WHEN '' THEN copy.title ELSE images.title END,"
        " caption = CASE images.caption WHEN '' THEN copy.caption ELSE images.caption END,"
        " metadata = json_patch(copy.metadata, images.metadata)"
        " FROM images AS copy WHERE copy.image_id = ? AND images.image_id = ?",
        copies.items(),
    )
    bury(db, copies.keys(), words=False, every=every)


def _relabel_rest(db: sqlite3.Connection, old: bytes, new: bytes, *, keep: bool) -> None:
    """Moves what else is kept by its path below the old place. Inside a transaction."""
    for table in ("archives", "skipped", "roots", "dropped", "tombstones"):
        paths = [row[0] for row in db.execute(f"SELECT DISTINCT path FROM {table}").fetchall()]
        for path in paths:
            if is_below(path, old):
                row = (_target(path, old, new), path)
                db.execute(f"UPDATE OR REPLACE {table} SET path = ? WHERE path = ?", row)
    if keep:
        db.execute("INSERT OR IGNORE INTO roots VALUES (?)", (old,))
    roots = [row[0] for row in db.execute("SELECT path FROM roots").fetchall()]
    if not any(is_below(new, root) for root in roots):
        db.execute("INSERT INTO roots VALUES (?)", (new,))
