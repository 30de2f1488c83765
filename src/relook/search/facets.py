"""What a library's pictures are of, counted: by time, place, camera, folder, album. Layer: search.

Each count keeps to all filters but those of its own kind, so that counts narrow each other and
another choice of the same kind stays in sight.
"""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated

import numpy as np

from relook.core.converter import JsonValue
from relook.core.errors import InputError
from relook.core.json_form import Digits
from relook.core.vectors import Ints
from relook.library.album_table import AlbumTable
from relook.library.album_values import ALBUM
from relook.library.fact_columns import NO_TIME, SHAPES, Facts, facts_of, spellings
from relook.library.files import LibraryFiles
from relook.library.image_table import KEYWORDS, NEAR, key_of
from relook.library.keyword_columns import keywords_of
from relook.library.records import ImageRecord
from relook.search.filtering import fitting_images
from relook.stores.base import Mask

_MOST_NAMES, _MOST_CELLS = 100, 600
_CELLS_ACROSS = 40
_SIDES_DEGREES = tuple(step * 10.0**power for power in range(-3, 2) for step in (1, 2, 5))
_KM_A_DEGREE = 111.2


@dataclass(frozen=True, slots=True)
class Count(JsonValue):
    """One choice of a filter, and how many images have it.

    Args:
        value: What `where` may name: "2019-07", a camera, a folder.
        n: How many images.
    """

    value: str
    n: int


@dataclass(frozen=True, slots=True)
class Cell(JsonValue):
    """Images that were taken near each other.

    Args:
        latitude, longitude: Their mean place, in degrees.
        n: How many.
        near: The value of the filter `place~` that finds them.
    """

    latitude: Annotated[float, Digits(5)]
    longitude: Annotated[float, Digits(5)]
    n: int
    near: str


@dataclass(frozen=True, slots=True)
class Facets(JsonValue):
    """Counts of what a filter lets through.

    Args:
        n_images: How many images fit all filters.
        n_no_time, n_no_place: How many of them tell no time, not even a file's, and no place.
        months: By time, from the first.
        cameras, lenses, folders, keywords: The most frequent first, at most 100 each.
        ratings: The best first.
        orientations: landscape, portrait, square.
        places: The most frequent first, at most 600.
        albums: Those that hold any of them, the most frequent first, at most 100.
    """

    n_images: int
    n_no_time: int
    n_no_place: int
    months: tuple[Count, ...]
    cameras: tuple[Count, ...]
    lenses: tuple[Count, ...]
    folders: tuple[Count, ...]
    ratings: tuple[Count, ...]
    orientations: tuple[Count, ...]
    places: tuple[Cell, ...]
    keywords: tuple[Count, ...] = ()
    albums: tuple[Count, ...] = ()


@dataclass(frozen=True, slots=True)
class Browsed:
    """Images in the order of time, newest first.

    Args:
        n_images: How many fit.
        records: Those of the wanted part.
    """

    n_images: int
    records: tuple[ImageRecord, ...]


def count_facets(
    files: LibraryFiles, where: Mapping[str, str], path: str | None, away: bool = False
) -> Facets:
    """Counts what a filter lets through.

    Args:
        files: The open library, in a `moment`.
        where: Metadata key -> pattern (see `Catalog.matching`).
        path: Pattern of the path.
        away: Whether images whose file cannot be reached now count, too.

    Raises:
        InputError: `bad_filter`; `no_facts` for a library of an older version that is only read.
    """
    facts = _facts(files)
    base = fitting_images(files, {}, path)
    if not away:
        base &= files.now.present()[1]
    masks = {key: fitting_images(files, {key: value}, None) for key, value in where.items()}

    def without(*names: str) -> Mask:
        mask = base.copy()
        for key, fitting in masks.items():
            if key_of(key)[0] not in names:
                mask &= fitting
        return mask

    every, by_time, by_place = without(), without("taken_at"), without(key_of(NEAR)[0])
    values = facts.values
    return Facets(
        n_images=int(np.count_nonzero(every)),
        n_no_time=int(np.count_nonzero(values["taken_s"][every] == NO_TIME)),
        n_no_place=int(np.count_nonzero(np.isnan(values["latitude"][every]))),
        months=_months(facts.months[by_time]),
        cameras=_names(facts, "camera", without("camera", "camera_make")),
        lenses=_names(facts, "lens", without("lens")),
        folders=_names(facts, "folder", without("folder")),
        ratings=_ratings(facts, without("rating")),
        orientations=_orientations(facts, without("orientation")),
        places=_cells(facts, by_place),
        keywords=_keywords(files, without(KEYWORDS)),
        albums=_albums(files, without(ALBUM)),
    )


def browse(
    files: LibraryFiles,
    where: Mapping[str, str],
    path: str | None,
    limit: int = 100,
    skip: int = 0,
    away: bool = False,
) -> Browsed:
    """Images that fit a filter, newest first; those without a time come last.

    Args:
        files: The open library, in a `moment`.
        where: As for `count_facets`.
        path: Likewise.
        limit: How many.
        skip: How many newer ones are left out.
        away: As for `count_facets`.

    Raises:
        InputError: As `count_facets`.
    """
    facts = _facts(files)
    mask = fitting_images(files, where, path)
    if not away:
        mask &= files.now.present()[1]
    at = np.flatnonzero(mask)
    ids = files.row_table[at, 2]
    # Equal times as a camera counts them: the image that came last first.
    order = np.lexsort((-ids, -facts.values["taken_s"][at]))[skip : skip + limit]
    return Browsed(len(at), tuple(files.records(ids[order].tolist())))


def _facts(files: LibraryFiles) -> Facts:
    facts = facts_of(files)
    if facts is None:
        raise InputError(
            "no_facts",
            "an older version made this library, and it can only be read",
            "open it once where it can be written to",
        )
    return facts


def _months(months: Ints) -> tuple[Count, ...]:
    chosen, counts = np.unique(months[months != NO_TIME], return_counts=True)
    texts = chosen.astype("datetime64[M]").astype(str)
    return _counted(zip(texts.tolist(), counts.tolist(), strict=True))


def _counted(pairs: Iterable[tuple[str, int]]) -> tuple[Count, ...]:
    return tuple(Count(value, int(n)) for value, n in pairs)


def _names(facts: Facts, column: str, mask: Mask) -> tuple[Count, ...]:
    counts = np.bincount(facts.values[column][mask], minlength=1)
    counts[0] = 0  # images without
    order = np.argsort(-counts, kind="stable")[:_MOST_NAMES]
    return _counted(
        (spellings(column, facts.names[i])[0], counts[i]) for i in order.tolist() if counts[i]
    )


def _keywords(files: LibraryFiles, mask: Mask) -> tuple[Count, ...]:
    """Keywords that differ in capitals only are one, as filters take them; the first is shown."""
    keywords = keywords_of(files)
    assert keywords is not None, "`_facts` refused such a catalog"
    counts = keywords.counts(mask)
    order = np.argsort(-counts, kind="stable")[:_MOST_NAMES]
    return _counted((keywords.names[i], counts[i]) for i in order.tolist() if counts[i])


def _albums(files: LibraryFiles, mask: Mask) -> tuple[Count, ...]:
    table = AlbumTable(files.catalog)
    counts = list[tuple[str, int]]()
    for album in table.all():
        places = files.now.places(np.array(table.image_ids(album.album_id), np.int64))
        counts.append((album.name, int(np.count_nonzero(mask[places[places >= 0]]))))
    counts.sort(key=lambda count: -count[1])
    return _counted(count for count in counts[:_MOST_NAMES] if count[1])


def _ratings(facts: Facts, mask: Mask) -> tuple[Count, ...]:
    ratings = facts.values["rating"][mask]
    chosen, counts = np.unique(ratings[~np.isnan(ratings)], return_counts=True)
    pairs = zip(chosen.tolist(), counts.tolist(), strict=True)
    return _counted((f"{rating:g}", n) for rating, n in reversed(list(pairs)))[:_MOST_NAMES]


def _orientations(facts: Facts, mask: Mask) -> tuple[Count, ...]:
    counts = np.bincount(facts.values["shape"][mask], minlength=len(SHAPES))
    return _counted((shape, counts[code]) for code, shape in enumerate(SHAPES) if shape)


def _cells(facts: Facts, mask: Mask) -> tuple[Cell, ...]:
    north, east = facts.values["latitude"][mask], facts.values["longitude"][mask]
    has = ~(np.isnan(north) | np.isnan(east))
    north, east = north[has].astype(np.float64), east[has].astype(np.float64)
    if not len(north):
        return ()
    span = max(float(np.ptp(north)), float(np.ptp(east)) / 2)
    side = next((side for side in _SIDES_DEGREES if side * _CELLS_ACROSS >= span), 10.0)
    down, right = np.floor((north + 90) / side), np.floor((east + 180) / side)
    cells = down * 1_000_000 + right
    _, which, counts = np.unique(cells, return_inverse=True, return_counts=True)
    norths = np.bincount(which, north) / counts
    easts = np.bincount(which, east) / counts

    def reach_km(latitude: float) -> float:
        return _KM_A_DEGREE * side * math.hypot(1, math.cos(math.radians(latitude)))

    return tuple(
        Cell(norths[at], easts[at], int(counts[at]),
             f"{norths[at]:.5f},{easts[at]:.5f},{reach_km(norths[at]):.3f}km")
        for at in np.argsort(-counts, kind="stable")[:_MOST_CELLS].tolist()
    )  # fmt: skip
