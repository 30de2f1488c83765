"""Search through a FAISS index, with the shortlist scored again exactly. Layer: stores.

The index is inverted lists over codes of four bits a dimension (IVF,PQ4fs): it is derived
from the vectors and can always be made again. Rows appended after it was made are compared
exactly. Words lie apart from pictures, so the lists nearest to a query by words hold its best
rows less often than usual: half of all lists are read, which such small codes make cheap.

Source: Faiss, https://github.com/facebookresearch/faiss/wiki (IVF, fast scan of 4-bit product
quantizer codes, search parameters). `benchmarks/search.py` measures speed and recall.
"""

from __future__ import annotations

import json
import logging
import math
import zlib
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from relook.core.errors import LibraryFormatError
from relook.core.vectors import Floats, Ints, top
from relook.stores.base import Mask, VectorSource
from relook.stores.exact import empty_result, exact_search

__all__ = ["FaissStore", "build_index"]

_LOG = logging.getLogger(__name__)
_INDEX, _CARD = "tiles.faiss", "tiles.json"
# Below this many allowed rows, comparing with each of them is faster than the index.
_FEW_ROWS = 20_000
_PROBED_SHARE = 1 / 2


class FaissStore:
    """Searches the index in a folder, over the rows of a source.

    Args:
        source: The rows; the index may cover only the first of them.
        folder: Where `build_index` put its files.
        shortlist: Rows that are scored again exactly.

    Raises:
        LibraryFormatError: `bad_index` when the files are missing, damaged, or were made for
            other vectors; the caller then builds it again or searches exactly.
    """

    def __init__(self, source: VectorSource, folder: Path, shortlist: int) -> None:
        self._source, self._shortlist = source, shortlist
        card = _read_card(folder)
        path = folder / _INDEX
        try:
            if path.stat().st_size != card["n_bytes"] or _crc32(path) != card["crc32"]:
                raise RuntimeError("the file is not as it was when it was written")
            self._index: Any = faiss.read_index(str(path))
        except (OSError, RuntimeError) as error:
            raise LibraryFormatError("bad_index", f"cannot use {path}: {error}") from error
        self._n_indexed = int(self._index.ntotal)
        fits = self._n_indexed <= len(source) and self._index.d == source.dim
        if not fits or _sample_crc32(source, self._n_indexed) != card["sample_crc32"]:
            raise LibraryFormatError("bad_index", f"{path} was made for other vectors")

    def __len__(self) -> int:
        return len(self._source)

    @property
    def n_indexed(self) -> int:
        """Rows the index covers."""
        return self._n_indexed

    def search(
        self, queries: Floats, limit: int, allowed: Mask | None = None
    ) -> tuple[Ints, Floats]:
        """See `Store.search`."""
        n_allowed = len(self) if allowed is None else int(np.count_nonzero(allowed))
        if n_allowed <= max(_FEW_ROWS, limit):
            return exact_search(self._source, queries, limit, allowed)
        n_short = max(self._shortlist, 3 * limit)
        tail = exact_search(self._source, queries, limit, allowed, start=self._n_indexed)
        rows, scores = empty_result(len(queries), limit)
        for q, found in enumerate(self._candidates(queries, n_short, allowed)):
            near = self._source.rows(found) @ queries[q]  # [s]
            all_rows = np.concatenate([found, tail[0][q]])
            all_scores = np.concatenate([near, tail[1][q]])
            by_row = np.argsort(all_rows, kind="stable")  # ties come as in an exact search
            order = by_row[top(all_scores[by_row], limit)]
            rows[q, : len(order)] = all_rows[order]
            scores[q, : len(order)] = all_scores[order]
        if bool((rows < 0).any()):  # the probed lists held too few allowed rows
            return exact_search(self._source, queries, limit, allowed)
        return rows, scores

    def close(self) -> None:
        """Drops the index."""
        self._index = None

    def _candidates(self, queries: Floats, n_short: int, allowed: Mask | None) -> list[Ints]:
        n_probe = max(8, math.ceil(self._index.nlist * _PROBED_SHARE))
        parameters = faiss.SearchParametersIVF(nprobe=n_probe)
        if allowed is not None:
            bits = np.packbits(allowed[: self._n_indexed], bitorder="little")
            parameters.sel = faiss.IDSelectorBitmap(bits)
        n_short = min(n_short, self._n_indexed)
        _, found = self._index.search(np.ascontiguousarray(queries), n_short, params=parameters)
        return [row[(row >= 0) & (row < len(self))].astype(np.int64) for row in found]


def build_index(source: VectorSource, folder: Path, seed: int = 7) -> None:
    """Makes the index of all rows and puts it into `folder`, in one step as others see it.

    Args:
        source: The rows.
        folder: Made when it is not there.
        seed: Of the training sample.
    """
    n = len(source)
    n_lists = 2 ** max(4, round(math.log2(0.6 * math.sqrt(n))))
    kind = f"IVF{n_lists},PQ{source.dim}x4fs"  # 4 bits a dimension
    index = faiss.index_factory(source.dim, kind, faiss.METRIC_INNER_PRODUCT)
    index.pq.cp.niter = 10  # of k-means; 25 take twice as long and find no more
    sample = np.random.default_rng(seed).choice(n, size=min(n, 50 * n_lists), replace=False)
    sample.sort()
    index.train(source.rows(sample.astype(np.int64)))
    for start in range(0, n, 65_536):
        index.add(source.block(start, min(start + 65_536, n)))
    folder.mkdir(exist_ok=True)
    new, new_card = folder / f"{_INDEX}.new", folder / f"{_CARD}.new"
    try:
        faiss.write_index(index, str(new))
        card = {
            "n_bytes": new.stat().st_size, "crc32": _crc32(new), "n_rows": n,
            "sample_crc32": _sample_crc32(source, n), "kind": kind,
        }  # fmt: skip
        # A stop in between leaves no index, and never one with another's card.
        (folder / _CARD).unlink(missing_ok=True)
        new.replace(folder / _INDEX)
        new_card.write_text(json.dumps(card), "utf-8")
        new_card.replace(folder / _CARD)
    finally:
        new.unlink(missing_ok=True)
        new_card.unlink(missing_ok=True)
    _LOG.info("built an index of %d rows in %d lists", n, n_lists)


def _crc32(path: Path) -> int:
    total = 0
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            total = zlib.crc32(data, total)
    return total


def _sample_crc32(source: VectorSource, n: int) -> int:
    """Stands for the first `n` rows: those of another library give another number."""
    rows = np.linspace(0, n - 1, 64).astype(np.int64)
    return zlib.crc32(source.rows(rows).tobytes())


def _read_card(folder: Path) -> dict[str, int]:
    try:
        card: dict[str, int] = json.loads((folder / _CARD).read_text("utf-8"))
        card["n_bytes"], card["crc32"], card["sample_crc32"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LibraryFormatError("bad_index", f"cannot read {folder / _CARD}: {error}") from error
    return card
