"""Finds the nearest pictures of a library, for its provider. Layer: app."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from relook.core.errors import ImageError
from relook.core.same_picture import SIDE_PX
from relook.core.sources import limits_at, read_bytes
from relook.core.vectors import Floats
from relook.core.verdicts import Verified
from relook.encoders.base import encode_images
from relook.providers.base import Finder, Near, Subject
from relook.rag.fetching import small_picture
from relook.search.engine import Engine
from relook.search.filtering import Filter
from relook.search.verifying import find_again

if TYPE_CHECKING:
    from relook.library.records import ImageRecord

# Measured on Flickr8k and ImageNet photographs (docs/providers.md). Every encoder has a scale of
# its own, so one that was not measured leaves nothing out.
_LEAST = {"builtin": 0.48}

_DEPTH = 24  # images of either order that are compared: a question waits for it

Moment = Callable[[], AbstractContextManager[object]]


def least_similarity(engine: Engine, wanted: float | None) -> float:
    """The cosine below which a library's picture is no evidence.

    Args:
        engine: Of the library.
        wanted: What the settings say; None means what was measured for the encoder.
    """
    if wanted is not None:
        return wanted
    return _LEAST.get(engine.encoder.fingerprint.name, 0.0)


def library_finder(
    engine: Engine,
    *,
    moment: Moment = nullcontext,
    thumbnails: bool = False,
    verify: bool = False,
) -> Finder:
    """What finds a picture's nearest ones in a library.

    Args:
        engine: Of the library.
        moment: Held while it is searched, where others change the library meanwhile.
        thumbnails: Whether small pictures come with what is found: they cost a decoded file
            each, and only a contact sheet needs them.
        verify: Whether the nearest are compared with it point by point (`core.same_picture`).
    """

    def find(subject: Subject, limit: int) -> Sequence[Near]:
        without = frozenset() if subject.image_id is None else frozenset([subject.image_id])
        with moment():
            engine.files.refresh()
            image = subject.image(engine.encoder.input_px)
            vector: Floats = encode_images(engine.encoder, [image])[0]
            only = Filter(without=without)
            nearest = engine.rank(vector, limit, only).image_ids.tolist()
            verdicts = find_again(engine, subject.image(SIDE_PX), _DEPTH, only) if verify else {}
            again = [at for at, verdict in verdicts.items() if verdict.is_same_picture]
            records = engine.files.records(list(dict.fromkeys([*again, *nearest])))
            rows = np.array([record.first_row for record in records], np.int64)
            cosines = engine.files.vectors.rows(rows) @ vector  # [n]
        near = _near(subject, records, cosines, engine, thumbnails)
        return [replace(picture, **_verdict(picture, verdicts)) for picture in near]

    return find


def _verdict(near: Near, verdicts: Mapping[int, Verified]) -> dict[str, Any]:
    """What comparing a picture point by point adds to what is known of it."""
    verified = verdicts.get(near.image_id)
    is_same = near.same or (verified is not None and verified.is_same_picture)
    return {"verified": verified, "same": is_same}


def _near(
    subject: Subject,
    records: Sequence[ImageRecord],
    cosines: Floats,
    engine: Engine,
    thumbnails: bool,
) -> Iterator[Near]:
    settings = engine.settings
    for record, cosine in zip(records, cosines.tolist(), strict=True):
        n_bits = ((record.dhash ^ subject.picture_hash) & 0xFFFF_FFFF_FFFF_FFFF).bit_count()
        alike = cosine >= settings.fold_cosine and n_bits <= settings.fold_bits
        yield Near(
            image_id=record.image_id,
            similarity=float(cosine),
            same=alike or record.content.hex() == subject.content_hash,
            title=record.title,
            caption=record.caption,
            file=record.path.name,
            metadata={str(key): str(value) for key, value in record.metadata.items()},
            picture_hash=record.dhash,
            thumbnail=_thumbnail(record) if thumbnails else None,
        )


def _thumbnail(record: ImageRecord) -> bytes | None:
    """None for a file that is gone or changed into something else: its words remain."""
    try:
        path = record.facts.path
        return small_picture(read_bytes(path), limits_at(path)).data
    except ImageError:
        return None
