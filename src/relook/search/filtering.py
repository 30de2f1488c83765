"""Which images a search may find, and what a person should know of a filter. Layer: search.

Where a least fit is asked for, every image is read, not a page's hits: the order of a query of
several parts, and of a session that has learnt, is another than that of fit.
"""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from relook.core.errors import InputError, is_no
from relook.core.vectors import Floats
from relook.encoders.base import Encoder
from relook.library.album_table import AlbumTable
from relook.library.album_values import ALBUM
from relook.library.fact_columns import facts_of, fits_pattern
from relook.library.files import LibraryFiles
from relook.library.image_table import KEYWORDS, NEAR, check_pattern, key_of, patterns_of
from relook.search.fit import LookedFor, fit_scale, fits_of
from relook.stores.base import Mask

if TYPE_CHECKING:
    from relook.library.records import ImageRecord

_ALLOWED = "allowed rows"
_REMEMBERED = 8  # filters; each is a byte a row
_FITS = "fits of every image"
_FITS_KEPT = 4  # queries; four bytes an image each
_AT_ONCE = 2048  # images
_ROUNDING = 6e-5  # a fit that was read off a page, in four digits, is reached by its picture


@dataclass(frozen=True, slots=True)
class Filter:
    """Which images may be found.

    Args:
        where: Metadata key -> pattern (see `Catalog.matching`).
        path: Pattern of the path.
        without: Image ids that are left out.
        away: Whether images that are away may be found, too.
        unwanted: Words; images that show them are left out.
        min_fit: Images that fit less are left out, 0 to 1 (`relook.search.filtering`).
        written: Words; only images in which all of them stand may be found.
        not_written: Words; images in which one of them stands are left out.

    Raises:
        InputError: `bad_min_fit`; `bad_filter` for a path without a letter, and for a value of
            metadata that is neither text, a number nor a date.
    """

    where: Mapping[str, str] = field(default_factory=dict)
    path: str | None = None
    without: frozenset[int] = frozenset()
    away: bool = False
    unwanted: tuple[str, ...] = ()
    min_fit: float = 0.0
    written: tuple[str, ...] = ()
    not_written: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not isinstance(self.min_fit, numbers.Real) or not 0.0 <= self.min_fit <= 1.0:
            raise InputError(
                "bad_min_fit",
                f"a fit of at least {self.min_fit!s} is asked for",
                "fit is a probability: give a number from 0 to 1",
            )
        if self.path == "":  # of a variable that was not set; every picture would fit
            raise InputError("bad_filter", "the pattern of the path is empty", "leave it out")
        if not isinstance(self.path, str | None):
            hint = 'a part of it, or a pattern of the whole: "2019/", "*/2019/*.jpg"'
            raise InputError("bad_filter", is_no(self.path, "pattern of a path"), hint)
        object.__setattr__(self, "where", patterns_of(self.where))

    @property
    def is_open(self) -> bool:
        """Whether every image may be found."""
        narrows = self.where or self.path or self.without or self.unwanted
        return not (narrows or self.written or self.not_written)


class FilterOptions(TypedDict, total=False):
    """What else a search may be told.

    Args:
        away: Whether images whose file cannot be reached now are shown, too.
        min_fit: Least probability, 0 to 1, that an image shows the words.
    """

    away: bool
    min_fit: float


def allowed_rows(
    files: LibraryFiles,
    where: Mapping[str, str],
    path: str | None,
    without: frozenset[int] = frozenset(),
    away: bool = False,
) -> tuple[Mask | None, int]:
    """Rows that may be found, and how many images they belong to.

    Args:
        files: The open library.
        where: Metadata key -> pattern (see `Catalog.matching`).
        path: Pattern of the path.
        without: Image ids that are left out.
        away: Whether images that are away may be found, too.

    Returns:
        [n_rows] bool, None when every row may; the number of images.
    """
    table = files.row_table
    rows, images = _fitting(files, where, path, away)
    n_images = len(table) if images is None else int(np.count_nonzero(images))
    if not without:
        return rows, n_images
    places = files.now.places(np.fromiter(without, np.int64))
    places = places[places >= 0]
    left = np.ones(len(files.vectors), np.bool_) if rows is None else rows.copy()
    for first, n_tiles in table[places, :2].tolist():
        left[first : first + n_tiles] = False
    n_left_out = len(places) if images is None else int(np.count_nonzero(images[places]))
    return left, n_images - n_left_out


def _fitting(
    files: LibraryFiles, where: Mapping[str, str], path: str | None, away: bool
) -> tuple[Mask | None, Mask | None]:
    """Rows [n_rows] and images [n images by row] that fit; None for all of them."""
    if where or path:
        return _matching(files, where, path, away)
    if away or not files.now.n_away:
        return files.alive(), None
    return files.now.present()


def _matching(
    files: LibraryFiles, where: Mapping[str, str], path: str | None, away: bool
) -> tuple[Mask, Mask]:
    """Those that a filter lets through; the last few filters are kept."""
    known: dict[Any, tuple[Mask, Mask]] = files.derived.setdefault(_ALLOWED, {})
    key = (tuple(sorted(where.items())), path, away, _album_version(files, where))
    entry = known.get(key)
    if entry is None:
        images = fitting_images(files, where, path)
        if not away:
            images &= files.now.present()[1]
        entry = files.now.rows_of_images(images), images
        for old in list(known)[: max(len(known) - _REMEMBERED + 1, 0)]:
            known.pop(old, None)  # another thread may have been faster
        known[key] = entry
    return entry


def fitting_images(files: LibraryFiles, where: Mapping[str, str], path: str | None) -> Mask:
    """[n images by row] which a filter lets through.

    Albums are looked up; what has a column with a type is compared in memory; the catalog is asked
    for the rest. A field of metadata called `album` counts where no album has the name.

    Args:
        files: The open library.
        where: Metadata key -> pattern (see `Catalog.matching`).
        path: Pattern of the path.

    Raises:
        InputError: `bad_filter`.
    """
    images = np.ones(len(files.row_table), np.bool_)
    facts, rest = facts_of(files) if where else None, dict(where)
    for key, value in where.items():
        mask = in_albums(files, key, value)
        if mask is None and facts is not None:
            mask = facts.fitting(key, value)
        if mask is None:
            mask = with_keywords(files, key, value)
        if mask is not None:
            images &= mask
            del rest[key]
    mask = None if path is None else with_path(files, path)
    if mask is not None:
        images &= mask
        path = None
    if rest or path is not None:
        places = files.now.places(files.catalog.matching(rest, path))
        others = np.zeros(len(images), np.bool_)
        others[places[places >= 0]] = True
        images &= others
    return images


def with_path(files: LibraryFiles, pattern: str) -> Mask | None:
    """[n images by row] whose path fits a pattern; None where the catalog must tell."""
    from relook.library.path_columns import paths_of  # other filters do without

    paths = paths_of(files)
    return None if paths is None else paths.fitting(pattern)


def with_keywords(files: LibraryFiles, key: str, value: str) -> Mask | None:
    """[n images by row] which have the keywords of a filter; None where the catalog must tell."""
    name, operator = key_of(key)
    if name != KEYWORDS or operator not in ("", "!="):
        return None
    from relook.library.keyword_columns import keywords_of  # other filters do without

    keywords = keywords_of(files)
    if keywords is None:
        return None
    images = keywords.fitting(value.strip() if operator else value, len(files.row_table))
    return ~images if operator and images is not None else images


def in_albums(files: LibraryFiles, key: str, value: str) -> Mask | None:
    """[n images by row] which are in the albums of a filter; None where it names no album."""
    name, operator = key_of(key)
    if name != ALBUM or operator not in ("", "!="):
        return None
    check_pattern(value)
    ids = AlbumTable(files.catalog).fitting(fits_pattern(value), value)
    if ids is None:
        return None
    images = np.zeros(len(files.row_table), np.bool_)
    places = files.now.places(np.array(ids, np.int64))
    images[places[places >= 0]] = True
    return ~images if operator else images


def _album_version(files: LibraryFiles, where: Mapping[str, str]) -> int:
    """What a filter's answer depends on besides the images; 0 where it names no album."""
    is_asked = any(key_of(key)[0] == ALBUM for key in where)
    return AlbumTable(files.catalog).version() if is_asked else 0


OWN_FIELDS = ("title", "caption", "format", "taken_at", "folder", "orientation", ALBUM)
"""What `where` may name of every image, whatever its metadata."""
_FIELDS = "relook info --fields lists what there is"


def why_empty(files: LibraryFiles, only: Filter) -> str:
    """Why nothing was found; empty where the filter is not the reason."""
    catalog, where, path = files.catalog, only.where, only.path
    if not catalog.count("images"):
        return "the library has no pictures yet: relook index FOLDER"
    if fitting_images(files, where, path).any():
        least = only.min_fit  # else what fits was shown before, or is away
        return f"no other picture has a fit of {least:g} or more" if least else ""
    for key, value in where.items():
        if key_of(key) == (ALBUM, "") and not fitting_images(files, {key: value}, None).any():
            return _no_album(files, key, value)
        names = ("latitude", "longitude") if key == NEAR else (key_of(key)[0],)
        for name in names:
            sql = "SELECT 1 FROM images WHERE json_extract(metadata, ?) IS NOT NULL LIMIT 1"
            if name not in OWN_FIELDS and not catalog.ask(sql, (f'$."{name}"',)):
                what = "a place" if key == NEAR else f"the field {name!r}"
                return f"no picture has {what}; {_FIELDS}"
    parts = [{key: where[key]} for key in where]
    alone: list[tuple[dict[str, str], str | None]] = [(part, None) for part in parts] + (
        [({}, path)] if path else []
    )
    for part, pattern in alone:
        if not fitting_images(files, part, pattern).any():
            text = f"path {pattern}" if pattern else _written(*next(iter(part.items())))
            return f"no picture fits {text}"
    return "no picture fits all filters together"


def _no_album(files: LibraryFiles, key: str, value: str) -> str:
    """Why no picture is in an album."""
    if in_albums(files, key, value) is not None:
        return f"the album {value} holds no picture of the library now"
    names = ", ".join(album.name for album in AlbumTable(files.catalog).all()[:12])
    return f"this library has no album {value}; it has {names}"


def file_date_note(records: Sequence[ImageRecord], where: Mapping[str, str]) -> str:
    """How many of some images were compared by the date of their file; empty when none was."""
    if not any(key_of(key)[0] == "taken_at" and key_of(key)[1] for key in where):
        return ""
    n = sum("taken_at" not in record.metadata for record in records)
    return f"{n:,} of these say no time of their own: the date of the file counts" if n else ""


def _written(key: str, value: str) -> str:
    """A filter as a person writes it."""
    name, operator = key_of(key)
    return f"{name} near {value}" if key == NEAR else f"{name}{operator or '='}{value}"


def only_fitting(
    only: Filter, wanted: LookedFor | None, files: LibraryFiles, encoder: Encoder
) -> Filter:
    """A filter whose least fit has become images that are left out.

    Args:
        only: With a least fit, or without: then it is returned as it is.
        wanted: What fit is told of.
        files: The library.
        encoder: Its encoder.

    Raises:
        InputError: `no_fit` where fit is not known.
    """
    if not only.min_fit or not len(files.row_table):
        return only
    if wanted is None or not fit_scale(files, encoder).is_known:
        raise InputError(
            "no_fit",
            "fit is not known here, so none can be asked for",
            "it is told of words, in libraries of 30 pictures or more; leave the least fit out",
        )
    below = _fits(wanted, files, encoder) < only.min_fit - _ROUNDING
    return replace(only, without=only.without | set(files.row_table[below, 2].tolist()))


def _fits(wanted: LookedFor, files: LibraryFiles, encoder: Encoder) -> Floats:
    """[n images by row] how well each fits; kept for a moment of the files."""
    known: dict[object, Floats] = files.derived.setdefault(_FITS, {})
    key = wanted.vectors.tobytes(), wanted.usual.tobytes(), wanted.places
    if key not in known:
        ids = files.row_table[:, 2].tolist()
        parts = [ids[at : at + _AT_ONCE] for at in range(0, len(ids), _AT_ONCE)]
        fits = [fit for part in parts for fit in fits_of(wanted, part, files, encoder)]
        for old in list(known)[: max(len(known) - _FITS_KEPT + 1, 0)]:
            known.pop(old, None)  # another thread may have been faster
        known[key] = np.array(fits, np.float32)
    return known[key]
