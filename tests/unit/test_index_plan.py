"""Which index a library gets: by size, by memory, by what was asked for."""

import pytest

from relook.core.errors import InputError
from relook.stores.plan import KINDS, plan_index

MIB = 1024**2


@pytest.mark.parametrize(
    ("n_rows", "kind", "lists"),
    [(0, "exact", 0), (60_000, "exact", 0), (60_001, "pq4", 1024), (400_000, "pq4", 2048),
     (1_000_000, "pq4", 8192), (4_000_000, "pq4", 32_768), (10**9, "pq4", 65_536)],
)  # fmt: skip
def test_the_kind_follows_the_size(n_rows: int, kind: str, lists: int) -> None:
    plan = plan_index(n_rows, 512)
    assert (plan.kind, plan.n_lists) == (kind, lists)


def test_what_it_costs_is_told_and_well_below_the_vectors() -> None:
    plan = plan_index(1_000_000, 512)
    assert plan.factory == "IVF8192,PQ512x4fs"
    assert plan.n_bytes == 1_000_000 * (256 + 8) + (8192 + 1024) * 512 * 4  # and lists for far rows
    assert plan.n_bytes < 0.8 * 1_000_000 * 512 * 2
    assert plan.build_bytes == plan.n_bytes + plan.n_sample * 512 * 4


def test_short_memory_gets_shorter_codes_and_too_little_is_refused_with_the_choices() -> None:
    assert plan_index(1_000_000, 512, memory_bytes=600 * MIB).kind == "pq4"
    smaller = plan_index(1_000_000, 512, memory_bytes=300 * MIB)
    assert (smaller.kind, smaller.factory) == ("pq2", "IVF4096,PQ256x4fs")
    assert max(smaller.build_bytes, smaller.n_bytes) <= 300 * MIB
    with pytest.raises(InputError, match=r"needs 235 MiB to build; the limit is 100") as raised:
        plan_index(1_000_000, 512, memory_bytes=100 * MIB)
    assert raised.value.code == "memory_limit"
    assert "search.memory_mib to 235 or more" in raised.value.hint
    assert "'exact'" in raised.value.hint
    with pytest.raises(InputError) as raised:
        plan_index(1_000_000, 512, kind="sq8", memory_bytes=300 * MIB)
    assert "'pq2' needs 235 MiB" in raised.value.hint
    assert plan_index(1_000_000, 512, kind="exact", memory_bytes=1).kind == "exact"


def test_a_kind_may_be_named() -> None:
    for kind in KINDS:
        assert plan_index(100_000, 512, kind=kind).kind == kind
    assert plan_index(100_000, 33, memory_bytes=60 * MIB).kind == "pq4"
    for kind, dim in (("hnsw", 512), ("pq2", 33)):
        with pytest.raises(InputError) as raised:
            plan_index(100_000, dim, kind=kind)
        assert raised.value.code == "bad_index_kind"
