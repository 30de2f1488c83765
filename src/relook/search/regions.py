"""What boxes show, cut from the original pixels. Layer: search."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from relook.core.errors import ImageError, LibraryBusyError
from relook.core.settings import ImageLimits
from relook.core.types import Box
from relook.core.vectors import Floats
from relook.encoders.base import Encoder, encode_images
from relook.library.files import LibraryFiles

if TYPE_CHECKING:
    from PIL import Image

    from relook.library.session_table import SessionTable
    from relook.library.session_values import Judgement
    from relook.search.engine import Engine

# Share of a box that is added on each side before it is cut out: people draw tightly.
_PADDING = 0.05
_BATCH = 16  # crops encoded at once
BoxPlace = tuple[int, Box]
"""An image and a region of it."""


def crop_image(
    path: Path, box: Box | None, min_px: int, limits: ImageLimits | None = None
) -> Image.Image:
    """A picture file, or the region of it, as RGB; a region is cut from the original pixels.

    Args:
        path: The file.
        box: The region; the whole picture when None.
        min_px: The whole picture need not be larger than this on its shorter side.
        limits: What decoding it may cost.

    Raises:
        ImageError: when the file cannot be decoded.
    """
    from relook.core.images import load  # a search by words does without Pillow

    if box is None:
        return load(path, min_px, limits).image
    return load(path, 0, limits).crop(box)


def region(path: Path, box: Box, limits: ImageLimits | None = None) -> Image.Image:
    """What a box shows, cut a little wider from the original pixels.

    Raises:
        ImageError: when the picture file cannot be decoded.
    """
    return crop_image(path, box.padded(_PADDING), 0, limits)


def crop_vectors(
    engine: Engine,
    places: Collection[BoxPlace],
    see: Callable[[BoxPlace, Image.Image], None] | None = None,
    unreadable: Callable[[ImageError], None] | None = None,
) -> dict[BoxPlace, Floats]:
    """The vectors [d] of what boxes show, cut a little wider from the original pixels.

    A box that is smaller than every tile is widened to the size of the smallest. A picture is
    decoded once for all its boxes, and equal boxes are encoded once.

    Args:
        engine: Of the library.
        places: Images of the library, each with a box.
        see: Called with what each box shows, not widened; what it raises ends the work.
        unreadable: Called for each picture file that cannot be decoded, whose boxes are left out
            of the answer then; such a file is an error when None.

    Raises:
        NotFoundError: `no_image`; ImageError: when a picture file cannot be decoded.
    """
    return encoded_boxes(engine.files, engine.encoder, places, see, unreadable) if places else {}


def encoded_boxes(
    files: LibraryFiles,
    encoder: Encoder,
    places: Iterable[BoxPlace],
    see: Callable[[BoxPlace, Image.Image], None] | None = None,
    unreadable: Callable[[ImageError], None] | None = None,
) -> dict[BoxPlace, Floats]:
    """As `crop_vectors`, by any encoder."""
    from relook.core.images import load  # a click on a whole picture does without Pillow

    boxes: dict[int, dict[Box, None]] = {}
    for image_id, box in places:
        boxes.setdefault(image_id, {})[box] = None
    vectors: dict[BoxPlace, Floats] = {}
    batch: list[tuple[BoxPlace, Image.Image]] = []
    for record in files.catalog.images(boxes):
        try:
            picture = load(record.path, 0, files.limits)
        except ImageError as error:
            if unreadable is None:
                raise
            unreadable(error)
            continue
        tiles = encoder.tiles_for(*picture.image.size)
        for box in boxes[record.image_id]:
            place = (record.image_id, box)
            drawn = box.padded(_PADDING)
            batch.append((place, picture.crop(_comparable(drawn, tiles))))
            if see is not None:
                see(place, picture.crop(drawn))
            if len(batch) == _BATCH:
                vectors |= _encoded(encoder, batch)
                batch = []
    return vectors | _encoded(encoder, batch)


def _comparable(box: Box, tiles: Sequence[Box]) -> Box:
    """The box, widened about its centre until it is as wide and as high as the smallest tile.

    A thing that is smaller than every tile shows in other pictures only within what surrounds it;
    the vector of it alone is near to none of theirs.
    """
    windows = tiles[1:]
    if not windows:
        return box
    smallest = min(windows, key=lambda tile: tile.area)
    x0, x1 = _widened(box.x0, box.x1, smallest.x1 - smallest.x0)
    y0, y1 = _widened(box.y0, box.y1, smallest.y1 - smallest.y0)
    return Box(x0, y0, x1, y1)


def _widened(low: float, high: float, least: float) -> tuple[float, float]:
    """Both ends of an interval of at least this length about the same middle, within 0..1."""
    if high - low >= least:
        return low, high
    start = min(max((low + high - least) / 2, 0.0), 1.0 - least)
    return start, min(start + least, 1.0)


def see_boxes(
    engine: Engine, table: SessionTable, session_id: str, judgements: Iterable[Judgement]
) -> None:
    """Makes the vectors that boxes of a session lack, where their pictures can be read by now.

    Args:
        engine: Of the library.
        table: Where its sessions are kept.
        session_id: The session.
        judgements: All of it.
    """
    blind = [(j.judgement_id, j.image_id, j.box) for j in judgements if j.box and j.crop is None]
    here = {record.image_id for record in engine.files.records({i for _, i, _ in blind})}
    places = {(image_id, box) for _, image_id, box in blind if image_id in here}
    crops = crop_vectors(engine, places, unreadable=lambda error: None)
    if not crops:
        return
    with table.together():
        check_current(engine.files)
        for judgement_id, image_id, box in blind:
            if (image_id, box) in crops:
                unseen = {"box": box, "crop": None}
                table.change(session_id, judgement_id, {"crop": crops[image_id, box]}, unseen)


def check_current(files: LibraryFiles) -> None:
    """Refuses to go on with vectors of an encoder that is not the library's any more.

    Raises:
        LibraryBusyError: `session_busy` when another process has just upgraded the library.
    """
    if not files.is_current():
        raise LibraryBusyError(
            "session_busy",
            "the library has just gone over to another encoder",
            "do it again: everything marked is there",
        )


def _encoded(encoder: Encoder, batch: list[tuple[BoxPlace, Image.Image]]) -> dict[BoxPlace, Floats]:
    if not batch:
        return {}
    vectors = encode_images(encoder, [crop for _, crop in batch])
    return {place: vector for (place, _), vector in zip(batch, vectors, strict=True)}
