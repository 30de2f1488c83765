"""Paths of images in memory, for filters: a pattern is compared with a million in milliseconds.

Of each path there is the number of its folder, and its last part in one buffer, as filters compare
them. They are read once, taken in where they changed, and kept between processes as the other
columns are (`library.column_files`). In small libraries the catalog is as fast. Layer: library.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from relook.core.picture_paths import printable
from relook.core.vectors import Ints
from relook.library.column_files import PATHS_FILE, columns_now, keep_file, kept_file
from relook.library.image_table import check_pattern, plain, whole_path
from relook.library.row_table import KEPT_FROM
from relook.library.sqlite_errors import whole_number
from relook.stores.base import Mask

if TYPE_CHECKING:
    from relook.library.catalog import Catalog
    from relook.library.files import LibraryFiles

Numbers = NDArray[np.int32]
_DERIVED = "paths"
_PART = 100_000  # images that are read at once
_BLOCK = 16_384  # texts that are compared at once: what is looked at stays in the processor's cache
_WORD = 8  # bytes that are compared at once
_NOWHERE = 2**62


class Texts:
    """Many texts in one buffer, to be compared with pieces of a pattern.

    Args:
        data: Each text in UTF-8, with a NUL behind it; no text has one in it.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self.size = len(data)
        padded = b"".join((data, bytes(_WORD)))
        self.bytes = np.frombuffer(padded, np.uint8, self.size)
        self._words = np.ndarray((self.size,), "<u8", padded, strides=(1,))
        self._ends = np.flatnonzero(self.bytes == 0)
        seen = self.bytes[:: max(self.size >> 16, 1)]
        self._frequency = np.bincount(seen, minlength=256)

    def __len__(self) -> int:
        return len(self._ends)

    @property
    def data(self) -> bytes:
        """The buffer."""
        return self.bytes.tobytes()

    @cached_property
    def lengths(self) -> Ints:
        """[n] bytes of each text with its NUL."""
        return np.diff(self._ends, prepend=-1)

    def blocks(self) -> Iterator[tuple[slice, Ints, Ints]]:
        """Which texts, where each begins [k], and where it ends [k]; some thousands at once."""
        for at in range(0, len(self), _BLOCK):
            ends = self._ends[at : at + _BLOCK]
            first = int(self._ends[at - 1]) + 1 if at else 0
            yield slice(at, at + len(ends)), np.append(first, ends[:-1] + 1), ends

    def fitting(self, pieces: Sequence[bytes], among: Mask) -> Mask:
        """[n] which texts are these pieces with anything between them.

        Args:
            pieces: The first is how a text begins, the last how it ends; a single one is all.
            among: [n] the texts that are looked at; others do not fit.
        """
        fits = np.zeros(len(self), np.bool_)
        for block, starts, ends in self.blocks():
            if not among[block].any():
                continue
            if len(pieces) == 3 and not pieces[0] and not pieces[2]:  # wherever it stands
                stands = self._stands(pieces[1], int(starts[0]), int(ends[-1]) + 1)
                if stands.any():
                    within = np.logical_or.reduceat(stands, starts - starts[0])
                    fits[block] = within & among[block]
                continue
            n_met, at = self.met(pieces[: max(len(pieces) - 1, 1)], starts, ends)
            if n_met.max() < len(pieces) - 1:
                continue
            if len(pieces) > 1:
                n_met += self.ends_with(pieces[-1], at, ends)
            else:
                n_met -= at != ends
            fits[block] = (n_met == len(pieces)) & among[block]
        return fits

    def met(self, pieces: Sequence[bytes], starts: Ints, ends: Ints) -> tuple[Ints, Ints]:
        """How many of the pieces some texts have one behind the other, each as early as can be.

        Args:
            pieces: Of which the first begins the text.
            starts: [k] where the texts begin.
            ends: [k] where they end.

        Returns:
            [k] how many, [k] where the last of them ends.
        """
        begins = self._same(starts, pieces[0])
        n_met, last = begins.astype(np.int64), np.where(begins, starts + len(pieces[0]), starts)
        at = np.where(begins, last, _NOWHERE)
        for piece in pieces[1:]:
            if not (at < _NOWHERE).any():
                break
            first = int(starts[0])
            stands = np.flatnonzero(self._stands(piece, first, int(ends[-1])))
            places = np.append(stands + first, _NOWHERE)
            at = places[np.searchsorted(places, at)] + len(piece)
            at[at > ends] = _NOWHERE
            here = at < _NOWHERE
            n_met, last = n_met + here, np.where(here, at, last)
        return n_met, last

    def ends_with(self, piece: bytes, since: Ints, ends: Ints) -> Mask:
        """[k] which texts end with a piece that begins not before `since`."""
        starts = ends - len(piece)
        return (starts >= since) & self._same(starts, piece)

    def _stands(self, piece: bytes, start: int, stop: int) -> Mask:
        """[stop - start] whether a piece stands at each byte of a part of the buffer."""
        n_places = max(stop - start - len(piece) + 1, 0)
        stands = np.zeros(stop - start, np.bool_)
        stands[:n_places] = True
        rarest_first = sorted(range(len(piece)), key=lambda at: int(self._frequency[piece[at]]))
        for n, at in enumerate(rarest_first):
            letters = self.bytes[start + at : start + at + n_places]
            stands[:n_places] &= letters == piece[at]
            if n % 4 == 3 and not stands.any():
                break
        return stands

    def _same(self, places: Ints, piece: bytes) -> Mask:
        """[k] whether a piece stands at each place; a piece has no NUL, so it spans no texts."""
        same = np.ones(len(places), np.bool_)
        for at in range(0, len(piece), _WORD):
            if not same.any():
                break
            part = piece[at : at + _WORD]
            words = self._words[np.clip(places + at, 0, self.size - 1)]
            if len(part) < _WORD:
                words &= np.uint64((1 << 8 * len(part)) - 1)
            same &= words == np.uint64(int.from_bytes(part, "little"))
        return same


@dataclass(frozen=True)
class PathColumns:
    """The paths of a catalog at one moment, as filters compare them.

    Args:
        change: The newest change that is in them.
        image_ids: [n] of the images, in no order.
        which: [n] numbers of their folders.
        names: [n] what stands behind the last `/` of each path.
        folders: Each folder, up to and with its last `/`.
    """

    change: int
    image_ids: Ints
    which: Numbers
    names: Texts
    folders: Texts

    def fitting(self, pattern: str) -> Mask:
        """[n] which paths fit a pattern of texts with `*` between them.

        The last `/` of a piece that stands in folder and name is the last one of the path.
        Wherever a piece can stand in the folder, it need not stand further behind.
        """
        first, *middle, last = pattern.encode().split(b"*")
        pieces = [first, *filter(None, middle), last]
        fits = np.zeros(len(self.which), np.bool_)
        n_met, goes_on = self._in_folders(pieces)
        for n in np.unique(n_met).tolist():
            rest = [b"", *pieces[n:]]
            if n == 0 or b"/" in pieces[n]:  # it ends in the name; another one is there as a whole
                rest = [pieces[n].rpartition(b"/")[2], *pieces[n + 1 :]]
            among = (goes_on & (n_met == n))[self.which]
            fits |= among if rest == [b"", b""] else self.names.fitting(rest, among)
        return fits

    def _in_folders(self, pieces: Sequence[bytes]) -> tuple[Ints, Mask]:
        """[folders] how many pieces each has, and whether the next one may stand behind them.

        It may where the folder ends with what that piece has up to its last `/`.
        """
        counts, ways = [np.zeros(0, np.int64)], [np.zeros(0, np.bool_)]
        for _, starts, ends in self.folders.blocks():
            n_met, at = self.folders.met(pieces[:-1], starts, ends)
            goes_on = np.zeros(len(starts), np.bool_)
            for n in np.unique(n_met).tolist():
                within = pieces[n][: pieces[n].rfind(b"/") + 1]
                here = (n_met == n) & self.folders.ends_with(within, at, ends)
                goes_on |= here & (ends - starts == len(within)) if n == 0 else here
            counts.append(n_met)
            ways.append(goes_on)
        return np.concatenate(counts), np.concatenate(ways)


@dataclass(frozen=True, slots=True)
class Paths:
    """The paths of the images of one moment.

    Args:
        columns: Of the catalog.
        places: [n] their lines in the row table, -1 for images that are not there.
        n_images: How many lines that has.
    """

    columns: PathColumns
    places: Numbers
    n_images: int

    def fitting(self, pattern: str) -> Mask | None:
        """[n images by row] whose path fits; None for a pattern that the catalog must compare.

        Args:
            pattern: As `Catalog.matching` takes it.

        Raises:
            InputError: `bad_filter`.
        """
        check_pattern(pattern)
        if "?" in pattern:  # a letter of one or more bytes
            return None
        text = str(plain(printable(whole_path(pattern))))
        images = np.zeros(self.n_images + 1, np.bool_)  # the last one: of those that are not there
        images[self.places[self.columns.fitting(text)]] = True
        return images[:-1]


def paths_of(files: LibraryFiles) -> Paths | None:
    """The paths of the images of this moment; None where the catalog is asked.

    It is in small libraries, where it takes no 25 ms, and in those of an older version.
    """
    paths: Paths | None = files.derived.get(_DERIVED)
    n_images = len(files.row_table)
    if paths is None and n_images > KEPT_FROM:
        columns = columns_now(files, _DERIVED, _kept, read_paths, _keep)
        if columns is None:
            return None
        places = np.arange(n_images, dtype=np.int32)
        if not np.array_equal(columns.image_ids, files.row_table[:, 2]):
            places = files.now.places(columns.image_ids).astype(np.int32)
        paths = files.derived[_DERIVED] = Paths(columns, places, n_images)
    return paths


def read_paths(catalog: Catalog, known: PathColumns | None = None) -> PathColumns:
    """Reads the paths.

    Args:
        catalog: One that has facts.
        known: Earlier ones; only what changed since is then read.
    """
    with catalog.reading():
        change = catalog.counter("fact_changes")
        if known is not None and known.change == change:
            return known
        if known is None or known.change > change:  # of another history
            nothing = np.zeros(0, np.int64)
            known = PathColumns(-1, nothing, nothing.astype(np.int32), Texts(b""), Texts(b""))
        folders = known.folders.data.decode().split("\0")[:-1]
        numbers = {folder: number for number, folder in enumerate(folders)}
        image_ids, which, names = list[int](), list[int](), list[str]()
        for some_ids, paths in _changed(catalog, known.change):
            image_ids += some_ids
            for path in paths:
                folder, mark, name = path.rpartition("/")
                which.append(numbers.setdefault(folder + mark, len(numbers)))
                names.append(name)
    stays = ~np.isin(known.image_ids, image_ids)
    kept = known.names.bytes[np.repeat(stays, known.names.lengths)].tobytes()
    return PathColumns(
        change,
        np.concatenate([known.image_ids[stays], np.array(image_ids, np.int64)]),
        np.concatenate([known.which[stays], np.array(which, np.int32)]),
        Texts(kept + _joined(names)),
        Texts(_joined(numbers)),
    )


def _joined(texts: Iterable[str]) -> bytes:
    return "".join(text + "\0" for text in texts).encode()


def _changed(catalog: Catalog, since: int) -> Iterator[tuple[list[int], list[str]]]:
    """Images that changed, and their paths as filters compare them: up to a NUL."""
    read = "SELECT image_id, CAST(path AS BLOB) FROM images"
    anew = f"{read} WHERE image_id > ?1 ORDER BY image_id LIMIT ?2"
    only = "WHERE image_id IN (SELECT image_id FROM facts WHERE change > ?3) AND"
    sql, more = (anew, ()) if since < 0 else (anew.replace("WHERE", only), (since,))
    last = -(2**62)
    while rows := catalog.ask(sql, (last, _PART, *more)):
        image_ids = [whole_number(image_id) for image_id, _ in rows]
        texts = [bytes(path).partition(b"\0")[0] for _, path in rows]  # type: ignore[call-overload]
        # As one text, fast: nothing is composed with a NUL, and no letter looks past one.
        yield image_ids, str(plain(b"\0".join(texts))).split("\0")
        last = image_ids[-1]


def _keep(folder: Path, columns: PathColumns) -> None:
    numbers = columns.image_ids.astype("<i8").tobytes() + columns.which.astype("<i4").tobytes()
    facts = {
        "change": columns.change, "n": len(columns.image_ids), "n_bytes": columns.names.size,
    }  # fmt: skip
    keep_file(folder / PATHS_FILE, facts, numbers + columns.names.data + columns.folders.data)


def _kept(folder: Path) -> PathColumns | None:
    def columns(facts: dict[str, Any], data: bytes) -> PathColumns:
        n, n_bytes = int(facts["n"]), int(facts["n_bytes"])
        image_ids, which = np.frombuffer(data, "<i8", n), np.frombuffer(data, "<i4", n, 8 * n)
        texts = memoryview(data)[12 * n :]
        names, folders = texts[:n_bytes], texts[n_bytes:]
        return PathColumns(int(facts["change"]), image_ids, which, Texts(names), Texts(folders))

    return kept_file(folder / PATHS_FILE, columns)
