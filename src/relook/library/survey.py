"""Finding out what there is to do, in a thread of its own. Layer: library.

Lists the roots, looks into archives, and compares each file with what the library knows. It
runs ahead of the reading as far as it likes: a file that waits takes about 30 bytes, so the
end of a long run is soon known. An archive that was listed whole and has not changed costs one
`stat`.
"""

from __future__ import annotations

import collections
import os
import threading
import zlib
from collections.abc import Container, Iterator, Sequence

import numpy as np

from relook.core.archives import Archive
from relook.core.decoders import NO_DECODER, is_now_read
from relook.core.errors import ImageError
from relook.core.picture_paths import has_rival, is_archive, is_below, is_video, member_path
from relook.core.settings import ImageLimits, IndexSettings
from relook.core.sources import archive_at
from relook.core.vectors import Ints
from relook.core.videos import as_archive, is_live, still_beside, video_at
from relook.library.catalog import Catalog
from relook.library.commit import PASSING
from relook.library.image_words import Sidecars
from relook.library.known import (
    KnownFiles,
    images_inside,
    is_unchanged,
    known_scenes,
    skipped_inside,
)
from relook.library.left_out import LIVE, Rules, missed_member
from relook.library.records import FileFacts, SkippedFile, with_words
from relook.library.report import Clock
from relook.library.scan import Scan

_CHUNK = 256
_RIVAL = "ambiguous_name"
_AT_ONCE = 1000
_PATIENCE_S = 10.0  # with a store that does not answer, when the run is stopped
_MOST_CHUNKS = 16_384  # 4 million files ahead, some 120 MB
_Packed = tuple[bytes, Ints]


class Survey:
    """Which files have to be read. Use it as a context manager.

    Args:
        scan: The roots.
        catalog: What the library has.
        known: The files of its images; the survey marks those that it meets.
        sidecars: Titles, captions and metadata from files beside the pictures.
        settings: How to index.
        limits: What a video may cost.

    Attributes:
        n_listed, n_todo, n_unchanged, n_metadata: Counts so far, of files.
        present: Paths of files that an earlier run skipped and this listing has met.
        mended: Those of `present` that now equal the file of an indexed image.
        unusable: Paths of files that an earlier run could not use, and that have not changed.
        steady: Folder or archive -> the places (see `whereabouts`) of which a file was met in it
            unchanged; 0 stands for images of which no place is known.
        n_changed: Folder or archive -> how many files of known images in it have changed, less how
            many have not.
        unplaced: Folder or archive, and ids of unchanged images of which no place was known.
        archives: Those listed whole, by path.
        looked_into: Archives whose members are known, as they are now.
    """

    def __init__(
        self,
        scan: Scan,
        catalog: Catalog,
        known: KnownFiles,
        sidecars: Sidecars,
        settings: IndexSettings,
        limits: ImageLimits | None = None,
    ) -> None:
        self.scan, self._catalog, self.known = scan, catalog, known
        self._sidecars, self._settings, self._limits = sidecars, settings, limits or ImageLimits()
        self._skipped = {file.facts.path: file for file in catalog.skipped()}
        self.n_listed = self.n_todo = self.n_unchanged = self.n_metadata = 0
        self.present: set[bytes] = set()
        self.mended: set[bytes] = set()
        self.unusable: set[bytes] = set()
        self.steady: dict[bytes, set[int]] = {}
        self.n_changed: collections.Counter[bytes] = collections.Counter()
        self.unplaced: list[tuple[bytes, Ints]] = []
        self.archives: dict[bytes, FileFacts] = {}
        self.looked_into: set[bytes] = set()
        self.listing = Clock("list")
        self._chunks: collections.deque[_Packed] = collections.deque()
        self._open: list[FileFacts] = []  # of the thread
        self._taken: Iterator[FileFacts] = iter(())
        self._skips: list[SkippedFile] = []
        self._changed = threading.Condition()
        self._over = self._stopped = False
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="relook-list", daemon=True)

    @property
    def is_over(self) -> bool:
        """Whether everything is listed, so that `n_todo` is the total."""
        return self._over

    @property
    def roots(self) -> list[bytes]:
        """The folders, files and addresses that are listed."""
        return self.scan.roots

    def archives_but(self, paths: Container[bytes]) -> dict[bytes, FileFacts]:
        """Those listed whole, without some."""
        return {path: facts for path, facts in self.archives.items() if path not in paths}

    def is_exhausted(self) -> bool:
        """Whether nothing more will come, once `next` has returned None.

        Raises:
            Whatever ended the listing.
        """
        with self._changed:
            if self._chunks or not self._over:
                return False
        if self._error is not None:
            raise self._error
        return True

    def next(self, wait_s: float) -> FileFacts | None:
        """The next file to read, or None when none has come within some seconds."""
        packed = next(self._taken, None)
        if packed is not None:
            return packed
        with self._changed:
            if not self._chunks and not self._over and wait_s > 0:
                self._changed.wait(wait_s)
            if not self._chunks:
                return None
            self._taken = _unpacked(self._chunks.popleft())
            self._changed.notify_all()
        return next(self._taken)

    def skips(self) -> list[SkippedFile]:
        """Members of archives that cannot be read, since the last call."""
        with self._changed:
            skips, self._skips = self._skips, []
        return skips

    def __enter__(self) -> Survey:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        self._thread.join(_PATIENCE_S)

    def _run(self) -> None:
        try:
            batches = iter(self.scan)
            while not self._stopped:
                with self.listing.work(0):
                    files = next(batches, None)
                if files is None:
                    break
                self._sort(files)
        except BaseException as error:  # the edge of a thread: raised where it is waited for
            self._error = error
        finally:
            self._hand_on(self._open)
            with self._changed:
                self._over = True
                self._changed.notify_all()

    def _sort(self, files: Sequence[FileFacts]) -> None:
        """Takes in some files that were listed."""
        plain = [file for file in files if not is_archive(file.path)]
        with self.listing.work(len(plain)):
            self._compare(plain)
        for file in files if len(plain) < len(files) else ():
            if is_archive(file.path) and not self._stopped:
                self._look_into(file)

    def _compare(self, files: Sequence[FileFacts], archive: bytes | None = None) -> None:
        """Sorts the files of one folder or archive into unchanged and to be read."""
        if not files:
            return
        same, ids = self.known.compare(files)
        if self._skipped:
            self._note_skipped(files, same.tolist())
        n_same = int(same.sum())
        place = archive or os.path.dirname(files[0].path)
        self.n_changed[place] += int(np.count_nonzero(ids)) - 2 * n_same
        if n_same:
            self._note_steady(place, ids[same])
        if n_same and self._sidecars:
            self._update_words(ids[same])
        todo = files
        if n_same or self._skipped:
            differ = [f for f, is_same in zip(files, same.tolist(), strict=True) if not is_same]
            self.unusable.update(file.path for file in differ if self._is_skipped_still(file))
            todo = [file for file in differ if file.path not in self.unusable]
        self.n_unchanged += n_same
        self.n_listed += len(files)
        self.n_todo += len(todo)
        self._open += todo
        while len(self._open) >= _CHUNK or (self._open and not self._chunks):
            self._hand_on(self._open[:_CHUNK])
            self._open = self._open[_CHUNK:]

    def _note_steady(self, place: bytes, image_ids: Ints) -> None:
        places = self.known.places_of(image_ids)
        self.steady.setdefault(place, set()).update(np.unique(places).tolist())
        if not places.all():
            self.unplaced.append((place, image_ids[places == 0]))

    def _note_skipped(self, files: Sequence[FileFacts], same: list[bool]) -> None:
        for file, is_same in zip(files, same, strict=True):
            if file.path in self._skipped:
                (self.mended if is_same else self.present).add(file.path)

    def _is_skipped_still(self, facts: FileFacts) -> bool:
        before = self._skipped.get(facts.path)
        if before is None or self._settings.retry_skipped:
            return False
        if before.code == NO_DECODER and is_now_read(before.message):
            return False
        return before.facts == facts and before.code not in PASSING

    def _hand_on(self, files: Sequence[FileFacts]) -> None:
        if not files:
            return
        packed = _packed(files)
        with self._changed:
            while len(self._chunks) >= _MOST_CHUNKS and not self._stopped:
                self._changed.wait()
            self._chunks.append(packed)
            self._changed.notify_all()

    def _update_words(self, image_ids: Ints) -> None:
        """Gives unchanged images the words that their sidecar has now."""
        for at in range(0, len(image_ids), 500):
            some = self._catalog.images(image_ids[at : at + 500].tolist(), missing_ok=True)
            new = [with_words(image, self._sidecars.get(image.facts.path)) for image in some]
            changed = [now for now, before in zip(new, some, strict=True) if now != before]
            if changed:
                with self._catalog.transaction() as db:
                    for record in changed:
                        self._catalog.put(db, record)
                    self._catalog.bump(db)
            self.n_metadata += len(changed)

    def _look_into(self, facts: FileFacts) -> None:
        """Takes in the members of an archive, unless the archive is unchanged."""
        before, settings = self._skipped.get(facts.path), self._settings
        rival = has_rival(facts.path)
        if before is not None:
            self.present.add(facts.path)
            if self._is_skipped_still(facts) and (before.code == _RIVAL) == rival:
                self.scan.unlisted[facts.path] = before.message
                return
        always = settings.retry_skipped or (not is_video(facts.path) and (
            settings.hidden or rival or self._has_rules
        ))  # fmt: skip
        unchanged = not always and is_unchanged(self._catalog, facts)
        if unchanged and self._pass_over(facts.path):
            return
        try:
            with self.listing.work(0):
                archive = self._listed(facts.path, rival)
        except ImageError as error:
            self.scan.unlisted[facts.path] = error.message
            self._skip(SkippedFile(facts, error.code, error.message))
            return
        self._take_members(facts, archive)
        if before is not None:
            self.mended.add(facts.path)

    def _listed(self, path: bytes, rival: bool) -> Archive:
        if rival:
            beside = os.fsdecode(os.path.basename(path)) + "!"
            raise ImageError(_RIVAL, f"a folder called {beside!r} stands beside it")
        if not is_video(path):
            return archive_at(path)
        video = video_at(path)
        scenes = known_scenes(self._catalog, video, self._limits)
        if is_live(video, scenes):
            self.scan.left_out.leave_out(path, LIVE, is_folder=False)
            return Archive()
        return as_archive(video, scenes)

    def _take_members(self, facts: FileFacts, archive: Archive) -> None:
        self.looked_into.add(facts.path)
        rules = self._rules_of(facts.path)

        def is_shown(name: bytes) -> bool:
            left_out = self.scan.left_out
            return self._is_shown(name) and not left_out.member_is_left_out(rules, facts.path, name)

        others = ((name, "not_read", missed_member(name)) for name in archive.others)
        missed = ((name, code, reason) for name, code, reason in others if reason)
        for name, code, reason in (*archive.skips, *missed):
            path = member_path(facts.path, name)
            if is_shown(name):
                self._skip(SkippedFile(FileFacts(path, 0, facts.mtime_ns), code, reason))
        members = [
            FileFacts(
                member_path(facts.path, name),
                picture.size_bytes,
                facts.mtime_ns if picture.stamp is None else picture.stamp,
            )
            for name, picture in archive.pictures.items()
            if is_shown(name)
        ]
        for at in range(0, len(members), _AT_ONCE):
            with self.listing.work(len(members[at : at + _AT_ONCE])):
                self._compare(members[at : at + _AT_ONCE], _place(facts.path))
        if is_video(facts.path) or not (self._settings.hidden or self._has_rules):
            self.archives[facts.path] = facts

    @property
    def _has_rules(self) -> bool:
        """Whether more than the built-in rules say which members of archives are left out."""
        return self.scan.left_out.has_patterns

    def _rules_of(self, archive: bytes) -> Rules:
        root = next(root for root in self.scan.roots if is_below(archive, root))
        return self.scan.left_out.at_root(root)

    def _is_shown(self, name: bytes) -> bool:
        parts = name.split(b"/")
        hides = any(part.startswith(b".") and part != b".." for part in parts)
        return self._settings.hidden or not (hides or parts[0] == b"__MACOSX")

    def _pass_over(self, archive: bytes) -> bool:
        """Counts every member of an unchanged archive as unchanged, unless one is away."""
        ids = images_inside(self._catalog, archive)
        if np.isin(ids, self.known.away).any():  # the whole archive was, or this one is not in it
            return False
        if is_video(archive):
            is_beside = still_beside(archive) is not None
            if is_beside == bool(len(ids)):  # a still may have come or gone
                return False
            if is_beside:
                self.scan.left_out.leave_out(archive, LIVE, is_folder=False)
        self.looked_into.add(archive)
        self.known.meet(ids)
        if len(ids):
            self._note_steady(_place(archive), ids)
        self.present.update(skipped_inside(self._catalog, archive))
        self.n_unchanged += len(ids)
        self.n_listed += len(ids)
        if self._sidecars:
            self._update_words(ids)
        return True

    def _skip(self, file: SkippedFile) -> None:
        self.present.add(file.facts.path)
        before = self._skipped.get(file.facts.path)
        if before != file:
            with self._changed:
                self._skips.append(file)


def _place(archive: bytes) -> bytes:
    """Where the members of an archive are; the scenes of a video are in its folder."""
    return os.path.dirname(archive) if is_video(archive) else archive


def _packed(files: Sequence[FileFacts]) -> _Packed:
    facts = np.array([(file.size_bytes, file.mtime_ns) for file in files], np.int64)
    return zlib.compress(b"\0".join(file.path for file in files), 1), facts


def _unpacked(packed: _Packed) -> Iterator[FileFacts]:
    paths = zlib.decompress(packed[0]).split(b"\0")
    return iter(list(map(FileFacts, paths, *packed[1].T.tolist())))
