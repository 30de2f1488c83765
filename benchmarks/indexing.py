"""Pictures a second into a new library, tiles included.

Measures: `Library.add` of N JPEGs into a fresh library (page cache warm), from 500-px pictures
made on the spot, or --pictures DIR as they are; the rate of each stage alone, in one thread
(the encoder: with its own threads); decoding of 12-megapixel JPEGs.
Baselines in the same run: (a) decoding at full size with Pillow and then resizing, without the
JPEG's reduced scales; (b) the way the seed project did it: one picture at a time, full size,
no threads, the same image tower with batches of one.
Read it: stages overlap in `Library.add`, so the whole is limited by the sum of CPU time over
the cores. 500-px JPEGs gain nothing from reduced scales (half of one is smaller than the tower's
input); large ones do.
"""

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from figures import Figure, parser, report, say
from photographs import make_pictures
from PIL import Image

from relook import Library
from relook.core.images import content_hash, decode, dhash
from relook.core.picture import Picture
from relook.core.sources import read_file
from relook.encoders.builtin import BuiltinEncoder
from relook.library.files import LibraryFiles
from relook.library.picture_facts import embedded_words
from relook.library.records import FileFacts, ImageRecord

T, R = TypeVar("T"), TypeVar("R")


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    n = options.n or (1000 if options.full else 200)
    with tempfile.TemporaryDirectory(prefix="relook-indexing-") as name:
        folder = Path(name)
        if options.pictures:
            paths = sorted(path for path in options.pictures.iterdir() if path.is_file())[:n]
        else:
            say(f"making {n} pictures")
            paths = make_pictures(folder / "pictures", n, 500)
        figures = [
            *_whole(folder, paths),
            *_stages(folder, paths[: 200 if options.full else 96]),
            *_seed_way(paths[: 100 if options.full else 48]),
            *_large(folder / "large", 24 if options.full else 6),
        ]
    report("indexing", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--pictures", type=Path, help="a folder of JPEGs to index as they are")
    made.add_argument("--n", type=int, help="how many pictures")
    return made.parse_args()


def _whole(folder: Path, paths: list[Path]) -> list[Figure]:
    """`Library.add`, twice into new libraries and once with nothing to do."""
    encoder = BuiltinEncoder()
    encoder.encode_prepared([np.zeros((encoder.input_px, encoder.input_px, 3), np.uint8)])
    rates, cpu_ms = [], []
    for name in ("first", "second"):
        say(f"Library.add, {name} time")
        with Library(folder / name, encoder=encoder) as library:
            began, used = time.perf_counter(), time.process_time()
            n_added = library.add(*paths).n_added
            rates.append(n_added / (time.perf_counter() - began))
            cpu_ms.append((time.process_time() - used) / n_added * 1e3)
    with Library(folder / "second", encoder=encoder) as library:
        began = time.perf_counter()
        library.add(*paths)
        unchanged = len(paths) / (time.perf_counter() - began)
    return [
        Figure("pictures", len(paths), note=_sizes(paths)),
        Figure("Library.add", max(rates), "pictures/s", at_least=100, note="the better of two"),
        Figure("  CPU time a picture", min(cpu_ms), "ms", note="all threads"),
        Figure("Library.add, all unchanged", unchanged, "pictures/s"),
    ]


def _sizes(paths: list[Path]) -> str:
    widths = []
    for path in paths[:50]:
        with Image.open(path) as image:
            widths.append(max(image.size))
    kib = np.median([path.stat().st_size for path in paths]) / 1024
    return f"median {np.median(widths):.0f} px on the longer side, {kib:.0f} KiB"


def _stages(folder: Path, paths: list[Path]) -> list[Figure]:
    """Rates of the stages alone."""
    say("stages")
    encoder = BuiltinEncoder()
    data, read = _rate(_read, paths)
    pictures, decoding = _rate(lambda some: decode(some, encoder.input_px), data)
    prepared, preparing = _rate(lambda picture: _prepare(encoder, picture), pictures)
    batches = [prepared[at : at + 16] for at in range(0, len(prepared), 16)]
    encoder.encode_prepared(batches[0])
    tiles, encoding = _rate(encoder.encode_prepared, batches)
    rows = np.concatenate([np.stack(batch) for batch in tiles])  # [n, t, d]
    writing = _write(folder / "written", encoder, rows)
    _, full = _rate(lambda path: _full_size(path, encoder), paths)
    each = len(paths) / len(batches)
    return [
        Figure("stage: read and hash", read, "pictures/s", note="one thread"),
        Figure("stage: decode", decoding, "pictures/s", note="one thread"),
        Figure("stage: prepare", preparing, "pictures/s", note="one thread; the dhash too"),
        Figure("stage: encode", encoding * each, "pictures/s", note="batches of 16, all cores"),
        Figure("stage: write", writing, "pictures/s", note="vectors synced, catalog committed"),
        Figure("decode and prepare", 1 / (1 / decoding + 1 / preparing), "pictures/s"),
        Figure("  baseline (a): full size, resize", full, "pictures/s", note="no dhash"),
    ]


def _read(path: Path) -> bytes:
    data = read_file(path)
    content_hash(data)
    return data


def _prepare(encoder: BuiltinEncoder, picture: Picture) -> np.ndarray:
    dhash(picture.image)
    embedded_words(picture)
    return encoder.prepare(picture.image)


def _write(folder: Path, encoder: BuiltinEncoder, rows: np.ndarray) -> float:
    """Images a second written as the builder does: vectors, then a transaction."""
    boxes = encoder.tiles_for(1, 1)
    n, n_tiles = rows.shape[:2]
    with LibraryFiles.create(folder, "builtin", encoder.fingerprint) as files:
        began = time.perf_counter()
        first = files.vectors.append(rows.reshape(-1, rows.shape[2]))
        with files.catalog.transaction() as db:
            tiling = files.catalog.tiling_id(db, boxes)
            for number in range(n):
                facts = FileFacts(b"/pictures/%d.jpg" % number, 1, 1)
                record = ImageRecord(
                    facts, os.urandom(16), 500, 375, "JPEG", number,
                    first + number * n_tiles, n_tiles, tiling,
                )  # fmt: skip
                files.catalog.put(db, record)
            files.catalog.bump(db, len(files.vectors))
        return n / (time.perf_counter() - began)


def _full_size(path: Path, encoder: BuiltinEncoder) -> np.ndarray:
    """Baseline (a): every pixel decoded, then one resize."""
    size = (encoder.input_px, encoder.input_px)
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB").resize(size, Image.Resampling.BILINEAR))


def _seed_way(paths: list[Path]) -> list[Figure]:
    """Baseline (b): one picture after the other."""
    say("baseline: one picture at a time")
    encoder = BuiltinEncoder()
    encoder.encode_prepared([_full_size(paths[0], encoder)])
    _, rate = _rate(lambda path: encoder.encode_prepared([_full_size(path, encoder)]), paths)
    return [Figure("baseline (b): one at a time, no threads", rate, "pictures/s", note="no write")]


def _large(folder: Path, n: int) -> list[Figure]:
    """Decoding of 12-megapixel JPEGs, in one thread."""
    say(f"making {n} pictures of 12 megapixels")
    paths = make_pictures(folder, n, 4000)
    encoder = BuiltinEncoder()
    _, ours = _rate(lambda path: _prepare(encoder, decode(_read(path), encoder.input_px)), paths)
    _, full = _rate(lambda path: _full_size(path, encoder), paths)
    return [
        Figure("12 megapixels: read, decode, prepare", ours, "pictures/s", note="one thread"),
        Figure("  baseline (a): full size, resize", full, "pictures/s"),
        Figure("  ratio", ours / full),
    ]


def _rate(work: Callable[[T], R], items: Sequence[T]) -> tuple[list[R], float]:
    """What the work returns for each item, and items a second."""
    began = time.perf_counter()
    results = [work(item) for item in items]
    return results, len(items) / (time.perf_counter() - began)


if __name__ == "__main__":
    main()
