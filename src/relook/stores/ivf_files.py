"""The files of an index: segments that FAISS reads, and the card that names them. Layer: stores.

A segment covers consecutive rows and never changes. The card is replaced whole, so a reader
sees the old segments or the new ones; files that no card names are what a kill left over.
Segments are mapped, not read: opening one of ten million rows takes milliseconds. The centres of
the lists, and the directions along which rows are coded, are in files that all segments share.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
import zlib
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from relook.core.errors import LibraryFormatError
from relook.core.vectors import Floats, Ints
from relook.stores.base import Mask, VectorSource

if TYPE_CHECKING:
    from relook.stores.ivf_lists import Lists

_FORMAT = 5
_N_SAMPLED = 32
_OURS = (".faiss", ".centres", ".directions", ".json", ".new", ".work")


@dataclass(frozen=True, slots=True)
class Written:
    """A file as it was written.

    Args:
        name, n_bytes, crc32, mtime_ns: Of it.
    """

    name: str
    n_bytes: int
    crc32: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path) -> Written:
        """Says what a file is now, which must not change any more."""
        facts = path.stat()
        return cls(path.name, facts.st_size, _crc32(path), facts.st_mtime_ns)

    def checked(self, folder: Path) -> Path:
        """Where it is; a file with the size and the time of then is taken as it is.

        Another one (restored, copied, touched) is read and compared first.

        Raises:
            OSError, RuntimeError: when it is missing or another.
        """
        path = folder / self.name
        facts = path.stat()
        if facts.st_size != self.n_bytes or (
            facts.st_mtime_ns != self.mtime_ns and _crc32(path) != self.crc32
        ):
            raise RuntimeError("the file is not as it was when it was written")
        return path


@dataclass(frozen=True, slots=True)
class Segment:
    """One file of FAISS over the rows start..stop.

    Args:
        file: As it was written.
        start, stop: Rows it covers.
        closeness: Mean inner product of its rows with the centre of their list.
        rows_crc32: Stands for the vectors it was made of, see `rows_crc32`.
    """

    file: Written
    start: int
    stop: int
    closeness: float
    rows_crc32: int


@dataclass(frozen=True, slots=True)
class Probes:
    """How far a search has to look, as measured when the index was trained.

    Args:
        near_lists, near_short: Lists read and rows scored again exactly for a query that lies
            among the rows, as pictures do.
        far_lists, far_short: For one that lies outside, as words do.
        edge: How high a list must reach for a query that is near.
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
        centres: The file with the centres of the lists.
        directions: The file with the directions along which rows are coded.
        trained_rows: Rows there were when it was trained.
        closeness: Mean inner product of a row with the centre of its list then.
        probes: How far to look.
        recall: Recall@20 that was measured for them.
        segments: Consecutive, from row 0.
    """

    kind: str
    dim: int
    n_lists: int
    centres: Written
    directions: Written
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
            LibraryFormatError: `bad_index` when it is missing or damaged; `other_index` when
                another version made it.
        """
        path = _card_path(folder, number)
        try:
            values = json.loads(path.read_text("utf-8"))
            if values.pop("format") != _FORMAT:
                raise LibraryFormatError("other_index", f"another version of Relook made {path}")
            values["segments"] = tuple(
                Segment(**{**segment, "file": Written(**segment["file"])})
                for segment in values["segments"]
            )
            for name in ("centres", "directions"):
                values[name] = Written(**values[name])
            return cls(**{**values, "probes": Probes(**values["probes"])})
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise LibraryFormatError("bad_index", f"cannot read {path}: {error}") from error

    def write(self, folder: Path, number: int) -> None:
        """Puts the card in the place of the one before, in one step."""
        write_json(_card_path(folder, number), {"format": _FORMAT, **asdict(self)})


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Puts a file of JSON in the place of the one before, in one step."""
    new = path.with_name(f"{path.name}.new")
    try:
        with open(new, "w", encoding="utf-8") as file:
            json.dump(values, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def new_file(folder: Path, write: Callable[[Path], object], suffix: str = ".faiss") -> Written:
    """Has a file of FAISS written under a name that no other has.

    Raises:
        OSError, RuntimeError: when the disk refuses; nothing is left of it then.
    """
    folder.mkdir(exist_ok=True)
    path = folder / f"{uuid.uuid4().hex[:12]}{suffix}"
    try:
        write(path)
        with open(path, "rb") as file:
            os.fsync(file.fileno())
        return Written.of(path)
    except BaseException:
        path.unlink(missing_ok=True)
        raise


def open_segment(folder: Path, segment: Segment) -> Any:
    """Maps a segment; its lists have no centres.

    Raises:
        LibraryFormatError: `bad_index` when it is missing or damaged.
    """
    from relook.stores.ivf_lists import open_lists  # FAISS takes a tenth of a second

    try:
        index = open_lists(segment.file.checked(folder))
        if index.ntotal > segment.stop - segment.start:
            raise RuntimeError("it holds more rows than it should")
    except (OSError, RuntimeError) as error:
        path = folder / segment.file.name
        raise LibraryFormatError("bad_index", f"cannot use {path}: {error}") from error
    return index


def open_centres(folder: Path, card: Card) -> Lists:
    """Maps the centres of the lists.

    Raises:
        LibraryFormatError: `bad_index` when the file is missing or damaged.
    """
    from relook.stores.ivf_lists import Lists

    try:
        lists = Lists.read(card.centres.checked(folder))
        if len(lists) != card.n_lists:
            raise RuntimeError("it has not as many centres as it should")
    except (OSError, RuntimeError) as error:
        path = folder / card.centres.name
        raise LibraryFormatError("bad_index", f"cannot use {path}: {error}") from error
    return lists


def open_directions(folder: Path, file: Written) -> Floats:
    """The directions [d, k] along which rows are coded.

    Raises:
        LibraryFormatError: `bad_index` when the file is missing or damaged.
    """
    try:
        directions: Floats = np.load(file.checked(folder), allow_pickle=False)
        if directions.dtype != np.float32 or directions.ndim != 2:
            raise ValueError("it holds something else")
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        path = folder / file.name
        raise LibraryFormatError("bad_index", f"cannot use {path}: {error}") from error
    return directions


def write_directions(path: Path, directions: Floats) -> None:
    """Writes them into a file."""
    with open(path, "wb") as file:
        np.save(file, directions, allow_pickle=False)


def sweep(folder: Path, number: int, card: Card | None) -> None:
    """Removes what the card of vectors file `number` does not name. Writer's lock held.

    All files of indexes go where there is to be none.
    """
    kept = set[str]()
    if card is not None:
        kept = {_card_path(folder, number).name, card.centres.name, card.directions.name}
        kept |= {segment.file.name for segment in card.segments}
    for path in folder.iterdir():
        if path.name not in kept and path.suffix in _OURS:
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
    from relook.stores.ivf_lists import Kept, write_lists

    card = Card.read(folder, number - 1)
    kept = np.flatnonzero(alive)
    segments: list[Segment] = []
    for segment in card.segments:
        index = open_segment(folder, segment)
        start, stop = (int(np.searchsorted(kept, row)) for row in (segment.start, segment.stop))
        if stop > start:
            rows = Kept(index, alive, new_row)
            file = new_file(folder, partial(write_lists, index=index, entries=rows))
            stands_for = rows_crc32(_New(source, kept), start, stop)
            segments.append(Segment(file, start, stop, segment.closeness, stands_for))
    trained = max(int(card.trained_rows * len(kept) / max(len(alive), 1)), 1)
    replace(card, segments=tuple(segments), trained_rows=trained).write(folder, number)


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
