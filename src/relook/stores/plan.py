"""Which index suits so many rows and so much memory: one pure function. Layer: stores.

The kinds and what they cost were measured, see `docs/decisions/0006-index-kinds.md`.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from relook.core.errors import InputError
from relook.core.settings import SearchSettings

_SEARCH = SearchSettings()
_MIB = 1024**2
_ID_BYTES = 8
_SAMPLE_PER_LIST = 30
_LEAST_PER_LIST = 12
_ROWS_PER_LIST = 150
WHOLE = 32
"""Rows are coded along so many directions, or a multiple."""
MORE_LISTS = 1 / 8
"""Rows that are far from every list get lists of their own: at most so many of the others."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to keep rows in inverted lists.

    Args:
        factory: Its codes, as FAISS names them, of `{k}` or `{h}` = k / 2 numbers.
        bytes_per_number: Of a code.
        shortlist: Rows that are scored again exactly, times the configured number.
    """

    factory: str
    bytes_per_number: float
    shortlist: float = 1.0


KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        "pq4": Kind("PQ{k}x4fs", 0.5),
        "sq8": Kind("SQ8", 1.0, 0.5),
        "pq2": Kind("PQ{h}x4fs", 0.25, 2.5),
    }
)
"""Kinds by name: 4 bits a number (the fastest), 8 bits, and 2 bits where memory is short."""
_AUTO = ("pq4", "pq2")


@dataclass(frozen=True, slots=True)
class IndexPlan:
    """An index that could be built.

    Args:
        kind: A name of `KINDS`, or `exact` for none.
        n_rows: Rows it is for.
        dim: Length of a row.
        n_lists: Inverted lists, before rows that lie far from all of them get more; 0 for `exact`.
        n_sample: Rows it is trained on.
        n_bytes: Memory that searching wants at most: codes, ids and centres of the lists.
        build_bytes: Memory that building takes for a while.
        n_coded: Numbers of a row that is coded, once they are known; as many as it has when 0.
    """

    kind: str
    n_rows: int
    dim: int
    n_lists: int = 0
    n_sample: int = 0
    n_bytes: int = 0
    build_bytes: int = 0
    n_coded: int = 0

    @property
    def likely_bytes(self) -> int:
        """As `n_bytes`, where codes of half of a long row are enough: pictures need .33 to .6."""
        n = min(self.dim, -(-self.dim // 2 // WHOLE) * WHOLE)
        spared = KINDS[self.kind].bytes_per_number * (self.dim - n) if self.n_lists else 0
        return self.n_bytes - int(self.n_rows * spared)

    @property
    def factory(self) -> str:
        """What FAISS makes the index from."""
        n = self.n_coded or self.dim
        codes = KINDS[self.kind].factory.format(k=n, h=-(-n // 2))
        return f"IVF{self.n_lists},{codes}"


def plan_index(
    n_rows: int,
    dim: int,
    *,
    kind: str = _SEARCH.index_kind,
    exact_rows: int = _SEARCH.exact_rows,
    memory_bytes: int = 0,
) -> IndexPlan:
    """The index for so many rows.

    Args:
        n_rows: How many there are, or will be.
        dim: Length of a row.
        kind: A name of `KINDS`, `exact`, or `auto`: exact while rows are few, then the fastest
            kind that the memory is enough for.
        exact_rows: Rows up to which a search without an index is fast enough.
        memory_bytes: What building and searching may take; 0 for no limit.

    Raises:
        InputError: `memory_limit` when the limit is too small, with the choices there are;
            `bad_index_kind` for another name or a dimension that the kind cannot code.
    """
    if kind == "exact" or n_rows <= exact_rows:
        return IndexPlan("exact", n_rows, dim)
    if kind not in (*KINDS, "auto"):
        raise InputError(
            "bad_index_kind", f"{kind!r} is no kind of index", f"there are: {_names()}"
        )
    if kind == "pq2" and dim % 2:  # `auto` passes over it
        raise InputError(
            "bad_index_kind", f"pq2 codes pairs of numbers; rows here have {dim}", "use pq4"
        )
    for name in _AUTO if kind == "auto" else (kind,):
        if name == "pq2" and dim % 2:
            continue
        for per_list in (_SAMPLE_PER_LIST, _LEAST_PER_LIST):
            plan = _plan(name, n_rows, dim, per_list)
            if not memory_bytes or max(plan.build_bytes, plan.n_bytes) <= memory_bytes:
                return plan
    raise _too_small(plan, memory_bytes)


def _names() -> str:
    return ", ".join(("auto", "exact", *KINDS))


def _plan(kind: str, n_rows: int, dim: int, per_list: int) -> IndexPlan:
    # Four lists for each root of a row, and from 360,000 rows on one for 150 rows, to the next
    # power of two: probing a fixed number of lists then reads no more of a library twice as large.
    # Where memory is short the sample is small: many lists would each be learnt from too little.
    wanted = 4 * math.sqrt(n_rows)
    if per_list > _LEAST_PER_LIST:
        wanted = max(wanted, n_rows / _ROWS_PER_LIST)
    n_lists = 2 ** min(16, max(4, round(math.log2(wanted))))
    n_sample = min(n_rows, per_list * n_lists)
    code_bytes = math.ceil(dim * KINDS[kind].bytes_per_number) + _ID_BYTES
    n_bytes = n_rows * code_bytes + int(n_lists * (1 + MORE_LISTS)) * dim * 4
    return IndexPlan(kind, n_rows, dim, n_lists, n_sample, n_bytes, n_bytes + n_sample * dim * 4)


def _too_small(plan: IndexPlan, memory_bytes: int) -> InputError:
    needed = _mib(plan)
    smaller = [
        f"search.index_kind = {name!r} needs {_mib(_plan(name, plan.n_rows, plan.dim, 12)):,} MiB"
        for name, kind in KINDS.items()
        if kind.bytes_per_number < KINDS[plan.kind].bytes_per_number
    ]
    choices = [
        f"set search.memory_mib to {needed} or more (0: no limit)",
        *smaller,
        "search.index_kind = 'exact' needs none and reads every vector in each search",
    ]
    return InputError(
        "memory_limit",
        f"a {plan.kind} index of {plan.n_rows:,} tiles needs {needed:,} MiB to build; the limit"
        f" is {memory_bytes // _MIB:,}",
        "; ".join(choices),
    )


def _mib(plan: IndexPlan) -> int:
    return -(-max(plan.build_bytes, plan.n_bytes) // _MIB)
