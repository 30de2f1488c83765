"""Search through a FAISS index, with the shortlist scored again exactly. Layer: stores.

The index is inverted lists over 8-bit codes (IVF,SQ8): it is derived from the vectors and
can always be made again. Rows appended after it was made are compared exactly.

Source: Faiss, https://github.com/facebookresearch/faiss/wiki (IVF, SQ8, search parameters).
"""

from __future__ import annotations

import json
import logging
import math
import os
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
_PROBED_SHARE = 1 / 12


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
            if path.stat().st_size != card["n_bytes"]:
                raise RuntimeError("the file has another size than when it was written")
            self._index: Any = faiss.read_index(str(path))
        except (OSError, RuntimeError) as error:
            raise LibraryFormatError("bad_index", f"cannot use {path}: {error}") from error
        self._n_indexed = int(self._index.ntotal)
        if self._n_indexed > len(source) or self._index.d != source.dim:
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
        n_short = max(self._shortlist, 2 * limit)
        tail = exact_search(self._source, queries, limit, allowed, start=self._n_indexed)
        rows, scores = empty_result(len(queries), limit)
        for q, found in enumerate(self._candidates(queries, n_short, allowed)):
            near = self._source.rows(found) @ queries[q]  # [s]
            all_rows = np.concatenate([found, tail[0][q]])
            all_scores = np.concatenate([near, tail[1][q]])
            order = top(all_scores, limit)
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
    n_lists = 2 ** max(4, round(math.log2(2.5 * math.sqrt(n))))
    index = faiss.index_factory(source.dim, f"IVF{n_lists},SQ8", faiss.METRIC_INNER_PRODUCT)
    sample = np.random.default_rng(seed).choice(n, size=min(n, 50 * n_lists), replace=False)
    sample.sort()
    index.train(source.rows(sample.astype(np.int64)))
    for start in range(0, n, 65_536):
        index.add(source.block(start, min(start + 65_536, n)))
    folder.mkdir(exist_ok=True)
    new = folder / f"{_INDEX}.{os.getpid()}.new"
    faiss.write_index(index, str(new))
    card = json.dumps({"n_bytes": new.stat().st_size, "n_rows": n, "kind": f"IVF{n_lists},SQ8"})
    new.replace(folder / _INDEX)
    (folder / _CARD).write_text(card, "utf-8")
    _LOG.info("built an index of %d rows in %d lists", n, n_lists)


def _read_card(folder: Path) -> dict[str, int]:
    try:
        card: dict[str, int] = json.loads((folder / _CARD).read_text("utf-8"))
        card["n_bytes"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise LibraryFormatError("bad_index", f"cannot read {folder / _CARD}: {error}") from error
    return card
