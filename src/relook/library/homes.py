"""Whether the files of known images are still where they were. Layer: library."""

import os
import stat
from collections import Counter
from collections.abc import Mapping

import numpy as np

from relook.core.errors import ImageError
from relook.core.picture_paths import is_url, original_path, split_member, split_scene
from relook.core.sources import archive_at, scene_content
from relook.core.vectors import Ints
from relook.library.catalog import Catalog
from relook.library.records import FileFacts, ImageRecord
from relook.library.survey import Survey
from relook.library.tombstones import pairs
from relook.library.whereabouts import NOWHERE, Identity, place_of


class Homes:
    """Where known images are during a run: an image whose path cannot be opened may move.

    Args:
        survey: What the listing has met so far.
        places: The places that the catalog knows: path and identity of each.
    """

    def __init__(self, survey: Survey, places: Mapping[int, tuple[bytes, Identity]]) -> None:
        self._survey, self._known, self._places = survey, survey.known, places
        self._silent: set[bytes] = set()  # stores that did not answer
        self._unusable: set[bytes] = set()
        self._settled: dict[int, bytes] = {}
        self._displaced: set[int] = set()
        self._n_touched: Counter[bytes] = Counter()  # by folder or archive

    def settle(self, image_id: int, path: bytes) -> None:
        """Records that this run has found an image's file, and the folder that holds it."""
        self._settled[image_id] = path
        self._survey.steady.setdefault(place_of(path), set()).add(self._place_of(image_id))

    def _place_of(self, image_id: int) -> int:
        [place] = self._known.places_of(np.array([image_id], np.int64)).tolist()
        return int(place)

    def still(self, image_id: int, path: bytes) -> int:
        """The image whose file's path has another picture now, if that is its file edited.

        Another disk may hold other pictures under the same names; these are no edits, and the
        image has lost its path.

        Returns:
            Its id; 0 for none.
        """
        known = self._place_of(image_id) if image_id else -1
        if known in self._places and self.is_another(place_of(path), self._places[known][1], known):
            self.displace(image_id)
            return 0
        return image_id

    def is_another(self, place: bytes, before: Identity, group: int) -> bool:
        """Whether a folder is not the one that some images were seen in, as its numbers say.

        A few files may be equal in both; of a folder that was written anew, most are.

        Args:
            place: The folder as it is now.
            before: What it was.
            group: The images' row of places.
        """
        now = self._survey.scan.identities.get(place)
        if now is None or before in (now, NOWHERE):
            return False
        if group not in self._survey.steady.get(place, ()):
            return True
        is_other_disk = before[0] != now[0]
        return self._survey.n_changed[place] - 2 * self._n_touched[place] + is_other_disk > 0

    def touch(self, path: bytes) -> None:
        """Records that a listed file has other facts, and the picture that it had."""
        self._n_touched[place_of(path)] += 1

    def displace(self, image_id: int) -> None:
        """Records that another image has taken this image's path; 0 is no image."""
        if image_id and image_id not in self._settled:
            self._displaced.add(image_id)

    def displaced(self) -> Ints:
        """Ids of the images that lost their path to another one, and were not found elsewhere."""
        return np.array(sorted(self._displaced - self._settled.keys()), np.int64)

    def settled(self) -> Ints:
        """Ids of the images whose files this run has found by reading them."""
        return np.array(sorted(self._settled), np.int64)

    def miss(self, path: bytes) -> None:
        """Records that a file is there, and that its picture cannot be used."""
        self._unusable.add(path)

    def has_left(self, image_id: int, path: bytes) -> bool:
        """Whether an image that the catalog has at a path is no longer there in this run."""
        settled = self._settled.get(image_id)
        return image_id in self._displaced or (settled is not None and settled != path)

    def is_settled(self, image_id: int) -> bool:
        """Whether this run has found the image's file."""
        return image_id in self._settled

    def may_move(self, image: ImageRecord) -> bool:
        """Whether no picture can be opened at an image's path, and it was not found elsewhere."""
        if image.image_id in self._settled:
            return False
        path = image.facts.path
        # A store that does not give a file just now proves nothing.
        unusable = not is_url(path) and (path in self._unusable or path in self._survey.unusable)
        if image.image_id in self._displaced or unusable:
            return True
        return not self._known.is_same(image.image_id) and not self._is_there(image)

    def unencoded(self, catalog: Catalog, path: bytes, content: bytes) -> int:
        """Id of the image without vectors whose file this is, at another path; 0 for none.

        Args:
            catalog: Of the library.
            path: Of a file that was read.
            content: Of it.
        """
        lost = [
            twin
            for twin in catalog.images_with(content)
            if not twin.n_tiles and self.may_move(twin)
        ]
        paired = pairs([path], [image.facts.path for image in lost])
        return lost[paired[0][1]].image_id if paired else 0

    def is_changing(self, image: ImageRecord) -> bool:
        """Whether an image's file has other facts now, and nobody has read it yet."""
        image_id = image.image_id
        if image_id in self._settled or self._known.is_same(image_id):
            return False
        return self._known.is_met(image_id) or _has_changed(image.facts)

    def _is_there(self, image: ImageRecord) -> bool:
        path = image.facts.path
        if original_path(path) != path:
            return False
        member = split_member(path)
        place = member[0] if member else path
        try:
            if split_scene(path) is not None:  # as long as it is that video
                return scene_content(path) == image.content
            if is_url(place):
                there = self._is_there_remotely(image.image_id, place)
            else:
                there = _can_be_opened(place)
            return there and (member is None or member[1] in archive_at(place).pictures)
        except ImageError:
            return False

    def _is_there_remotely(self, image_id: int, url: bytes) -> bool:
        """Whether a remote file exists; where the store does not answer, its listing decides."""
        from relook.core.remote import size_and_stamp

        store = b"/".join(url.split(b"/", 3)[:3])
        if store in self._silent:
            return self._known.is_met(image_id)
        try:
            size_and_stamp(url)
        except ImageError as error:
            if error.code == "vanished":
                return False
            self._silent.add(store)
            return self._known.is_met(image_id)
        return True


def _can_be_opened(path: bytes) -> bool:
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except (OSError, ValueError):  # ValueError: a damaged catalog, no file can be called so
        return False
    return not is_folder and os.access(path, os.R_OK)


def _has_changed(facts: FileFacts) -> bool:
    """Whether a file that may not be listed yet is there, with another size or time."""
    try:
        now = os.stat(facts.path)
    except (OSError, ValueError):  # gone, or inside an archive, or remote
        return False
    return (now.st_size, now.st_mtime_ns) != (facts.size_bytes, facts.mtime_ns)
