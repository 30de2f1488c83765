"""How many machines, and how much memory, for a thousand to a billion images.

Two steps. `--measure FILE` builds each kind of index over random vectors here, writes its size
and what a catalog and a payload take, and takes the processor time that a picture costs
from the JSON of `indexing.py` (`--indexing`). Without it, the table is worked out from such a
file and the assumptions below; `--write PAGE` puts it between the marks of a page.
Read it: memory and machines are what the index kind asks for; money is machine hours times
the price that you give. Nothing here says what Milvus needs beside its indexes: measure that.
"""

import argparse
import json
import math
import sqlite3
import sys
import tempfile
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from figures import machine, say

HERE = Path(__file__).resolve().parent
KEPT = HERE / "sizing.json"

# Assumptions; each is one number that a reader may change.
MACHINE_MEMORY_BYTES = 64 * 1024**3
"""Memory of one query machine."""
USABLE_SHARE = 0.7
"""Of it for index and vectors; the rest is the system, growing segments and searches."""
REPLICAS = 1
"""Copies of the index in memory: 2 to lose a machine without a pause."""
MACHINE_CORES = 16
"""Cores of one indexing machine; the rate of indexing is taken to grow with them."""
OBJECT_SHARE = 1.1
"""Bytes in object storage for each byte of vectors and payload: logs and old segments."""
TABLE_BYTES = 24
"""A server keeps three 64-bit numbers an image in memory (`LibraryFiles.row_table`)."""
FACT_BYTES = 43
"""And the columns of its filters, once one was asked for."""
MASK_BYTES = 1
"""And a byte a tile while it filters."""
SIZES = (10**6, 10**7, 10**8, 10**9)
"""Images."""
MONTH_HOURS = 730
KINDS = {
    "FLAT": "Flat", "IVF_FLAT": "IVF{lists},Flat", "IVF_SQ8": "IVF{lists},SQ8",
    "HNSW": "HNSW32,Flat", "HNSW_SQ": "HNSW32,SQ8",
}  # fmt: skip
"""Milvus's kind -> the FAISS index of the same structure, whose size stands for it."""
MARKS = ("<!-- sizing: made by benchmarks/sizing.py -->", "<!-- /sizing -->")


@dataclass(frozen=True, slots=True)
class Measured:
    """What the table is worked out from.

    Args:
        dim: Length of a vector.
        n_tiles: Vectors of an image.
        tile_bytes: Index kind -> bytes of a vector in the index.
        payload_bytes: What a collection keeps of an image beside its vectors.
        catalog_bytes: What the catalog of a server takes of an image on disk.
        images_per_core_s: Images that one core indexes in a second.
    """

    dim: int
    n_tiles: int
    tile_bytes: dict[str, float]
    payload_bytes: float
    catalog_bytes: float
    images_per_core_s: float

    @classmethod
    def read(cls, file: Path) -> "Measured":
        """From the JSON that `--measure` wrote."""
        values = json.loads(file.read_text("utf-8"))
        return cls(**{name: values[name] for name in cls.__dataclass_fields__})


def main() -> int:
    """Measures, or prints the table, or puts it into a page."""
    options = _arguments()
    if options.measure:
        whole = {**_measure(options.indexing, options.rows), "machine": machine()}
        options.measure.write_text(json.dumps(whole, indent=1) + "\n", "utf-8")
        return 0
    made = page(Measured.read(options.figures), options.price_per_hour)
    if options.write:
        options.write.write_text(between(options.write.read_text("utf-8"), made), "utf-8")
    else:
        print(made)
    return 0


def _arguments() -> argparse.Namespace:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--measure", type=Path, metavar="FILE", help="measure, and write that file")
    made.add_argument("--indexing", type=Path, metavar="FILE", help="JSON of indexing.py")
    made.add_argument("--rows", type=int, default=20_000, help="vectors that are measured")
    made.add_argument("--figures", type=Path, default=KEPT, help="what was measured")
    made.add_argument("--price-per-hour", type=float, default=1.0, help="of one machine")
    made.add_argument("--write", type=Path, metavar="PAGE", help="put the table into a page")
    return made.parse_args()


def between(text: str, made: str) -> str:
    """A page with the table between its marks."""
    start, stop = (text.index(mark) for mark in MARKS)
    return f"{text[: start + len(MARKS[0])]}\n{made}\n{text[stop:]}"


def page(measured: Measured, price: float) -> str:
    """The tables and their assumptions, as Markdown."""
    return "\n\n".join(
        (_assumptions(measured, price), _memory(measured, price), _indexing(measured, price))
    )


def _assumptions(measured: Measured, price: float) -> str:
    return (
        f"Measured: {measured.n_tiles} vectors of {measured.dim} numbers an image,"
        f" {measured.payload_bytes:,.0f} bytes of payload and {measured.catalog_bytes:,.0f} bytes"
        f" of catalog an image, {measured.images_per_core_s:.1f} images a second and core."
        f" Assumed: machines of {MACHINE_MEMORY_BYTES // 1024**3} GiB, of which"
        f" {USABLE_SHARE:.0%} hold the index; {REPLICAS} replica; indexing machines of"
        f" {MACHINE_CORES} cores; {price:g} a machine hour, whatever your money is."
    )


def _memory(measured: Measured, price: float) -> str:
    lines = [
        "| images | index | bytes an image | index in memory | query machines"
        " | a million images and month | object storage | a server: on disk | in memory |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for n in SIZES:
        for kind, tile_bytes in measured.tile_bytes.items():
            image_bytes = tile_bytes * measured.n_tiles
            index_bytes = image_bytes * n * REPLICAS
            n_machines = math.ceil(index_bytes / (MACHINE_MEMORY_BYTES * USABLE_SHARE))
            kept = (measured.n_tiles * measured.dim * 4 + measured.payload_bytes) * OBJECT_SHARE
            local = TABLE_BYTES + FACT_BYTES + MASK_BYTES * measured.n_tiles
            cells = (
                f"{n:,}", kind, f"{image_bytes:,.0f}", _bytes(index_bytes), f"{n_machines:,}",
                f"{n_machines * MONTH_HOURS * price / (n / 1e6):,.2f}",
                _bytes(kept * n), _bytes(measured.catalog_bytes * n), _bytes(local * n),
            )  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _indexing(measured: Measured, price: float) -> str:
    rate = measured.images_per_core_s * MACHINE_CORES
    million_hours = 1e6 / rate / 3600
    lines = [
        f"Indexing: {rate:,.0f} images a second and machine, {million_hours:.2f} machine hours"
        f" and {million_hours * price:.2f} a million images.",
        "",
        "| images | machine hours | one machine | ten machines | a hundred machines |",
        "|---|---|---|---|---|",
    ]
    for n in SIZES:
        hours = million_hours * n / 1e6
        times = (_time(hours / machines) for machines in (1, 10, 100))
        lines.append(f"| {n:,} | {hours:,.1f} | {' | '.join(times)} |")
    return "\n".join(lines)


def _bytes(n_bytes: float) -> str:
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:,.1f} {unit}"
    return f"{n_bytes:,.0f} B"


def _time(hours: float) -> str:
    if hours >= 48:
        return f"{hours / 24:,.0f} days"
    return f"{hours:,.1f} h" if hours >= 1 else f"{max(hours * 60, 1):,.0f} min"


def _measure(indexing: Path | None, n_rows: int) -> dict[str, Any]:
    from relook.encoders.builtin import BuiltinEncoder

    if indexing is None:
        sys.exit("--measure needs --indexing: python benchmarks/indexing.py --json FILE")
    told = json.loads(indexing.read_text("utf-8"))
    found = {figure["name"].strip(): figure["value"] for figure in told["figures"]}
    encoder = BuiltinEncoder()
    n_tiles = len(encoder.tiles_for(100, 100))
    payload, catalog = _image_bytes(5000, n_tiles)
    return {
        "dim": encoder.dim,
        "n_tiles": n_tiles,
        "tile_bytes": {kind: _tile_bytes(kind, encoder.dim, n_rows) for kind in KINDS},
        "payload_bytes": payload,
        "catalog_bytes": catalog,
        "images_per_core_s": 1e3 / found["CPU time a picture"],
        "indexing_machine": told["machine"],
        "n_rows": n_rows,
    }


def _tile_bytes(kind: str, dim: int, n_rows: int) -> float:
    """Bytes of a vector in an index that was built here, its fixed part left out."""
    n_lists = 2 ** round(math.log2(0.6 * math.sqrt(n_rows)))
    sizes = []
    for n in (n_rows // 2, n_rows):
        vectors = np.random.default_rng(7).standard_normal((n, dim), np.float32)
        index = faiss.index_factory(
            dim, KINDS[kind].format(lists=n_lists), faiss.METRIC_INNER_PRODUCT
        )
        if isinstance(index, faiss.IndexHNSW):
            index.hnsw.efConstruction = 16  # its size does not depend on it
        index.train(vectors)
        index.add(vectors)
        sizes.append(len(faiss.serialize_index(index)))
    say(f"{kind}: {(sizes[1] - sizes[0]) / (n_rows - n_rows // 2):.1f} bytes a vector")
    return (sizes[1] - sizes[0]) / (n_rows - n_rows // 2)


def _image_bytes(n: int, n_tiles: int) -> tuple[float, float]:
    """What an image with a caption takes of a collection's payload, and of a catalog."""
    from relook.cluster.milvus_rows import row_payload
    from relook.core.types import WHOLE
    from relook.library.catalog import Catalog
    from relook.library.records import FileFacts, ImageRecord

    boxes = (WHOLE,) * n_tiles
    n_payload = 0
    with tempfile.TemporaryDirectory(prefix="relook-sizing-") as folder:
        file = Path(folder, "catalog.sqlite3")
        catalog = Catalog(file, writable=True)
        with catalog.transaction() as db:
            tiling = catalog.tiling_id(db, boxes)
            for number in range(n):
                path = f"/srv/pictures/{number // 1000:05}/{number:09}.jpg".encode()
                record = ImageRecord(
                    FileFacts(path, 150_000, 1_700_000_000_000_000_000),
                    number.to_bytes(16, "big"), 640, 480, "JPEG", number, number * n_tiles,
                    n_tiles, tiling, caption="two dogs run over the grass behind a red ball",
                    metadata={"taken_at": "2024:05:01 10:00:00", "camera": "ANY CAMERA 7"},
                )  # fmt: skip
                catalog.put(db, record)
                n_payload += sum(
                    len(json.dumps(row_payload(record, tile, boxes))) for tile in range(n_tiles)
                )
        catalog.close()
        with closing(sqlite3.connect(file)) as db:
            db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        n_catalog = file.stat().st_size
    return n_payload / n, n_catalog / n


__all__: Sequence[str] = ("Measured", "between", "page")

if __name__ == "__main__":
    raise SystemExit(main())
