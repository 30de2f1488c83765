"""Keywords of images, each by itself, in memory: filters and counts of a million images in
milliseconds.

They are read once, taken in where they changed, and kept between processes in a file with a
checksum for large libraries, as the other columns are (`library.column_files`). Layer: library.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relook.core.picture_paths import printable
from relook.core.vectors import Ints
from relook.library.column_files import KEYWORDS_FILE, columns_now, keep_file, kept_file
from relook.library.fact_columns import fits_pattern
from relook.library.image_table import KEYWORDS, check_pattern, plain
from relook.library.sqlite_errors import whole_number
from relook.library.tombstones import OBJECT
from relook.stores.base import Mask

if TYPE_CHECKING:
    from relook.library.catalog import Catalog
    from relook.library.files import LibraryFiles

Numbers = NDArray[np.int32]
# Within one keyword, whatever stands around it: what else may fit a pattern the catalog tells.
_WITHIN_ONE = re.compile(r"\*?[^\s*?,\[\]\"\\](?:[^*?,\[\]\"\\]*[^\s*?,\[\]\"\\])?\*?")


@dataclass(frozen=True)
class KeywordColumns:
    """The keywords of a catalog at one moment.

    Args:
        change: The newest change that is in them.
        names: Each keyword as it was written first; capitals do not make another one.
        image_ids: [m] ascending, of the images that have keywords.
        counts: [m] how many each of them has.
        which: [k] numbers of keywords, image by image.
    """

    change: int
    names: list[str]
    image_ids: Ints
    counts: Ints
    which: Numbers

    @cached_property
    def plain_names(self) -> dict[str, int]:
        """A keyword as filters compare it -> its number."""
        return {str(plain(name)): number for number, name in enumerate(self.names)}


@dataclass(frozen=True, slots=True)
class Keywords:
    """The keywords of the images of one moment.

    Args:
        names: Each keyword, as it is shown.
        places: [k] lines in the row table.
        which: [k] numbers of keywords.
    """

    names: list[str]
    places: Numbers
    which: Numbers

    def fitting(self, pattern: str, n_images: int) -> Mask | None:
        """[n images by row] which have a keyword that fits; None where the catalog must tell.

        Args:
            pattern: As `Catalog.matching` takes it.
            n_images: Lines of the row table.

        Raises:
            InputError: `bad_filter`.
        """
        check_pattern(pattern)
        if not _WITHIN_ONE.fullmatch(pattern):
            return None
        fits = fits_pattern(pattern)
        chosen = np.array([fits(name) for name in self.names], np.bool_)
        images = np.zeros(n_images, np.bool_)
        images[self.places[chosen[self.which]]] = True
        return images

    def counts(self, images: Mask) -> Ints:
        """[number of keywords] how many of some images [n images by row] have each."""
        counted: Ints = np.bincount(self.which[images[self.places]], minlength=len(self.names))
        return counted


def keywords_of(files: LibraryFiles) -> Keywords | None:
    """The keywords of the images of this moment; None in a catalog of an older version."""
    keywords: Keywords | None = files.derived.get(KEYWORDS)
    if keywords is None:
        columns = columns_now(files, KEYWORDS, _kept, read_keywords, _keep)
        if columns is None:
            return None
        places = files.now.places(columns.image_ids).astype(np.int32)
        each = np.repeat(places, columns.counts)
        here = each >= 0
        keywords = Keywords(columns.names, each[here], columns.which[here])
        files.derived[KEYWORDS] = keywords
    return keywords


def read_keywords(catalog: Catalog, known: KeywordColumns | None = None) -> KeywordColumns:
    """Reads the keywords.

    Args:
        catalog: One that has facts.
        known: Earlier ones; only what changed since is then read.
    """
    with catalog.reading():
        change = catalog.counter("fact_changes")
        if known is not None and known.change == change:
            return known
        if known is not None and known.change > change:
            known = None  # of another history
        field = f"json_extract(CASE {OBJECT} WHEN 'object' THEN metadata END, '$.{KEYWORDS}')"
        if known is None:
            nothing = np.zeros(0, np.int64)
            known = KeywordColumns(change, [], nothing, nothing, np.zeros(0, np.int32))
            since, changed = "1", nothing
        else:
            since = f"image_id IN (SELECT image_id FROM facts WHERE change > {known.change})"
            rows = catalog.ask("SELECT image_id FROM facts WHERE change > ?", (known.change,))
            changed = np.array(rows, np.int64).reshape(-1)
        rows = catalog.ask(
            f"SELECT image_id, {field} FROM images WHERE {since} AND {field} IS NOT NULL"
        )
    return _with(known, change, changed, rows)


def _with(
    known: KeywordColumns, change: int, changed: Ints, rows: list[tuple[object, ...]]
) -> KeywordColumns:
    """Keywords after some images changed, of which those in `rows` have keywords."""
    names, numbers = list(known.names), dict(known.plain_names)
    ids, counts, which = list[int](), list[int](), list[int]()
    for image_id, text in rows:
        own = dict[str, str]()
        for keyword in _parted(str(text)):
            own.setdefault(str(plain(keyword)), keyword)
        for key, keyword in own.items():
            if key not in numbers:
                numbers[key] = len(names)
                names.append(keyword)
            which.append(numbers[key])
        ids.append(whole_number(image_id))
        counts.append(len(own))
    stays = ~np.isin(known.image_ids, changed)
    image_ids = np.concatenate([known.image_ids[stays], np.array(ids, np.int64)])
    n_each = np.concatenate([known.counts[stays], np.array(counts, np.int64)])
    kept = known.which[np.repeat(stays, known.counts)]
    every = np.concatenate([kept, np.array(which, np.int32)])
    order = np.argsort(image_ids, kind="stable")
    of_image = np.argsort(np.repeat(image_ids, n_each), kind="stable")
    return KeywordColumns(change, names, image_ids[order], n_each[order], every[of_image])


def _parted(text: str) -> list[str]:
    """Keywords of a field: parted by commas, or a JSON list as a sidecar may give them."""
    if text.startswith("["):
        with contextlib.suppress(ValueError):
            return [printable(str(keyword)) for keyword in json.loads(text) if keyword]
    return [printable(keyword) for keyword in text.split(", ") if keyword]


def _keep(folder: Path, columns: KeywordColumns) -> None:
    columns_of = ((columns.image_ids, "<i8"), (columns.counts, "<i8"), (columns.which, "<i4"))
    data = b"".join(values.astype(kind).tobytes() for values, kind in columns_of)
    facts = {
        "change": columns.change, "n_images": len(columns.image_ids), "n": len(columns.which),
    }  # fmt: skip
    keep_file(folder / KEYWORDS_FILE, facts, data + json.dumps(columns.names).encode())


def _kept(folder: Path) -> KeywordColumns | None:
    def columns(facts: dict[str, Any], data: bytes) -> KeywordColumns:
        n_images, n = int(facts["n_images"]), int(facts["n"])
        both = np.frombuffer(data, "<i8", 2 * n_images)
        which = np.frombuffer(data, "<i4", n, both.nbytes)
        names = [str(name) for name in json.loads(data[both.nbytes + which.nbytes :])]
        image_ids, counts = both[:n_images], both[n_images:]
        return KeywordColumns(int(facts["change"]), names, image_ids, counts, which)

    return kept_file(folder / KEYWORDS_FILE, columns)
