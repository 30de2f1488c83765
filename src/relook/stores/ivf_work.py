"""Rows of an index that are assigned and coded, kept while it is made. Layer: stores.

Assigning and coding take most of the time of building. What is done lies in two files of work,
and a card says how far they are good, so that a run that was killed is taken up where it was.
The files are removed when the index is finished, or the disk refuses.
"""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from relook.core.errors import LibraryFormatError
from relook.core.vectors import Floats
from relook.stores.base import VectorSource
from relook.stores.centres import Report
from relook.stores.ivf_files import Written, open_directions, rows_crc32, write_json
from relook.stores.ivf_lists import Bytes, Coded, Lists, open_lists
from relook.stores.plan import WHOLE

_FORMAT = 3
_BLOCK_ROWS = 16_384
_KEPT_EVERY = 16  # blocks
_AT_ONCE = 512  # rows, so that they stay near the processor
_KEPT = 0.97  # of how rows differ


@dataclass(frozen=True, slots=True)
class Base:
    """What the work rests on; work on anything else is thrown away.

    Args:
        kind, dim, n_lists: Of the index.
        start: First row of the work.
        trained_rows: Rows there were when the index was trained.
        centres: The centres of its lists.
        directions: The directions along which rows are coded.
        trained: A segment, empty perhaps, that knows how to code rows.
    """

    kind: str
    dim: int
    n_lists: int
    start: int
    trained_rows: int
    centres: Written
    directions: Written
    trained: Written


@dataclass(frozen=True, slots=True)
class _Done:
    """How far the work is.

    Args:
        base: What it rests on.
        stop: The row behind the last that is done.
        closeness: Sum of inner products of the rows with the centre of their list.
        rows_crc32: Stands for the rows, see `rows_crc32`.
    """

    base: Base
    stop: int
    closeness: float
    rows_crc32: int

    @classmethod
    def read(cls, path: Path) -> _Done | None:
        """None when it is missing, damaged or of another version."""
        try:
            values = json.loads(path.read_text("utf-8"))
            if values.pop("format") != _FORMAT:
                return None
            base = values["base"]
            files = {name: Written(**base[name]) for name in ("centres", "directions", "trained")}
            return cls(**{**values, "base": Base(**{**base, **files})})
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None


class Work:
    """The work on the rows from `base.start` on, for the index over one file of vectors.

    Args:
        folder: Of the index.
        number: Of the file of vectors.
        base: What it rests on.

    Raises:
        LibraryFormatError: `bad_index` when the files of the base cannot be used.
    """

    def __init__(self, folder: Path, number: int, base: Base) -> None:
        self._card, self.base = _card_path(folder, number), base
        self._lists_file, self._codes_file = _work_files(folder, number)
        try:
            self.lists = Lists.read(base.centres.checked(folder))
            self.directions = open_directions(folder, base.directions)
            self.index = open_lists(base.trained.checked(folder))
        except (OSError, RuntimeError) as error:
            raise LibraryFormatError("bad_index", f"cannot go on in {folder}: {error}") from error

    def keep(self, source: VectorSource, stop: int, closeness: float) -> None:
        """Has a later run go on from the row `stop`."""
        done = _Done(self.base, stop, closeness, rows_crc32(source, self.base.start, stop))
        write_json(self._card, {"format": _FORMAT, **asdict(done)})

    def fill(self, source: VectorSource, report: Report) -> tuple[Coded, float]:
        """Assigns and codes the rows up to the end of the source.

        Returns:
            All rows of the work, and their mean inner product with the centre of their list.

        Raises:
            OSError: when the disk refuses.
        """
        start, stop, n_code = self.base.start, len(source), int(self.index.code_size)
        at, closeness = self._done(source)
        with (
            _open_at(self._lists_file, (at - start) * 4) as lists_file,
            _open_at(self._codes_file, (at - start) * n_code) as codes_file,
        ):
            for n_blocks, row in enumerate(range(at, stop, _BLOCK_ROWS)):
                if n_blocks and n_blocks % _KEPT_EVERY == 0:
                    for file in (lists_file, codes_file):
                        file.flush()
                        os.fsync(file.fileno())
                    self.keep(source, row, closeness)
                report("filling the index", row - start, stop - start)
                block = source.block(row, min(row + _BLOCK_ROWS, stop))  # [b, d]
                near, lists = self.lists.assign(block)
                lists_file.write(lists.astype(np.int32).tobytes())
                codes_file.write(encoded(self.index, block @ self.directions).tobytes())
                closeness += float(near.sum())
        report("filling the index", stop - start, stop - start)
        assigned = np.fromfile(self._lists_file, np.int32)
        codes = np.memmap(self._codes_file, np.uint8, "r", shape=(stop - start, n_code))
        return Coded(assigned, codes, start), closeness / (stop - start)

    def _done(self, source: VectorSource) -> tuple[int, float]:
        """The row to go on from, and the sum of closeness up to there."""
        start, done = self.base.start, _Done.read(self._card)
        if done is None or done.base != self.base or not start <= done.stop <= len(source):
            return start, 0.0
        n_rows = done.stop - start
        same = done.rows_crc32 == rows_crc32(source, start, done.stop) and all(
            path.is_file() and path.stat().st_size >= n_rows * n_bytes
            for path, n_bytes in (
                (self._lists_file, 4),
                (self._codes_file, int(self.index.code_size)),
            )
        )
        return (done.stop, done.closeness) if same else (start, 0.0)


def remove_work(folder: Path, number: int) -> None:
    """Frees the room that work takes."""
    for path in (_card_path(folder, number), *_work_files(folder, number)):
        path.unlink(missing_ok=True)


def begun(folder: Path, number: int) -> Base | None:
    """What the work that a run left rests on; None where there is none."""
    done = _Done.read(_card_path(folder, number))
    return done.base if done else None


def _card_path(folder: Path, number: int) -> Path:
    return folder / f"work-{number}.json"


def _work_files(folder: Path, number: int) -> tuple[Path, Path]:
    return folder / f"lists-{number}.work", folder / f"codes-{number}.work"


def _open_at(path: Path, n_bytes: int) -> Any:
    """Opens a file to write behind its first bytes; what is there is cut off."""
    file = open(path, "ab")  # noqa: SIM115 - whoever calls closes it
    file.truncate(n_bytes)
    return file


def directions_of_codes(sample: Floats, seed: int = 7) -> Floats:
    """The directions [d, k] along which rows are coded, learnt from some of them [s, d].

    The main ones in which rows differ, as many as hold `_KEPT` of it: codes are scored by all their
    numbers, and most numbers of a row say little. Turned at random among themselves, so that rows
    differ alike along each: four bits a number are coarsest where rows differ most.

    Source: Jegou et al. 2010, "Aggregating local descriptors into a compact image representation",
    section 4 (main directions, then a random rotation, before rows are coded).
    """
    differences = sample - sample.mean(axis=0)
    spread, directions = np.linalg.eigh(differences.T @ differences)  # ascending
    held = np.cumsum(spread[::-1].clip(0))
    n = int(np.searchsorted(held, _KEPT * held[-1])) + 1
    n = min(-(-n // WHOLE) * WHOLE, len(spread))
    turn, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(n, n)))
    return np.ascontiguousarray(directions[:, -n:] @ turn, np.float32)


def sort_codes(index: Any) -> None:
    """Has the codes of numbers that are coded one by one ascend with the numbers."""
    if _codes_numbers(index):
        values = _values(index)
        values.sort(axis=1)
        faiss.copy_array_to_vector(values.ravel(), index.pq.centroids)


def encoded(index: Any, rows: Floats) -> Bytes:
    """Codes [n, c] of rows along the directions of codes [n, k], as an index keeps them."""
    if _codes_numbers(index):
        return _numbers_coded(_values(index), rows)
    codes = np.empty((len(rows), int(index.code_size)), np.uint8)
    anywhere, at = np.zeros(len(rows), np.int64), faiss.swig_ptr
    index.encode_vectors(len(rows), at(rows), at(anywhere), at(codes))
    return codes


def _codes_numbers(index: Any) -> bool:
    return hasattr(index, "pq") and index.pq.dsub == 1


def _values(index: Any) -> Floats:
    """[d, 16] what the codes of each number stand for."""
    values: Floats = faiss.vector_to_array(index.pq.centroids).reshape(index.pq.M, -1)
    return values


def _numbers_coded(values: Floats, rows: Floats) -> Bytes:
    """Codes of four bits a number: how many edges between values it is above.

    FAISS compares with every value, a number at a time, which takes ten times as long.
    """
    edges = (values[:, 1:] + values[:, :-1]) / 2  # [d, 15]
    codes = np.zeros((len(rows), rows.shape[1] + rows.shape[1] % 2), np.uint8)
    for start in range(0, len(rows), _AT_ONCE):
        some = codes[start : start + _AT_ONCE, : rows.shape[1]]
        for edge in np.ascontiguousarray(edges.T):
            some += rows[start : start + _AT_ONCE] > edge
    both: Bytes = codes[:, 0::2] | codes[:, 1::2] << 4
    return both
