"""Finds a picture again in a library: as it is, changed, a part of it, or mirrored. Layer: search.

Vectors name candidates, for the picture and for its mirror image; `core.same_picture` compares them
point by point. A crop or a mirror image may stand far down the vectors' order, so candidates are
taken from both orders and compared in turn, until some are the picture.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import ImageOps

from relook.core.errors import ImageError, counted
from relook.core.images import load
from relook.core.same_picture import SIDE_PX, Asked
from relook.core.sources import limits_at
from relook.core.types import Hit, Page, Part, Query
from relook.core.verdicts import Verified
from relook.encoders.base import encode_images
from relook.search.engine import Engine
from relook.search.filtering import Filter
from relook.search.ranking import checked_limit

if TYPE_CHECKING:
    from PIL import Image

DEPTH = 96
"""How far down either order candidates are compared before a picture counts as not there."""
_AT_ONCE = 4  # comparisons between two looks whether it was found


def find_again(
    engine: Engine, image: "Image.Image", depth: int = DEPTH, only: Filter | None = None
) -> dict[int, Verified]:
    """The images of a library that a picture was compared with, by id, nearest first.

    Args:
        engine: Of the library.
        image: The picture, upright.
        depth: How many images of either order are compared at most.
        only: Which images count.

    Raises:
        MissingExtraError: when OpenCV is not installed.
    """
    reference = Asked(image)
    vectors = encode_images(engine.encoder, [image, ImageOps.mirror(image)])  # [2, d]
    orders = [engine.rank(vector, depth, only).image_ids.tolist() for vector in vectors]
    verified: dict[int, Verified] = {}
    turns = _in_turn(orders)
    for at in range(0, len(turns), _AT_ONCE):
        verified |= compared(engine, reference, turns[at : at + _AT_ONCE])
        if any(verdict.is_same_picture for verdict in verified.values()):
            break
    return verified


def _in_turn(orders: Sequence[Sequence[int]]) -> list[int]:
    """The first of each order, the second of each, and so on, each id once."""
    turns = itertools.chain.from_iterable(itertools.zip_longest(*orders))
    return list(dict.fromkeys(image_id for image_id in turns if image_id is not None))


def compared(engine: Engine, reference: Asked, image_ids: Sequence[int]) -> dict[int, Verified]:
    """What comparing a picture with some images shows; without those that cannot be read now."""
    verified = {}
    for record in engine.files.records(list(image_ids)):
        try:
            other = load(record.path, SIDE_PX, engine.files.limits).image
        except ImageError:
            continue
        verified[record.image_id] = reference.compared(other)
    return verified


def similar_verified(
    engine: Engine,
    image: Path | int,
    limit: int | None = None,
    only: Mapping[str, Any] | None = None,
) -> Page:
    """Images that are a picture, whole, in part or mirrored, and then those that look like it.

    Args:
        engine: Of the library.
        image: A picture file, or an image of the library, which is then left out.
        limit: How many hits.
        only: `where`, `path` and `away`, as for `Library.search`.

    Raises:
        MissingExtraError: when OpenCV is not installed. InputError: `bad_limit`.
    """
    n = checked_limit(engine.settings.limit if limit is None else limit)
    given = {name: value for name, value in (only or {}).items() if value is not None}
    without = frozenset([image]) if isinstance(image, int) else frozenset()
    filtered = Filter(**given, without=without)
    part = Part(image_id=image) if isinstance(image, int) else Part(image=image)
    path = engine.files.records([image])[0].path if isinstance(image, int) else image
    picture = load(path, SIDE_PX, limits_at(path)).image
    with engine.files.moment():
        verdicts = find_again(engine, picture, only=filtered)
        query = Query((part,))
        n_deep = max(n, 2 * DEPTH)
        page = engine.search(query, n_deep, filtered, fold_duplicates=False)
    first = [image_id for image_id, verdict in verdicts.items() if verdict.is_same_picture]
    first.sort(key=lambda image_id: -verdicts[image_id].agreement)
    hits = {hit.image_id: replace(hit, verified=verdicts.get(hit.image_id)) for hit in page}
    missing = tuple(image_id for image_id in first if image_id not in hits)
    order = [*first, *(image_id for image_id in hits if image_id not in first)]
    notes = (_note(len(first), len(verdicts)), *page.notes)
    if missing:
        hits |= {hit.image_id: hit for hit in _hits(engine, missing, page, verdicts)}
    return replace(page, hits=tuple(hits[at] for at in order[:n]), notes=notes)


def _hits(
    engine: Engine, image_ids: Sequence[int], page: Page, verdicts: Mapping[int, Verified]
) -> list[Hit]:
    """Hits for images that only the mirrored order named; they take the page's lowest score."""
    lowest = page.hits[-1]
    return [
        replace(
            lowest,
            image_id=record.image_id,
            path=record.path,
            title=record.title,
            caption=record.caption,
            width_px=record.width_px,
            height_px=record.height_px,
            folded=(),
            verified=verdicts[record.image_id],
        )
        for record in engine.files.records(list(image_ids))
    ]


def _note(n_same: int, n_compared: int) -> str:
    compared = counted(n_compared, "image was", "images were")
    if not n_same:
        return f"{compared} compared point by point: none is this picture"
    these = counted(n_same, "is", "are")
    return f"{compared} compared point by point: {these} this picture or a part of it"


def similar(
    engine: Engine,
    image: Path | int,
    limit: int | None = None,
    *,
    verify: bool = False,
    **only: Any,
) -> Page:
    """Images that look like a picture; arguments as for `similar_verified`.

    Args:
        engine: Of the library.
        image: A picture file, or an image of the library, which is then left out.
        limit: How many hits.
        verify: Whether they are compared point by point.
        only: `where`, `path` and `away`.
    """
    if verify:
        return similar_verified(engine, image, limit, only)
    given = {name: value for name, value in only.items() if value is not None}
    if isinstance(image, int):
        others = Filter(**given, without=frozenset([image]))
        return engine.search(Query((Part(image_id=image),)), limit, others)
    return engine.search(Query((Part(image=image),)), limit, Filter(**given))
