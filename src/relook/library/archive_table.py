"""What the catalog keeps of archives and videos, so that one that is unchanged is not opened.

Scenes are kept by the digest of their video: one that is moved, copied or touched is not looked
through again, nor one whose scenes were found by a run that was stopped. Layer: library.
"""

import json
from collections.abc import Mapping

import numpy as np

from relook.core.picture_paths import member_path
from relook.core.settings import ImageLimits
from relook.core.vectors import Ints
from relook.core.videos import Scenes, Video, scenes_of
from relook.library.catalog import Catalog
from relook.library.records import FileFacts


def known_scenes(catalog: Catalog, video: Video, limits: ImageLimits) -> Scenes:
    """The scenes of a video, from the catalog where it was looked through with the same limit.

    Raises:
        ImageError: a reason why it cannot be used.
        StorageError: when the disk refuses.
    """
    sql = "SELECT times_s, duration_s FROM videos WHERE digest = ? AND n_most = ?"
    rows = catalog.ask(sql, (video.digest, limits.video_scenes))
    if rows:
        times, duration_s = rows[0]
        return Scenes(tuple(json.loads(str(times))), float(str(duration_s)))
    scenes = scenes_of(video, limits)
    row = (video.digest, limits.video_scenes, scenes.duration_s, json.dumps(scenes.times_s))
    with catalog.transaction() as db:
        db.execute("INSERT OR REPLACE INTO videos VALUES (?, ?, ?, ?)", row)
    return scenes


def is_unchanged(catalog: Catalog, facts: FileFacts) -> bool:
    """Whether the library has everything of this archive, as it is now."""
    sql = "SELECT size_bytes, mtime_ns, n_members FROM archives WHERE path = ?"
    kept = catalog.ask(sql, (facts.path,))
    return bool(kept) and kept[0] == (facts.size_bytes, facts.mtime_ns, _n(catalog, facts.path))


def images_inside(catalog: Catalog, archive: bytes) -> Ints:
    """[n] int64: ids of the images that are members of an archive."""
    rows = catalog.ask(_inside("SELECT image_id FROM images"), _range(archive))
    return np.array(rows, np.int64).reshape(-1)


def skipped_inside(catalog: Catalog, archive: bytes) -> list[bytes]:
    """Paths of an archive's members that could not be used."""
    rows = catalog.ask(_inside("SELECT path FROM skipped"), _range(archive))
    return [row[0] for row in rows]  # type: ignore[misc]


def remember_archives(catalog: Catalog, listed: Mapping[bytes, FileFacts]) -> None:
    """Records that the library has every member of some archives.

    Raises:
        StorageError: when the disk refuses.
    """
    rows = [
        (path, facts.size_bytes, facts.mtime_ns, _n(catalog, path))
        for path, facts in listed.items()
    ]
    if rows:
        with catalog.transaction() as db:
            db.executemany("INSERT OR REPLACE INTO archives VALUES (?, ?, ?, ?)", rows)


def _n(catalog: Catalog, archive: bytes) -> int:
    """How many members are images or could not be used."""
    counts = [
        catalog.ask(_inside(f"SELECT count(*) FROM {table}"), _range(archive))[0][0]
        for table in ("images", "skipped")
    ]
    return sum(int(str(n)) for n in counts)


def _inside(select: str) -> str:
    return f"{select} WHERE path >= ? AND path < ?"


def _range(archive: bytes) -> tuple[bytes, bytes]:
    first = member_path(archive, b"")
    return first, first[:-1] + bytes([first[-1] + 1])
