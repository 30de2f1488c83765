"""The files of an index: segments that FAISS reads, and the card that names them. Layer: stores.

A segment covers consecutive rows and never changes. The card is replaced whole, so a reader
sees the old segments or the new ones; files that no card names are what a kill left over.
Segments are mapped, not read: opening one of a million rows takes milliseconds.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from relook.core.errors import LibraryFormatError
from relook.core.vectors import Floats, Ints
from relook.stores.base import Mask, VectorSource

_FORMAT = 2
_N_SAMPLED = 32


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of FAISS over the rows start..stop.

    Args:
        name: Of the file.
        start, stop: Rows it covers.
        n_bytes, crc32, mtime_ns: Of the file as it was written.
        closeness: Mean inner product of its rows with the centre of their list.
        rows_crc32: Stands for the vectors it was made of, see `rows_crc32`.
    """

    name: str
    start: int
    stop: int
    n_bytes: int
    crc32: int
    mtime_ns: int
    closeness: float
    rows_crc32: int


@dataclass(frozen=True, slots=True)
class Probes:
    """How far a search has to look, as measured when the index was trained.

    Args:
        near_lists, near_short: Lists read and rows scored again exactly for a query that lies
            among the rows, as pictures do.
        far_lists, far_short: For one that lies outside, as words do.
        edge: Inner product with the nearest centre from which a query is near.
    """

    near_lists: int
    near_short: int
    far_lists: int
    far_short: int
    edge: float


@dataclass(frozen=True, slots=True)
class Card:
    """What an index is.

    Args:
        kind: A name of `plan.KINDS`.
        dim: Length of a row.
        n_lists: Inverted lists.
        trained_rows: Rows there were when it was trained.
        closeness: Mean inner product of a row with the centre of its list then.
        probes: How far to look.
        recall: Recall@20 that was measured for them.
        segments: Consecutive, from row 0.
    """

    kind: str
    dim: int
    n_lists: int
    trained_rows: int
    closeness: float
    probes: Probes
    recall: Mapping[str, float] = field(default_factory=dict)
    segments: tuple[Segment, ...] = ()

    @property
    def n_rows(self) -> int:
        """Rows it covers."""
        return self.segments[-1].stop if self.segments else 0

    @classmethod
    def read(cls, folder: Path, number: int) -> Card:
        """The card of the index over vectors file `number`.

        Raises:
            LibraryFormatError: `bad_index` when it is missing, damaged or of another version.
        """
        path = _card_path(folder, number)
        try:
            values = json.loads(path.read_text("utf-8"))
            if values.pop("format") != _FORMAT:
                raise ValueError("another version of Relook made it")
            segments = tuple(Segment(**segment) for segment in values.pop("segments"))
            return cls(**{**values, "segments": segments, "probes": Probes(**values["probes"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LibraryFormatError("bad_index", f"cannot read {path}: {error}") from error

    def write(self, folder: Path, number: int) -> None:
        """Puts the card in the place of the one before, in one step."""
        path = _card_path(folder, number)
        new = path.with_name(f"{path.name}.new")
        try:
            with open(new, "w", encoding="utf-8") as file:
                json.dump({"format": _FORMAT, **asdict(self)}, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        finally:
            new.unlink(missing_ok=True)


def write_segment(
    index: Any, folder: Path, source: VectorSource, start: int, stop: int, closeness: float
) -> Segment:
    """Writes an index over the rows start..stop of a source under a new name.

    Raises:
        OSError, RuntimeError: when the disk refuses.
    """
    import faiss  # a tenth of a second, which who only asks for the stamp need not pay

    folder.mkdir(exist_ok=True)
    path = folder / f"{uuid.uuid4().hex[:12]}.faiss"
    try:
        faiss.write_index(index, str(path))
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        facts = path.stat()
        return Segment(
            path.name, start, stop, facts.st_size, _crc32(path), facts.st_mtime_ns,
            closeness, rows_crc32(source, start, stop),
        )  # fmt: skip
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def open_segment(folder: Path, segment: Segment, *, whole: bool = False) -> Any:
    """Maps a segment.

    A file with the size and the time that it was written with is taken as it is; another one
    (restored, copied, touched) is read and compared first.

    Args:
        folder: Where it is.
        segment: As the card names it.
        whole: Read it into memory, to add rows.

    Raises:
        LibraryFormatError: `bad_index` when it is missing or damaged.
    """
    import faiss

    path = folder / segment.name
    try:
        facts = path.stat()
        if facts.st_size != segment.n_bytes or (
            facts.st_mtime_ns != segment.mtime_ns and _crc32(path) != segment.crc32
        ):
            raise RuntimeError("the file is not as it was when it was written")
        index = faiss.read_index(str(path), 0 if whole else faiss.IO_FLAG_MMAP_IFC)
        if index.ntotal > segment.stop - segment.start:
            raise RuntimeError("it holds more rows than it should")
    except (OSError, RuntimeError) as error:
        raise LibraryFormatError("bad_index", f"cannot use {path}: {error}") from error
    return index


def sweep(folder: Path, number: int, card: Card) -> None:
    """Removes what the card of vectors file `number` does not name. Writer's lock held."""
    kept = {_card_path(folder, number).name, *(segment.name for segment in card.segments)}
    for path in folder.iterdir():
        if path.name not in kept and path.suffix in (".faiss", ".json", ".new"):
            with contextlib.suppress(FileNotFoundError):
                path.unlink()


def rows_crc32(source: VectorSource, start: int, stop: int) -> int:
    """Stands for some rows: those of another library give another number."""
    rows = np.linspace(start, max(stop - 1, start), _N_SAMPLED).astype(np.int64)
    return zlib.crc32(source.rows(rows).tobytes())


def index_stamp(folder: Path, number: int) -> int:
    """Another number whenever another index came into use; 0 for none."""
    try:
        facts = _card_path(folder, number).stat()
    except OSError:
        return 0
    return hash((facts.st_mtime_ns, facts.st_ino))


def _card_path(folder: Path, number: int) -> Path:
    return folder / f"index-{number}.json"


def _crc32(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            total = zlib.crc32(data, total)
    return total


def renumber_index(
    source: VectorSource, folder: Path, number: int, alive: Mask, new_row: Ints
) -> None:
    """Writes the index of vectors file `number` from that of the file before.

    Args:
        source: The old rows.
        folder: Of the index.
        number: Of the new file of vectors; the old one's is one less.
        alive: [n] bool: old rows that are in the new file.
        new_row: [n] their new numbers.

    Raises:
        LibraryFormatError: `bad_index` when the old index is missing or damaged.
        OSError, RuntimeError: when the disk refuses.
    """
    card = Card.read(folder, number - 1)
    kept = np.flatnonzero(alive)
    segments: list[Segment] = []
    for segment in card.segments:
        index = open_segment(folder, segment, whole=True)
        start, stop = (int(np.searchsorted(kept, row)) for row in (segment.start, segment.stop))
        _renumber(index, alive, new_row)
        if stop > start:
            new = _New(source, kept)
            segments.append(write_segment(index, folder, new, start, stop, segment.closeness))
    trained = max(int(card.trained_rows * len(kept) / max(len(alive), 1)), 1)
    replace(card, segments=tuple(segments), trained_rows=trained).write(folder, number)


def _renumber(index: Any, alive: Mask, new_row: Ints) -> None:
    """Takes dead rows out of a segment and gives the others their new numbers."""
    import faiss

    dead = np.packbits(~alive, bitorder="little")
    index.remove_ids(faiss.IDSelectorBitmap(dead))
    lists = index.invlists
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            ids = faiss.rev_swig_ptr(lists.get_ids(number), size)
            ids[:] = new_row[ids]


class _New:
    """The rows of the new file, from the old one."""

    def __init__(self, source: VectorSource, kept: Ints) -> None:
        self._source, self._kept = source, kept
        self.dim = source.dim

    def __len__(self) -> int:
        return len(self._kept)

    def block(self, start: int, stop: int) -> Floats:
        return self._source.rows(self._kept[start:stop])

    def rows(self, rows: Ints) -> Floats:
        return self._source.rows(self._kept[rows])
