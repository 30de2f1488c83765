"""Files that have changed: edited pictures, or others under their names. Layer: library.

An edit keeps the image's id, words and marks. Where the picture that a file had is met in another
file of the same run, and the file's new picture is unlike it, its name was used again: the image
has moved there, and the file is a new one. An edited picture is like the one before, also when
a program has put the original beside it. So edits wait for the end of a run, a batch at most.
"""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, replace

import numpy as np

from relook.core.vectors import Floats
from relook.library.catalog import Catalog
from relook.library.reading import Read
from relook.library.records import ImageRecord, set_words, words_of

# Cosine of two whole pictures. With the built-in encoder 4 of 100 pairs of unrelated photographs
# are as near; of crops to half, greys, mirror images and other light nearly all are, of pictures
# turned by a quarter three in four. A blurred one is told by its hash; all even pictures have
# nearly the same, so they must be somewhat near, too.
_ALIKE = 0.6
_ALIKE_BITS, _ALIKE_WITH_HASH = 8, 0.2
_OF_THE_FILE = ("latitude", "longitude", "camera", "camera_make", "lens")


@dataclass(frozen=True, slots=True)
class Edit:
    """A known image's file with another picture in it.

    Args:
        image_id: Of the image.
        record, tiles: Of the new picture; [t, d].
        read: As it was read.
    """

    image_id: int
    record: ImageRecord
    tiles: Floats
    read: Read

    def is_of(self, before: ImageRecord, tiles: Floats) -> bool:
        """Whether it may be a picture edited, whose record and vectors [t, d] these are."""
        n_bits = ((before.dhash ^ self.record.dhash) & 0xFFFF_FFFF_FFFF_FFFF).bit_count()
        least = _ALIKE_WITH_HASH if n_bits <= _ALIKE_BITS else _ALIKE
        return float(np.dot(tiles[0], self.tiles[0])) >= least


class Edits:
    """The edits of a run that wait for its end.

    Attributes:
        replaced: Ids of images in whose files' place known pictures are.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Edit] = {}  # by image
        self.replaced: list[int] = []

    def __len__(self) -> int:
        return len(self._waiting)

    def wait(self, edit: Edit) -> None:
        """Keeps an edit."""
        self._waiting[edit.image_id] = edit

    def take(self) -> list[Edit]:
        """Those that wait; none do then."""
        edits, self._waiting = list(self._waiting.values()), {}
        return edits

    def moved(
        self,
        catalog: Catalog,
        arrived: Container[bytes],
        tiles_of: Callable[[ImageRecord], Floats],
    ) -> Iterator[int]:
        """Ids of the images whose picture has arrived elsewhere, as their file has another one.

        Args:
            catalog: Which has the images as they were.
            arrived: Contents of files at other paths.
            tiles_of: Gives the vectors [t, d] of an image.
        """
        for image in catalog.images([*self.replaced, *self._waiting], missing_ok=True):
            edit = self._waiting.get(image.image_id)
            if image.content not in arrived:
                continue
            if edit is None or (image.n_tiles and not edit.is_of(image, tiles_of(image))):
                yield image.image_id


def edited(record: ImageRecord, before: ImageRecord) -> ImageRecord:
    """A file's new record as that of the image which it was before.

    Words of an earlier sidecar stay where the changed file has none; place and camera are the
    file's alone, as somebody may have taken them out. The catalog's words of an equal picture,
    whose rows the record has, are another image's.
    """
    own, new = words_of(before), words_of(record)
    people = {key: value for key, value in own.metadata.items() if key not in _OF_THE_FILE}
    own = replace(own, metadata=people)
    is_other = not record.n_tiles and before.content != record.content
    both = new.over(own) if is_other else own.over(new)
    return set_words(replace(record, image_id=before.image_id), both)
