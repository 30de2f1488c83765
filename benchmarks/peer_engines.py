"""The engines that peers.py asks, each behind the same three methods.

`build` writes files into the engine's folder, `open` makes it ready in another process, and
`search` returns the row numbers of the nearest rows. `depth` is how far it looks, where it can be
told; 0 stands for its default. Packages are imported on use, so that
one that is missing costs only its own lines.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Protocol

import numpy as np

from relook.core.settings import SearchSettings
from relook.core.types import Box
from relook.core.vectors import singles
from relook.encoders.base import Fingerprint
from relook.library.files import LibraryFiles
from relook.library.records import FileFacts, ImageRecord

_BLOCK = 50_000
_TILES = 1_000  # rows of one image in our own library: only rows matter here


class Engine(Protocol):
    """One engine over one folder."""

    settings: ClassVar[str]  # may say where the depth goes
    depths: ClassVar[tuple[int, ...]]
    depth: int

    def build(self, rows: np.ndarray) -> None: ...
    def open(self) -> None: ...
    def search(self, query: np.ndarray, k: int) -> np.ndarray: ...


class _Fixed:
    """An engine that looks as far as it does."""

    depths: ClassVar[tuple[int, ...]] = (0,)
    depth = 0


def _singles(rows: np.ndarray) -> np.ndarray:
    return singles(np.ascontiguousarray(rows))


class Relook(_Fixed):
    """Our store, as a library opens it."""

    settings = "as a library of this size is searched by default"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "library"
        self._search = SearchSettings()

    def build(self, rows: np.ndarray) -> None:
        print_of = Fingerprint("peers", "1", "", "", rows.shape[1], "float32")
        boxes = tuple(Box(0.0, 0.0, 1.0, (at + 1) / _TILES) for at in range(_TILES))
        with LibraryFiles.create(self._folder, "peers", print_of) as files:
            for start in range(0, len(rows), _BLOCK):
                block = _singles(rows[start : start + _BLOCK])
                first = files.vectors.append(block)
                self._name(files, first, len(block), boxes)
            files.refresh()
            if files.needs_index(self._search):
                files.build_index()

    @staticmethod
    def _name(files: LibraryFiles, first: int, n: int, boxes: tuple[Box, ...]) -> None:
        with files.catalog.transaction() as db:
            for row in range(first, first + n, _TILES):
                some = boxes[: min(_TILES, first + n - row)]
                facts = FileFacts(f"/{row}".encode(), 1, row)
                tiling = files.catalog.tiling_id(db, some)
                content = row.to_bytes(16, "big")
                record = ImageRecord(facts, content, 1, 1, "JPEG", row, row, len(some), tiling)
                files.catalog.put(db, record)
            files.catalog.bump(db, first + n)

    def open(self) -> None:
        self._files = LibraryFiles.open(self._folder)
        self._store = self._files.store(self._search)

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        return self._store.search(query[None], k)[0][0]


class _Faiss(_Fixed):
    """An index of FAISS alone, read into memory."""

    factory: ClassVar[str]

    def __init__(self, folder: Path) -> None:
        self._file, self._rows_file = folder / "raw.faiss", folder.parent / "vectors.npy"

    def build(self, rows: np.ndarray) -> None:
        import faiss

        kind = self.factory.format(lists=_lists(len(rows)), d=rows.shape[1])
        index = faiss.index_factory(rows.shape[1], kind, faiss.METRIC_INNER_PRODUCT)
        index.train(_singles(rows[:: max(len(rows) // 100_000, 1)]))
        for start in range(0, len(rows), _BLOCK):
            index.add(_singles(rows[start : start + _BLOCK]))
        faiss.write_index(index, str(self._file))

    def open(self) -> None:
        import faiss

        self._index = faiss.read_index(str(self._file))

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        return self._index.search(query[None], k)[1][0]


def _lists(n: int) -> int:
    """Inverted lists for n rows: the power of two nearest to 4 sqrt(n)."""
    return 2 ** round(np.log2(4 * np.sqrt(n)))


class FaissFlat(_Faiss):
    settings, factory = "float32, exact", "Flat"


class FaissHnsw(_Faiss):
    settings, factory, depths = "M 32, efSearch {depth}, float32", "HNSW32", (64, 128, 256, 512)

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        self._index.hnsw.efSearch = self.depth
        return super().search(query, k)


class FaissIvf(_Faiss):
    settings, factory = "4 sqrt(n) lists of 8-bit codes, {depth} read", "IVF{lists},SQ8"
    depths = (2, 4, 8, 16, 32, 64, 128)

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        self._index.nprobe = self.depth
        return super().search(query, k)


class FaissFastScan(FaissIvf):
    """Short codes, scanned in blocks; the best are scored again from the mapped vectors."""

    settings = "graph over the lists, 4-bit codes, {depth} lists read, 100 rows scored exactly"
    factory, shortlist = "IVF{lists}_HNSW32,PQ{d}x4fs", 100

    def open(self) -> None:
        super().open()
        self._rows = np.load(self._rows_file, mmap_mode="r")

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        rows = np.sort(super().search(query, self.shortlist))
        rows = rows[rows >= 0]
        scores = self._rows[rows].astype(np.float32) @ query
        return rows[np.argsort(-scores)[:k]]


class FaissRabitq(FaissFastScan):
    settings = "RaBitQ, 1 bit, graph over the lists, {depth} lists read, 200 rows scored exactly"
    factory, shortlist = "IVF{lists}_HNSW32,RaBitQfs", 200


class TurboVec(_Fixed):
    """turbovec: 4-bit codes, all of them scanned."""

    settings = "4 bits a number, no lists"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "index.tv"

    def build(self, rows: np.ndarray) -> None:
        from turbovec import TurboQuantIndex

        index = TurboQuantIndex(dim=rows.shape[1], bit_width=4)
        for start in range(0, len(rows), _BLOCK):
            index.add(_singles(rows[start : start + _BLOCK]))
        index.write(str(self._file))

    def open(self) -> None:
        from turbovec import TurboQuantIndex

        self._index = TurboQuantIndex.load(str(self._file))

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        return np.asarray(self._index.search(query[None], k)[1][0], np.int64)


class Svs:
    """Scalable Vector Search: a Vamana graph over float16."""

    settings, depths, depth = "Vamana, degree 32, float16, window {depth}", (32, 64, 128, 256), 32

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def _parts(self) -> list[str]:
        return [str(self._folder / part) for part in ("config", "graph", "data")]

    def build(self, rows: np.ndarray) -> None:
        import svs

        wanted = svs.VamanaBuildParameters(alpha=0.95, graph_max_degree=32, window_size=64)
        index = svs.Vamana.build(wanted, np.array(rows), svs.DistanceType.MIP, num_threads=2)
        index.save(*self._parts())

    def open(self) -> None:
        import svs

        config, graph, data = self._parts()
        vectors = svs.VectorDataLoader(data, svs.DataType.float16)
        self._index = svs.Vamana(
            config, svs.GraphLoader(graph), vectors, distance=svs.DistanceType.MIP, num_threads=1
        )

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        self._index.search_window_size = self.depth
        return np.asarray(self._index.search(query[None], k)[0][0], np.int64)


class Usearch:
    """usearch: HNSW over bfloat16, mapped from the file."""

    settings, depths, depth = "bf16, its defaults, expansion {depth}, mapped", (64, 128, 256), 64

    def __init__(self, folder: Path) -> None:
        self._file = folder / "index.usearch"

    def build(self, rows: np.ndarray) -> None:
        from usearch.index import Index

        index = Index(ndim=rows.shape[1], metric="ip", dtype="bf16")
        for start in range(0, len(rows), _BLOCK):
            some = _singles(rows[start : start + _BLOCK])
            index.add(np.arange(start, start + len(some)), some)
        index.save(str(self._file))

    def open(self) -> None:
        from usearch.index import Index

        self._index = Index.restore(str(self._file), view=True)

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        self._index.expansion_search = self.depth
        return np.asarray(self._index.search(query, k).keys, np.int64)


class Hnswlib:
    """hnswlib: HNSW over float32 in memory."""

    settings, depths, depth = "M 16, ef_construction 200, ef {depth}", (64, 128, 256, 512), 64

    def __init__(self, folder: Path) -> None:
        self._file, self._facts = folder / "index.hnswlib", folder / "facts.json"

    def build(self, rows: np.ndarray) -> None:
        import hnswlib

        index = hnswlib.Index("ip", rows.shape[1])
        index.init_index(len(rows), ef_construction=200, M=16)
        for start in range(0, len(rows), _BLOCK):
            index.add_items(_singles(rows[start : start + _BLOCK]))
        index.save_index(str(self._file))
        self._facts.write_text(json.dumps(rows.shape[1]), "utf-8")

    def open(self) -> None:
        import hnswlib

        self._index = hnswlib.Index("ip", json.loads(self._facts.read_text("utf-8")))
        self._index.load_index(str(self._file))

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        self._index.set_ef(self.depth)
        return self._index.knn_query(query, k)[0][0].astype(np.int64)


class LanceDb:
    """LanceDB, embedded: inverted lists with product codes, refined exactly."""

    settings, depths, depth = "IVF_PQ, its defaults, nprobes 20, refine {depth}", (10, 50, 200), 10

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "lance"

    def build(self, rows: np.ndarray) -> None:
        import lancedb
        import pyarrow as pa

        dim = rows.shape[1]
        kind = pa.schema([("id", pa.int64()), ("vector", pa.list_(pa.float32(), dim))])
        table = lancedb.connect(self._folder).create_table("rows", schema=kind)
        for start in range(0, len(rows), _BLOCK):
            flat = pa.array(_singles(rows[start : start + _BLOCK]).reshape(-1))
            n = len(flat) // dim
            ids = pa.array(np.arange(start, start + n))
            vectors = pa.FixedSizeListArray.from_arrays(flat, dim)
            table.add(pa.Table.from_arrays([ids, vectors], schema=kind))
        table.create_index("dot", vector_column_name="vector")

    def open(self) -> None:
        import lancedb

        self._table = lancedb.connect(self._folder).open_table("rows")

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        asked = self._table.search(query).distance_type("dot").limit(k)
        found = asked.nprobes(20).refine_factor(self.depth).select(["id", "_distance"]).to_arrow()
        return np.asarray(found["id"].to_numpy(), np.int64)


class MilvusLite(_Fixed):
    """Milvus Lite, embedded: the smallest form of Milvus."""

    settings = "FLAT, as Milvus Lite keeps it"

    def __init__(self, folder: Path) -> None:
        self._file = folder / "milvus.db"

    def build(self, rows: np.ndarray) -> None:
        client = self._client()
        client.create_collection(
            "rows", dimension=rows.shape[1], metric_type="IP", consistency_level="Strong"
        )
        for start in range(0, len(rows), 5_000):
            block = _singles(rows[start : start + 5_000])
            some = [{"id": start + at, "vector": row} for at, row in enumerate(block)]
            client.insert("rows", some)
        client.close()

    def _client(self) -> Any:
        from pymilvus import MilvusClient

        return MilvusClient(str(self._file))

    def open(self) -> None:
        self._open = self._client()
        self._open.load_collection("rows")

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        found = self._open.search("rows", [query.tolist()], limit=k)[0]
        return np.array([one["id"] for one in found], np.int64)


class QdrantEdge(_Fixed):
    """Qdrant Edge, embedded: one shard with HNSW."""

    settings = "its defaults, indexed by optimize()"

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "shard"

    def _shard(self, dim: int) -> Any:
        import qdrant_edge as edge

        self._folder.mkdir(exist_ok=True)
        vectors = edge.EdgeVectorParams(size=dim, distance=edge.Distance.Dot)
        return edge.EdgeShard.create(str(self._folder), edge.EdgeConfig(vectors={"": vectors}))

    def build(self, rows: np.ndarray) -> None:
        import qdrant_edge as edge

        shard = self._shard(rows.shape[1])
        for start in range(0, len(rows), 10_000):
            block = _singles(rows[start : start + 10_000])
            points = [
                edge.Point(id=start + at, vector=row.tolist()) for at, row in enumerate(block)
            ]
            shard.update(edge.UpdateOperation.upsert_points(points))
        shard.optimize()
        shard.close()

    def open(self) -> None:
        import qdrant_edge as edge

        self._open = edge.EdgeShard.load(str(self._folder))

    def search(self, query: np.ndarray, k: int) -> np.ndarray:
        import qdrant_edge as edge

        asked = edge.QueryRequest(query=edge.Query.Nearest(query.tolist()), limit=k)
        return np.array([point.id for point in self._open.query(asked)], np.int64)


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "relook": Relook,
    "faiss-flat": FaissFlat,
    "faiss-hnsw": FaissHnsw,
    "faiss-ivf": FaissIvf,
    "faiss-fastscan": FaissFastScan,
    "faiss-rabitq": FaissRabitq,
    "usearch": Usearch,
    "hnswlib": Hnswlib,
    "lancedb": LanceDb,
    "milvus-lite": MilvusLite,
    "qdrant-edge": QdrantEdge,
    "turbovec": TurboVec,
    "svs": Svs,
}
