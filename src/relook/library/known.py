"""What a library knows of files before it reads them again. Layer: library.

The files and contents of its images are in memory for one run: 46 bytes an image. Paths and
contents are kept as 64-bit hashes; those of paths have a key that every process draws anew. As
hashes may collide, an image is changed only after a query by its whole path or digest.

Of archives and videos the catalog keeps so much that one that is unchanged is not opened. Scenes
are kept by the digest of their video: one that is moved, copied or touched is not looked through
again, nor one whose scenes were found by a run that was stopped.
"""

import json
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from relook.core.picture_paths import member_path
from relook.core.settings import ImageLimits
from relook.core.vectors import Ints
from relook.core.videos import Scenes, Video, scenes_of
from relook.library.catalog import Catalog
from relook.library.image_table import UNENCODED
from relook.library.records import FileFacts
from relook.stores.base import Mask

_PAGE = 10_000
_RECENT = 65_536
_NO_SIZE = -1  # bytes that no file has


class KnownFiles:
    """The files that images were made of, by path, and which of them a listing has met.

    Args:
        rows: [n, 4] int64: number of the path, image id, size, time.
        places: [m, 2] int64: image id, and the place its file was seen in; 0 for none.
        away: [k] int64: ids of images that are away.
    """

    def __init__(self, rows: Ints, places: Ints | None = None, away: Ints | None = None) -> None:
        rows = rows[np.argsort(rows[:, 0], kind="stable")]
        self._keys = np.ascontiguousarray(rows[:, 0])
        self._ids = np.ascontiguousarray(rows[:, 1])
        self._facts = np.ascontiguousarray(rows[:, 2:])
        # By image id, so that an archive's images are met at once.
        n_ids = int(self._ids.max(initial=0)) + 1
        self._met, self._same = np.zeros(n_ids, bool), np.zeros(n_ids, bool)
        self._places = np.zeros(n_ids, np.int32)
        if places is not None:
            placed = places[places[:, 0] < n_ids]
            self._places[placed[:, 0]] = placed[:, 1]
        self.away = np.zeros(0, np.int64) if away is None else away

    def __len__(self) -> int:
        return len(self._keys)

    def compare(self, files: Sequence[FileFacts]) -> tuple[Mask, Ints]:
        """Compares listed files with the library's, and marks them as met.

        Returns:
            [n] whether each is an image's unchanged file, and [n] the image's id or 0.
        """
        keys = np.fromiter((hash(file.path) for file in files), np.int64, len(files))
        at, known = self._find(keys)
        if not known.any():
            return known, np.zeros(len(files), np.int64)
        now = np.array([(file.size_bytes, file.mtime_ns) for file in files], np.int64)
        self._met[self._ids[at[known]]] = True
        same = known & (self._facts[at] == now).all(axis=1)
        self._same[self._ids[at[same]]] = True
        return same, np.where(known, self._ids[at], 0)

    def meet(self, image_ids: Ints) -> None:
        """Marks the files of some images as met and unchanged, without looking at each."""
        self._met[image_ids] = self._same[image_ids] = True

    def is_same(self, image_id: int) -> bool:
        """Whether a listing has met the file of an image, unchanged."""
        return image_id < len(self._same) and bool(self._same[image_id])

    def is_met(self, image_id: int) -> bool:
        """Whether a listing has met the file of an image."""
        return image_id < len(self._met) and bool(self._met[image_id])

    def same_of(self, image_ids: Ints) -> Ints:
        """Those of the given images whose file a listing has met unchanged."""
        known = image_ids[image_ids < len(self._same)]
        return known[self._same[known]]

    @property
    def newest_image(self) -> int:
        """The highest id of an image; 0 for none."""
        return int(self._ids.max(initial=0))

    @property
    def newest_place(self) -> int:
        """The highest id of a place where one of the files was seen."""
        return int(self._places.max(initial=0))

    def sighted(self, also: Ints, but: Ints) -> tuple[Ints, Ints]:
        """Ids of the images whose file a run has seen in its place, and of the others.

        Args:
            also: Ids of images that count as seen, whatever the listing says.
            but: Ids of images that do not.
        """
        seen = self._same.copy()
        seen[also[also < len(seen)]] = True
        seen[but[but < len(seen)]] = False
        mask = seen[self._ids]
        return self._ids[mask], self._ids[~mask]

    def places_of(self, image_ids: Ints) -> Ints:
        """[n] the place where the file of each image was seen last; 0 where it is not known."""
        places = np.zeros(len(image_ids), np.int64)
        known = image_ids < len(self._places)
        places[known] = self._places[image_ids[known]]
        return places

    def has(self, path: bytes) -> bool:
        """Whether an image may have this path."""
        return bool(self._find(np.array([hash(path)], np.int64))[1][0])

    def not_met(self) -> Ints:
        """Ids of the images whose file no listing has met."""
        return self._ids[~self._met[self._ids]]

    def _find(self, keys: Ints) -> tuple[Ints, Mask]:
        if not len(self._keys):
            return np.zeros(len(keys), np.int64), np.zeros(len(keys), bool)
        at = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return at, self._keys[at] == keys


class Contents:
    """Contents that are in the library or about to be; for any number of threads.

    Args:
        keys: [n] int64, as `key` makes them.
    """

    def __init__(self, keys: Ints) -> None:
        self._keys = np.sort(keys)
        self._recent: set[int] = set()
        self._lock = threading.Lock()

    @staticmethod
    def key(content: bytes) -> int:
        """The number that stands for a digest."""
        return int.from_bytes(content[:8], "little", signed=True)

    def claim(self, content: bytes) -> bool:
        """Claims a content; False when the library has it or another thread has claimed it."""
        key = self.key(content)
        with self._lock:
            at = int(np.searchsorted(self._keys, key))
            if key in self._recent or (at < len(self._keys) and self._keys[at] == key):
                return False
            self._recent.add(key)
            if len(self._recent) >= _RECENT:
                new = np.fromiter(self._recent, np.int64, len(self._recent))
                self._keys = np.sort(np.concatenate([self._keys, new]))
                self._recent = set()
        return True

    def release(self, content: bytes) -> None:
        """Takes a claim back, for a file that turned out to be no picture."""
        with self._lock:
            self._recent.discard(self.key(content))


def load_known(catalog: Catalog) -> tuple[KnownFiles, Contents]:
    """Files and contents of a library's images, read a few thousand at a time.

    A file whose image has no vectors is one that changed, so that it is read again.
    """
    files = np.zeros((catalog.count("images"), 4), np.int64)
    contents = np.zeros(len(files), np.int64)
    n, last = 0, 0
    sql = (
        f"SELECT image_id, path, CASE WHEN {UNENCODED} THEN {_NO_SIZE} ELSE size_bytes END,"
        " mtime_ns, content FROM images"
        " WHERE image_id > ? ORDER BY image_id LIMIT ?"
    )
    while rows := catalog.ask(sql, (last, _PAGE)):
        several = [(hash(path), image_id, *facts) for image_id, path, *facts, _ in rows]
        files[n : n + len(rows)] = np.array(several, np.int64)
        contents[n : n + len(rows)] = [Contents.key(row[4]) for row in rows]  # type: ignore[arg-type]
        n, last = n + len(rows), several[-1][1]  # type: ignore[assignment]
    files, contents = files[:n], contents[:n]
    encoded = contents[files[:, 2] != _NO_SIZE]
    return KnownFiles(files, _places(catalog), _away(catalog)), Contents(encoded)


def _places(catalog: Catalog) -> Ints:
    """[n, 2] int64: image id, place."""
    sql = (
        "SELECT image_id, place_id FROM whereabouts"
        " WHERE image_id > ? AND place_id IS NOT NULL ORDER BY image_id LIMIT ?"
    )
    parts, last = [np.zeros((0, 2), np.int64)], 0
    while rows := catalog.ask(sql, (last, _PAGE)):
        parts.append(np.array(rows, np.int64))
        last = int(parts[-1][-1, 0])
    return np.concatenate(parts)


def _away(catalog: Catalog) -> Ints:
    rows = catalog.ask("SELECT image_id FROM whereabouts WHERE absence_id IS NOT NULL")
    return np.array(rows, np.int64).reshape(-1)


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
