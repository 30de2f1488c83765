"""The columns of `library.fact_table` in memory: filters and counts of a million images in
milliseconds.

They are read once, taken in where they changed, and kept between processes in a file with a
checksum for large libraries. Layer: library.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relook.core.errors import InputError
from relook.core.picture_paths import printable
from relook.core.vectors import Ints
from relook.library.column_files import FACTS_FILE, columns_now, keep_file, kept_file
from relook.library.image_table import NEAR, check_pattern, key_of, place_of_filter, plain
from relook.stores.base import Mask

if TYPE_CHECKING:
    from relook.library.catalog import Catalog
    from relook.library.files import LibraryFiles

_PART = 500_000  # images whose values are one text
NO_TIME = -(2**62)
_KINDS = {
    "image_id": "<i8", "taken_s": "<i8", "is_own": "|i1", "rating": "<f4", "latitude": "<f4",
    "longitude": "<f4", "camera": "<i4", "lens": "<i4", "folder": "<i4", "shape": "|i1",
}  # fmt: skip
_MISSING = {"<f4": "'nan'", "<i8": str(NO_TIME), "<i4": "0", "|i1": "0"}
SHAPES = ("", "landscape", "portrait", "square")
_NAMED = ("camera", "lens", "folder")
_PERIOD = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d)(?::(\d\d)(?::(\d\d))?)?)?)?)?\*?")
_EARTH_KM = 6371.0
_DERIVED = "facts"

Values = NDArray[Any]


@dataclass(frozen=True, slots=True)
class FactColumns:
    """The columns of a catalog at one moment.

    Args:
        change: The newest change that is in them.
        values: Name -> [n] values, in the order of the image ids.
        names: Id of a name -> the name.
    """

    change: int
    values: dict[str, Values]
    names: dict[int, bytes] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.values["image_id"])


def read_columns(catalog: Catalog, known: FactColumns | None = None) -> FactColumns:
    """Reads the columns.

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
        since = -1 if known is None else known.change
        values = _values(catalog, since)
        names = {int(str(i)): bytes(name) for i, name in catalog.ask("SELECT * FROM names")}  # type: ignore[call-overload]
    if known is not None and len(known):
        still = ~np.isin(known.values["image_id"], values["image_id"])
        values = {
            key: np.concatenate([known.values[key][still], new]) for key, new in values.items()
        }
    order = np.argsort(values["image_id"], kind="stable")
    return FactColumns(change, {key: value[order] for key, value in values.items()}, names)


def _values(catalog: Catalog, since: int) -> dict[str, Values]:
    """Every column of the images that changed since, in parts of bounded size."""
    columns = ", ".join(
        f"group_concat(coalesce({name}, {_MISSING[kind]}))" for name, kind in _KINDS.items()
    )
    sql = (
        f"SELECT {columns} FROM (SELECT * FROM facts WHERE image_id > ? AND change > ?"
        " ORDER BY image_id LIMIT ?)"
    )
    parts: list[list[Values]] = []
    last = -(2**62)
    while True:
        [texts] = catalog.ask(sql, (last, since, _PART))
        if texts[0] is None:
            break
        parts.append(
            [
                np.fromstring(str(text), "<f8" if "f" in kind else "<i8", sep=",").astype(kind)
                for text, kind in zip(texts, _KINDS.values(), strict=True)
            ]
        )
        last = int(parts[-1][0][-1])
    if not parts:
        return {name: np.zeros(0, kind) for name, kind in _KINDS.items()}
    return {name: np.concatenate([part[at] for part in parts]) for at, name in enumerate(_KINDS)}


def keep_columns(folder: Path, columns: FactColumns) -> None:
    """Writes columns beside the catalog. Where the disk refuses, the first filter takes longer."""
    data = b"".join(columns.values[key].tobytes() for key in _KINDS)
    names = json.dumps({str(i): name.decode("latin-1") for i, name in columns.names.items()})
    facts = {"change": columns.change, "n": len(columns)}
    keep_file(folder / FACTS_FILE, facts, data + names.encode())


def kept_columns(folder: Path) -> FactColumns | None:
    """The columns that were written last; None when there are none or the file is damaged."""
    return kept_file(folder / FACTS_FILE, _columns)


def _columns(facts: dict[str, Any], data: bytes) -> FactColumns:
    n, at, values = int(facts["n"]), 0, {}
    for key, kind in _KINDS.items():
        values[key] = np.frombuffer(data, kind, n, at)
        at += values[key].nbytes
    names = {int(i): name.encode("latin-1") for i, name in json.loads(data[at:]).items()}
    return FactColumns(int(facts["change"]), values, names)


def facts_of(files: LibraryFiles) -> Facts | None:
    """The facts of the images of this moment; None in a catalog of an older version.

    Such a one gets them when it is opened for writing.
    """
    facts: Facts | None = files.derived.get(_DERIVED)
    if facts is None:
        columns = columns_now(files, _DERIVED, kept_columns, read_columns, keep_columns)
        if columns is None:
            return None
        facts = files.derived[_DERIVED] = Facts.of(columns, files.row_table[:, 2])
    return facts


@dataclass
class Facts:
    """What is known of the images of one moment, in the order of their rows.

    Args:
        values: Name -> [n] values.
        names: Id of a name -> the name.
    """

    values: Mapping[str, Values]
    names: Mapping[int, bytes]

    @classmethod
    def of(cls, columns: FactColumns, image_ids: Ints) -> Facts:
        """The facts of images [n]; of those that the columns do not have, nothing."""
        known = columns.values["image_id"]
        if np.array_equal(known, image_ids):
            return cls(columns.values, columns.names)
        at = np.minimum(np.searchsorted(known, image_ids), max(len(known) - 1, 0))
        has = known[at] == image_ids if len(known) else np.zeros(len(image_ids), np.bool_)
        values = {}
        for name, kind in _KINDS.items():
            missing = np.nan if "f" in kind else NO_TIME if name == "taken_s" else 0
            column = np.full(len(image_ids), missing, kind)
            column[has] = columns.values[name][at[has]]
            values[name] = column
        return cls(values, columns.names)

    def fitting(self, key: str, value: str) -> Mask | None:
        """[n] which images a filter lets through; None for one that other columns must tell.

        Args:
            key: As `Catalog.matching` takes it.
            value: Likewise.

        Raises:
            InputError: `bad_filter` for a value that is none of its kind.
        """
        name, operator = key_of(key)
        check_pattern(value)
        if key == NEAR:
            return self._near(*place_of_filter(value))
        if name == "taken_at":
            return self._taken(operator, value.strip())
        if name == "rating" and operator != "!=":
            return self._rating(operator, value)
        if name in (*_NAMED, "orientation") and operator in ("", "!="):
            mask = self._named(name, value.strip() if operator else value)
            return ~mask if operator else mask
        return None

    def _taken(self, operator: str, value: str) -> Mask | None:
        taken, start, end = self.values["taken_s"], *period(value)
        if start is None or end is None or operator == "!=":
            if operator in ("", "!="):
                return None  # a pattern of the text
            raise InputError(
                "bad_filter",
                f"{value!r} is not a date",
                "write 2019, 2019-07, 2019-07-14 or with T12:30",
            )
        is_known = taken != NO_TIME
        if not operator:
            own: Mask = is_known & (self.values["is_own"] > 0) & (taken >= start) & (taken < end)
            return own
        compared: dict[str, Callable[[], Mask]] = {
            ">=": lambda: taken >= start, ">": lambda: taken >= end,
            "<": lambda: taken < start, "<=": lambda: taken < end,
        }  # fmt: skip
        fitting: Mask = is_known & compared[operator]()
        return fitting

    def _rating(self, operator: str, value: str) -> Mask | None:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            if not operator:
                return None
            raise InputError("bad_filter", f"{value!r} is no number", f"as in rating{operator}4")
        rating = self.values["rating"]
        compared: dict[str, Mask] = {
            "": rating == number, ">=": rating >= number, "<=": rating <= number,
            ">": rating > number, "<": rating < number,
        }  # fmt: skip
        return compared[operator]

    def _near(self, north: float, east: float, km: float) -> Mask:
        """Which images are near a place.

        Source: R. W. Sinnott, "Virtues of the Haversine", Sky and Telescope 68 (1984).
        """
        latitude, longitude = self.values["latitude"], self.values["longitude"]
        reach = math.degrees(km / _EARTH_KM) + 1e-3
        near = np.flatnonzero(np.abs(latitude - np.float32(north)) <= reach)  # NaN is not
        a, b = np.radians(latitude[near].astype(np.float64)), math.radians(north)
        half_east = np.radians(east - longitude[near].astype(np.float64)) / 2
        square = np.sin((b - a) / 2) ** 2 + np.cos(a) * math.cos(b) * np.sin(half_east) ** 2
        mask = np.zeros(len(latitude), np.bool_)
        mask[near] = 2 * _EARTH_KM * np.arcsin(np.sqrt(np.minimum(square, 1.0))) <= km
        return mask

    def _named(self, name: str, pattern: str) -> Mask:
        fits = fits_pattern(pattern)
        if name == "orientation":
            chosen = [code for code, shape in enumerate(SHAPES) if shape and fits(shape)]
            return np.isin(self.values["shape"], chosen)
        column = self.values[name]
        chosen = [i for i in self._used(name) if any(map(fits, spellings(name, self.names[i])))]
        table = np.zeros(max(self.names, default=0) + 1, np.bool_)
        table[chosen] = True
        return table[column]

    def _used(self, name: str) -> list[int]:
        """Ids of the names that a column has."""
        counts = np.bincount(self.values[name], minlength=1)
        return [i for i in np.flatnonzero(counts).tolist() if i in self.names]

    @cached_property
    def months(self) -> Ints:
        """[n] months since 1970, `NO_TIME` where no time is known."""
        taken = self.values["taken_s"]
        months: Ints = taken.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64)
        months[taken == NO_TIME] = NO_TIME
        return months


def period(text: str) -> tuple[int | None, int | None]:
    """First second of a date, and the first one behind it, since 1970; None for no date.

    Args:
        text: "2019", "2019-07", "2019-07-14T12:30"; a `*` at its end says no more.
    """
    match = _PERIOD.fullmatch(text)
    if match is None:
        return None, None
    parts = [part for part in match.groups() if part is not None]
    unit = "YMDhms"[len(parts) - 1]
    iso = "-".join(parts[:3]) + ("T" + ":".join(parts[3:]) if len(parts) > 3 else "")
    try:
        start = np.array(iso, f"datetime64[{unit}]")
    except ValueError:
        return None, None
    first, behind = (time.astype("datetime64[s]").astype(np.int64) for time in (start, start + 1))
    return int(first), int(behind)


def spellings(name: str, value: bytes) -> tuple[str, ...]:
    """What a name may be called in a filter; what is shown comes first.

    Args:
        name: Of the column.
        value: As the table has it: a camera is its maker, a line break, and its model.
    """
    text = printable(value)
    if name == "folder":
        bare = text[:-1] if len(text) > 1 and text[-1] in "/\\" else text
        return (bare.removesuffix("!"), text)
    if name != "camera":
        return (text,)
    maker, _, model = text.partition("\n")
    has_maker = model.lower().startswith(maker.lower().split(" ")[0]) if maker else True
    both = model if has_maker else f"{maker} {model}".strip()
    return (both, model, maker, f"{maker} {model}")


def fits_pattern(pattern: str) -> Callable[[str], bool]:
    """Whether a text fits a pattern with `*` and `?`, as `image_table` compares them."""
    text = str(plain(printable(pattern)))
    parts = {"*": ".*", "?": "."}
    compiled = re.compile("".join(parts.get(c, re.escape(c)) for c in text), re.DOTALL)
    return lambda value: compiled.fullmatch(str(plain(value))) is not None
