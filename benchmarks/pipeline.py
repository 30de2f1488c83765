"""Whether the stages of indexing overlap: a whole run beside its slowest stage alone.

Measures: `Library.add` of N JPEGs of 500 px, and each stage alone with the threads that the run
gives it (list, read, decode, encode, write). In "shared cores" decoding and the built-in encoder
want the same cores, so besides the slowest stage there is a second bound: the processor time of
all stages over the number of cores. In "elsewhere" one stage waits for other hardware, as an
encoder on a GPU, a remote store and a slow disk do: there nothing but the slowest stage counts.
The waits are made by sleeping, so that the figure says something about the pipeline and nothing
about a device.
Baseline in the same run: the stages one after the other, which is the sum of their times.
Read it: "run / slowest" is how much longer the run takes than its bound; 1 is no bubble at all.
Also measured: memory and time for what a run keeps of a library of --known images, and how fast
that many names are listed and waited with.
"""

import argparse
import os
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
from figures import Figure, parser, report, say
from photographs import make_pictures

from relook import Library
from relook.core.settings import ImageLimits, IndexSettings
from relook.encoders.builtin import BuiltinEncoder
from relook.library import reading, survey
from relook.library.catalog import Catalog
from relook.library.commit import Committer, Entry
from relook.library.files import LibraryFiles
from relook.library.known import load_known
from relook.library.reading import PictureReader, Read
from relook.library.records import FileFacts, ImageRecord
from relook.library.scan import Scan
from relook.library.vector_file import VectorFile

_TARGET = 1.15


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    n = options.n or (2000 if options.full else 300)
    figures = []
    with tempfile.TemporaryDirectory(prefix="relook-pipeline-") as name:
        folder = Path(name)
        say(f"making {n} pictures")
        make_pictures(folder / "pictures", n, 500)
        figures += _shared(folder, n)
        for number, arm in enumerate(ELSEWHERE):
            figures += _elsewhere(folder, n, number, *arm)
        figures += _known(folder / "known", options.known)
    report("pipeline", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n", type=int, help="how many pictures")
    made.add_argument("--known", type=int, default=200_000, help="images of the large library")
    return made.parse_args()


class Elsewhere(BuiltinEncoder):
    """The built-in encoder's preprocessing; the tower is a wait."""

    def __init__(self, picture_s: float) -> None:
        super().__init__()
        self.picture_s = picture_s

    def encode_prepared(self, prepared: Any) -> Any:
        time.sleep(self.picture_s * len(prepared))
        return [np.full((6, self.dim), self.dim**-0.5, np.float32) for _ in prepared]


def _shared(folder: Path, n: int) -> list[Figure]:
    """The built-in encoder on the cores that decode too."""
    say("shared cores")
    encoder = BuiltinEncoder()
    alone, cpu_s = _alone(folder, "shared", encoder, IndexSettings())
    run_s = min(_run(folder, f"shared-run-{turn}", encoder, IndexSettings()) for turn in (1, 2))
    bound_s = max(*alone.values(), cpu_s / (os.cpu_count() or 1))
    return [
        *_stages("shared cores", n, alone),
        Figure("shared cores: run", n / run_s, "pictures/s", note="the better of two"),
        Figure("  run / slowest stage", run_s / max(alone.values()), "x"),
        Figure("  run / processor time over cores", run_s / bound_s, "x", at_most=_TARGET,
               note=f"{cpu_s / n * 1e3:.1f} ms of processor a picture"),
        Figure("  run / one after the other", run_s / sum(alone.values()), "x"),
    ]  # fmt: skip


# Name, seconds of a picture in: the tower, the store, the disk; threads that read.
ELSEWHERE = (
    ("encoder elsewhere", (0.02, 0.0, 0.0), 0),
    ("store elsewhere", (0.005, 0.3, 0.0), 16),
    ("slow disk", (0.01, 0.0, 0.02), 0),
)


def _elsewhere(
    folder: Path, n: int, number: int, name: str, waits: tuple[float, float, float], readers: int
) -> list[Figure]:
    """One stage that waits for other hardware."""
    say(name)
    encoder = Elsewhere(waits[0])
    settings = IndexSettings(readers=readers, commit_every=32)
    with _slowed(*waits[1:]):
        alone, _ = _alone(folder, f"elsewhere-{number}", encoder, settings)
        run_s = _run(folder, f"elsewhere-run-{number}", encoder, settings)
    slowest = max(alone.values())
    return [
        *_stages(name, n, alone),
        Figure(f"{name}: run", n / run_s, "pictures/s"),
        Figure("  run / slowest stage", run_s / slowest, "x", at_most=_TARGET),
        Figure("  run / one after the other", run_s / sum(alone.values()), "x"),
    ]


@contextmanager
def _slowed(read_s: float, write_s: float) -> Iterator[None]:
    """Reading takes so much longer a file, and writing a row's picture."""
    read, append = reading.read_bytes, VectorFile.append

    def slow_read(*given: Any) -> bytes:
        time.sleep(read_s)
        return read(*given)

    def slow_append(self: VectorFile, rows: Any) -> int:
        time.sleep(write_s * len(rows) / 6)
        return append(self, rows)

    with (
        mock.patch.object(reading, "read_bytes", slow_read),
        mock.patch.object(VectorFile, "append", slow_append),
    ):
        yield


def _stages(name: str, n: int, alone: dict[str, float]) -> list[Figure]:
    return [
        Figure(f"{name}: {stage} alone", n / seconds, "pictures/s")
        for stage, seconds in alone.items()
    ]


def _run(folder: Path, name: str, encoder: BuiltinEncoder, settings: IndexSettings) -> float:
    """Seconds of a whole run into a new library."""
    encoder.encode_prepared([np.zeros((encoder.input_px, encoder.input_px, 3), np.uint8)])
    with Library(folder / name, encoder=encoder) as library:
        library.open_or_create()
        began = time.perf_counter()
        library.add(folder / "pictures", settings=settings)
        return time.perf_counter() - began


def _alone(
    folder: Path, name: str, encoder: BuiltinEncoder, settings: IndexSettings
) -> tuple[dict[str, float], float]:
    """Seconds of each stage alone, and processor seconds of all."""
    used = time.process_time()
    pictures = os.fsencode(folder / "pictures")
    listed, list_s = _timed(lambda: [f for files in Scan([pictures], avoid=b"/-") for f in files])
    n_decoders = os.cpu_count() or 1
    n_readers = settings.readers or n_decoders
    read = lambda facts: reading.read_bytes(facts.path, ImageLimits())  # noqa: E731
    with ThreadPoolExecutor(n_readers) as pool:
        data, read_s = _timed(lambda: list(pool.map(read, listed)))
    reader = PictureReader(encoder)
    blank = Read(listed[0], b"")
    with ThreadPoolExecutor(n_decoders) as pool:
        decode = lambda some: reader._decoded(blank, some)  # noqa: E731
        reads, decode_s = _timed(lambda: list(pool.map(decode, data)))
    prepared = [one.prepared for one in reads]
    batches = [prepared[at : at + encoder.batch] for at in range(0, len(prepared), encoder.batch)]
    encoder.encode_prepared(batches[0][:1])
    tiles, encode_s = _timed(lambda: [one for b in batches for one in encoder.encode_prepared(b)])
    entries = [
        Entry(_record(facts, number), rows)
        for number, (facts, rows) in enumerate(zip(listed, tiles, strict=True))
    ]
    with LibraryFiles.create(folder / name, "builtin", encoder.fingerprint) as files:
        committer = Committer(files, lambda _: encoder.tiles_for(1, 1))
        every = settings.commit_every
        _, write_s = _timed(
            lambda: [committer.commit(entries[at : at + every])
                     for at in range(0, len(entries), every)]
        )  # fmt: skip
    times = (list_s, read_s, decode_s, encode_s, write_s)
    stages = dict(zip(("list", "read", "decode", "encode", "write"), times, strict=True))
    return stages, time.process_time() - used


def _record(facts: FileFacts, number: int) -> ImageRecord:
    return ImageRecord(facts, os.urandom(16), 500, 375, "JPEG", number)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
    began = time.perf_counter()
    made = work()
    return made, time.perf_counter() - began


def _known(folder: Path, n: int) -> list[Figure]:
    """What a run keeps of a large library, and of a long list of files."""
    say(f"a library of {n:,}")
    encoder = BuiltinEncoder()
    with LibraryFiles.create(folder, "builtin", encoder.fingerprint) as files:
        with files.catalog.transaction() as db:
            for at in range(n):
                path = b"/photographs/%05d/IMG_%08d.jpg" % (at // 1000, at)
                record = _record(FileFacts(path, 100_000 + at, 10**18 + at), at)
                files.catalog.put(db, ImageRecord(*_fields(record), first_row=at, n_tiles=1,
                                                  tiling_id=1))  # fmt: skip
        files.catalog.ask("PRAGMA wal_checkpoint(TRUNCATE)")  # as a library of many commits is
        (known, _), load_s, n_bytes = _measured(lambda: load_known(files.catalog))
        (_, _), _, old_bytes = _measured(lambda: _as_before(files.catalog))
        listed = [
            FileFacts(b"/photographs/%05d/IMG_%08d.jpg" % (at // 1000, at), 100_000 + at, 10**18)
            for at in range(n)
        ]
        _, compare_s = _timed(
            lambda: [known.compare(listed[at : at + 1000]) for at in range(0, n, 1000)]
        )
        chunks, pack_s = _timed(
            lambda: [survey._packed(listed[at : at + 256]) for at in range(0, n, 256)]
        )
    packed = sum(len(paths) + facts.nbytes for paths, facts in chunks)
    return [
        Figure("known images: memory", n_bytes / n, "bytes an image", at_most=60),
        Figure("  baseline: dicts of paths and contents", old_bytes / n, "bytes an image"),
        Figure("  loaded in", load_s / n * 1e6, "s a million images"),
        Figure("  compared in", compare_s / n * 1e6, "s a million files"),
        Figure("a file that waits: memory", packed / n, "bytes", at_most=60),
        Figure("  packed in", pack_s / n * 1e6, "s a million files"),
    ]


def _fields(record: ImageRecord) -> tuple[Any, ...]:
    return (record.facts, record.content, 500, 375, "JPEG", record.dhash)


def _as_before(catalog: Catalog) -> tuple[dict[Any, Any], set[Any]]:
    """How a run kept them before: every path and digest as a Python object."""
    rows = catalog.ask("SELECT path, image_id, size_bytes, mtime_ns FROM images")
    facts = {row[0]: row[1:] for row in rows}
    return facts, {row[0] for row in catalog.ask("SELECT content FROM images")}


def _measured(work: Callable[[], Any]) -> tuple[Any, float, int]:
    """What it makes, seconds, and bytes that stay."""
    _, seconds = _timed(work)
    tracemalloc.start()
    made = work()
    n_bytes = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    return made, seconds, n_bytes


if __name__ == "__main__":
    main()
