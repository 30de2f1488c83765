"""Milvus passes the very suite that the other stores pass."""

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from pymilvus.client.search_result import Hit

from relook.cluster import milvus as store_module
from relook.cluster.milvus import MilvusSource, MilvusStore
from relook.cluster.milvus_client import VECTOR, Milvus, MilvusAddress
from relook.core.vectors import Floats
from relook.testing import ContractError, check_store

N_ROWS, DIM = 500, 16


@pytest.fixture(scope="module")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Milvus]:
    """milvus-lite, or the server that $RELOOK_TEST_MILVUS names (collections are left there)."""
    here = f"milvus://{tmp_path_factory.mktemp('m')}/a.db/rows"
    milvus = Milvus(MilvusAddress.parse(os.environ.get("RELOOK_TEST_MILVUS", here)))
    yield milvus
    milvus.close()
    milvus.close()


class Maker:
    """Makes a store of given rows in a collection of its own."""

    def __init__(self, milvus: Milvus, kind: str, **options: int) -> None:
        self.milvus, self.kind, self.options, self.n = milvus, kind, options, 0

    def __call__(self, vectors: Floats) -> MilvusStore:
        self.n += 1
        name = f"relook_{uuid.uuid4().hex[:12]}_{self.n}"
        self.milvus.create(name, [("row", "INT64", {})], vectors.shape[1], self.kind)
        # What a writer has not finished stands behind the rows that count, and is never found.
        unfinished = np.ones((3, vectors.shape[1]), np.float32)
        rows = enumerate(np.concatenate([vectors, unfinished]))
        self.milvus.upsert(name, [{"row": row, VECTOR: vector} for row, vector in rows])
        source = MilvusSource(self.milvus, name, vectors.shape[1], len(vectors))
        return MilvusStore(source, **self.options)


def test_milvus_keeps_the_contract(lite: Milvus) -> None:
    check_store(Maker(lite, "FLAT"), n_rows=N_ROWS, dim=DIM)


def test_codes_give_a_shortlist_whose_scores_are_exact(lite: Milvus) -> None:
    check_store(
        Maker(lite, "IVF_SQ8", shortlist=100), n_rows=N_ROWS, dim=DIM, min_recall=0.99, tiny=False
    )


class Fake:
    """Milvus in memory. An expression of ours is Python, too.

    Args:
        kind: Of the index.
        most_found: What a search finds at most, as a graph that ends too early does.
    """

    def __init__(self, kind: str, most_found: int = 10**9) -> None:
        self.kind, self.most_found = kind, most_found
        self.rows: dict[str, dict[int, Floats]] = {}
        self.expressions: list[str] = []

    def create(self, collection: str, *_: object) -> None:
        self.rows[collection] = {}

    def upsert(self, collection: str, rows: Sequence[Mapping[str, Any]]) -> None:
        self.rows[collection].update({row["row"]: row[VECTOR] for row in rows})

    def index_kind(self, _: str) -> str:
        return self.kind

    def _through(self, collection: str, expression: str) -> list[int]:
        self.expressions.append(expression)
        told = compile(expression, "expression", "eval")
        return [row for row in self.rows[collection] if eval(told, {"row": row})]

    def query(self, collection: str, expression: str, _: object) -> list[dict[str, Any]]:
        rows = self.rows[collection]
        found = self._through(collection, expression)
        return [{"row": row, VECTOR: rows[row]} for row in found[::-1]]

    def search(
        self, collection: str, queries: Floats, limit: int, expression: str, *_: object
    ) -> list[list[dict[str, Any]]]:
        ids = np.array(self._through(collection, expression), np.int64)
        vectors = np.array([self.rows[collection][row] for row in ids.tolist()], np.float32)
        limit = min(limit, self.most_found)
        found = []
        for query in queries:
            scores = vectors.reshape(len(ids), -1) @ query if len(ids) else np.zeros(0)
            best = np.argsort(-scores, kind="stable")[:limit]
            found.append(
                [
                    {"row": int(ids[at]), "distance": scores[at],
                     "entity": {VECTOR: vectors[at].tolist()}}
                    for at in best
                ]
            )  # fmt: skip
        return found


def test_a_graph_that_finds_too_few_is_not_believed() -> None:
    fake: Any = Fake("HNSW", most_found=7)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store_module, "_FEW_ROWS", 90)
        check_store(Maker(fake, "HNSW"), n_rows=N_ROWS, dim=DIM)


def test_more_results_than_milvus_returns_come_from_several_searches() -> None:
    fake: Any = Fake("FLAT")
    check_store(Maker(fake, "FLAT", most_results=64), n_rows=N_ROWS, dim=DIM)
    assert any("row >= 64 and row < 128" in one for one in fake.expressions)


class Older:
    """A client of Milvus 2.3, which does not say what the primary key is called."""

    def search(self, *_: object, **more: object) -> list[list[Hit]]:
        fields = dict.fromkeys(more["output_fields"], 7)  # type: ignore[attr-defined]
        return [[Hit({"id": 7, "distance": 0.5, "entity": fields}, pk_name="id")]]


@pytest.mark.parametrize("fields", [(), ("row",)])
def test_a_hit_has_its_row_whatever_the_server_calls_it(fields: tuple[str, ...]) -> None:
    milvus = Milvus(MilvusAddress.parse("milvus://nowhere/rows"))
    older: Any = Older()
    milvus._opened = older
    [[hit]] = milvus.search("rows", np.ones((1, DIM), np.float32), 1, "row < 9", {}, fields)
    assert (hit["row"], hit["distance"]) == (7, 0.5)


class Unfiltered(Fake):
    """Takes rows that nobody committed for rows that count."""

    def _through(self, collection: str, expression: str) -> list[int]:
        return list(self.rows[collection])


def test_the_suite_rejects_a_milvus_that_does_not_filter() -> None:
    fake: Any = Unfiltered("FLAT")
    with pytest.raises(ContractError):
        check_store(Maker(fake, "FLAT"), n_rows=N_ROWS, dim=DIM)
