"""What a summariser is trained on: captions, the pages they lead to, and what they mean.

A caption of a picture is asked of the captioned pictures; the page that comes, the picture itself
and its other captions are one lesson. Vectors are a library's, so any encoder will do, and
nothing is encoded but the captions. Layer: learning.
"""

import hashlib
import os
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from relook.bench.measures import columns_by_name
from relook.bench.query_files import Caption
from relook.core.errors import InputError, disk_error
from relook.core.progress import Progress, ProgressCallback
from relook.core.vectors import Floats, Ints, unit
from relook.search.engine import Engine

_AT_ONCE = 1024
_FEWEST = 2  # pictures in each part: with fewer there is nothing to tell apart
Texts = Mapping[int, list[str]]
"""Line of the row table -> captions of that picture."""


@dataclass(frozen=True, slots=True)
class LessonOptions:
    """What is taken of a captioned set.

    Args:
        pictures: At most so many, drawn at random.
        page: Pictures of the page that a summary is made of.
        held_out: Share of the pictures that is not trained on but measured on.
        seed: Of what is drawn.
    """

    pictures: int = 20_000
    page: int = 5
    held_out: float = 0.1
    seed: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Lessons:
    """Arrays to train on.

    Args:
        vectors: [r, d] unit vectors of all tiles; the last row is zeros, for `rows` to point at.
        rows: [n, t] rows of each picture's tiles, the whole picture first.
        queries: [m, d] unit text vectors of captions, those of a picture side by side.
        owners: [m] the picture of each.
        pages: [m, k] the pictures of the page that each caption leads to, best first; -1 where
            the page is shorter.
        spoken: [n, d] text vectors of what a captioner says of each picture; empty without one.
        held_out: [n] whether a picture is not trained on.
    """

    vectors: Floats
    rows: Ints
    queries: Floats
    owners: Ints
    pages: Ints
    spoken: Floats
    held_out: NDArray[np.bool_]

    @property
    def spans(self) -> Ints:
        """[n + 1]: the captions of picture i are those from spans[i] to spans[i + 1]."""
        return np.searchsorted(self.owners, np.arange(len(self.rows) + 1))

    @property
    def digest(self) -> str:
        """Sixteen hexadecimal digits that stand for all of it."""
        made = hashlib.sha256()
        for array in (self.queries, self.owners, self.pages, self.spoken, self.held_out):
            made.update(np.ascontiguousarray(array).tobytes())
        return made.hexdigest()[:16]


def captions_of(engine: Engine, captions: Sequence[Caption] | None = None) -> Texts:
    """The captions of a library's pictures, each of them at least one.

    Args:
        engine: Of the library.
        captions: From a file, matched by file name; those of other pictures are left out. When
            None, the captions that the library itself has, from files beside its pictures
            or `--metadata`: each line of one is a caption of its own.

    Raises:
        InputError: `no_captions` when there are too few to train on; `ambiguous_name`.
    """
    texts: dict[int, list[str]] = {}
    if captions is None:
        at = {int(image_id): n for n, image_id in enumerate(engine.files.row_table[:, 2])}
        for record in engine.files.catalog.each_image():
            lines = [line for line in record.caption.splitlines() if line.strip()]
            if lines and record.image_id in at:
                texts[at[record.image_id]] = lines
    else:
        columns = columns_by_name(engine)
        for caption in captions:
            if caption.image in columns and caption.text.strip():
                texts.setdefault(columns[caption.image], []).append(caption.text)
    if len(texts) < 2 * _FEWEST:
        raise InputError(
            "no_captions",
            f"{len(texts)} pictures of this library have captions, which is too little to train on",
            "index captioned pictures, or name a file about them: --captions FILE; its captions are"
            " matched by file name",
        )
    return texts


def lessons_of(
    engine: Engine,
    texts: Texts,
    options: LessonOptions,
    folder: Path,
    speak: Callable[[Sequence[int]], Sequence[str]] | None = None,
    progress: ProgressCallback | None = None,
) -> Lessons:
    """Makes lessons of a library's pictures and their captions.

    Pages of pictures that are trained on hold no picture that is held out, and the other way round.

    Args:
        engine: Of the library.
        texts: Captions of its pictures, from `captions_of`.
        options: What is taken.
        folder: Keeps vectors of captions, so that another run need not encode them again.
        speak: A captioner: image ids -> what it says of each, empty for nothing.
        progress: Called now and then.

    Raises:
        StorageError: when the disk refuses.
    """
    columns = _drawn(sorted(texts), options)
    captions = [text for column in columns for text in texts[column]]
    owners = np.repeat(np.arange(len(columns)), [len(texts[column]) for column in columns])
    queries = _encoded(engine, captions, folder / "captions.npz", "reading captions", progress)
    held_out = _held_out(len(columns), options)
    pages = _pages(
        engine, queries, held_out[owners], np.array(columns), held_out, options, progress
    )
    table = engine.files.row_table[columns]
    spoken = np.zeros((0, queries.shape[1]), np.float32)
    if speak is not None:
        words = list(speak(table[:, 2].tolist()))
        spoken = _encoded(engine, words, folder / "spoken.npz", "reading what was said", progress)
        spoken[[not text for text in words]] = 0.0
    vectors, rows = _tiles(engine, table)
    return Lessons(vectors, rows, queries, owners, pages, spoken, held_out)


def _drawn(columns: Sequence[int], options: LessonOptions) -> list[int]:
    chosen = np.random.default_rng([options.seed, 0]).permutation(len(columns))
    return sorted(columns[at] for at in chosen[: options.pictures])


def _held_out(n: int, options: LessonOptions) -> NDArray[np.bool_]:
    n_held = min(max(round(options.held_out * n), _FEWEST), n - _FEWEST)
    held = np.zeros(n, dtype=bool)
    held[np.random.default_rng([options.seed, 1]).permutation(n)[:n_held]] = True
    return held


def _encoded(
    engine: Engine,
    texts: Sequence[str],
    kept: Path,
    stage: str,
    progress: ProgressCallback | None,
) -> Floats:
    """[n, d] text vectors, kept in a file for the next time."""
    digest = hashlib.sha256(engine.encoder.fingerprint.digest.encode())
    for text in texts:
        digest.update(text.encode("utf-8", "surrogatepass") + b"\0")
    key = digest.hexdigest()
    arrays = load_arrays(kept)
    if arrays.get("key") == key:
        return np.asarray(arrays["vectors"], np.float32)
    rows = []
    for at in range(0, len(texts), _AT_ONCE):
        rows.append(
            engine.encoder.encode_texts([text or "." for text in texts[at : at + _AT_ONCE]])
        )
        if progress:
            progress(Progress(stage, min(at + _AT_ONCE, len(texts)), len(texts)))
    vectors = np.concatenate(rows)
    save_arrays(kept, {"key": np.array(key), "vectors": vectors})
    return vectors


def _pages(
    engine: Engine,
    queries: Floats,
    asks_held: NDArray[np.bool_],
    columns: Ints,
    held_out: NDArray[np.bool_],
    options: LessonOptions,
    progress: ProgressCallback | None,
) -> Ints:
    """[m, k] best pictures of each caption's own part."""
    pages = np.full((len(queries), options.page), -1, np.int64)
    for at in range(0, len(queries), _AT_ONCE):
        some = slice(at, at + _AT_ONCE)
        scores = engine.score_all(queries[some])[:, columns]  # [b, n]
        scores[asks_held[some][:, None] != held_out[None]] = -np.inf
        k = min(options.page, scores.shape[1])
        best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
        order = np.argsort(-np.take_along_axis(scores, best, 1), axis=1, kind="stable")
        best = np.take_along_axis(best, order, 1)
        best[np.isneginf(np.take_along_axis(scores, best, 1))] = -1
        pages[some, :k] = best
        if progress:
            progress(Progress("asking captions", min(at + _AT_ONCE, len(queries)), len(queries)))
    return pages


def _tiles(engine: Engine, table: Ints) -> tuple[Floats, Ints]:
    """The vectors of some pictures with a row of zeros behind them, and each picture's rows."""
    counts = table[:, 1]
    every = np.concatenate([np.arange(first, first + n) for first, n in table[:, :2].tolist()])
    vectors = unit(engine.files.vectors.rows(every))
    starts = np.cumsum(counts) - counts
    tiles = np.arange(counts.max())[None]  # [1, t]
    rows = np.where(tiles < counts[:, None], starts[:, None] + tiles, len(vectors))
    return np.concatenate([vectors, np.zeros_like(vectors[:1])]), rows


def save_arrays(path: Path, arrays: Mapping[str, NDArray[np.generic]]) -> None:
    """Writes arrays whole or not at all; nothing in them is code.

    Raises:
        StorageError: when the disk refuses.
    """
    draft = path.with_name(f"{path.name}.new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(draft, "wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise disk_error(f"cannot write {path}", error) from error


def load_arrays(path: Path) -> dict[str, NDArray[np.generic]]:
    """What `save_arrays` wrote; nothing for a file that is not there, or is torn."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile, zlib.error):
        return {}
