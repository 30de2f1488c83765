"""What a worker of a Ray cluster does: read pictures, encode them, hand back plain values.
Layer: cluster.

Nothing here needs Ray. A worker opens an encoder of its own, once. A picture that cannot be
read or encoded is an outcome like any other; only the end of the process ends a shard, which
the driver has tried again.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from relook.core.errors import EncoderMismatchError
from relook.core.settings import ImageLimits
from relook.core.vectors import Floats
from relook.encoders.base import Encoder
from relook.library.reading import PictureReader, Read
from relook.library.records import FileFacts, ImageRecord, SkippedFile, Words

FAILED = "worker_failed"
"""Code of a file on which a worker failed, by an error or by its end."""
Columns = Mapping[str, Sequence[Any]]


class EncodeShard:
    """Encodes the files of a shard; made once on each worker.

    Args:
        make: Opens the encoder.
        limits: What a picture may cost.
        digest: Of the fingerprint that the library's encoder has.

    Raises:
        EncoderMismatchError: when the encoder that opens here is another one.
    """

    def __init__(self, make: Callable[[], Encoder], limits: ImageLimits, digest: str) -> None:
        self._encoder = make()
        self._reader = PictureReader(self._encoder, limits)
        fingerprint = self._encoder.fingerprint
        if fingerprint.digest != digest:
            raise EncoderMismatchError(
                "other_encoder",
                f"a worker opened {fingerprint.told}; the library was made by {digest}",
                "install the same relook and the same model on every machine",
            )

    def __call__(self, batch: Columns) -> dict[str, Any]:
        """Files as `as_facts` names them to outcomes as `outcomes` reads them."""
        files = [
            FileFacts(bytes(path), int(size), int(mtime))
            for path, size, mtime in zip(
                batch["path"], batch["size_bytes"], batch["mtime_ns"], strict=True
            )
        ]
        results: list[dict[str, Any]] = []
        step = max(self._encoder.batch, 1)
        for at in range(0, len(files), step):
            results += self._outcomes(files[at : at + step])
        return as_columns(results)

    def _outcomes(self, files: list[FileFacts]) -> list[dict[str, Any]]:
        """What came of some files; an error that nobody foresaw is told of its file alone."""
        try:
            return self._encoded([self._reader.read(facts) for facts in files])
        except Exception as error:  # an edge: one file must not end the others
            if len(files) > 1:
                return [line for facts in files for line in self._outcomes([facts])]
            why = f"a worker failed on it: {type(error).__name__}: {error}"[:500]
            return [_refused(SkippedFile(files[0], FAILED, why))]

    def _encoded(self, reads: list[Read | SkippedFile]) -> list[dict[str, Any]]:
        good = [read for read in reads if isinstance(read, Read)]
        prepared = [read.prepared for read in good if read.prepared is not None]
        tiles = iter(self._encoder.encode_prepared(prepared))
        return [
            _told(read, read.record, next(tiles))
            if isinstance(read, Read) and read.record is not None
            else _refused(read)
            for read in reads
        ]


def as_facts(files: Sequence[FileFacts]) -> list[dict[str, Any]]:
    """Files as the lines of a data set."""
    return [
        {"path": file.path, "size_bytes": file.size_bytes, "mtime_ns": file.mtime_ns}
        for file in files
    ]


def _told(read: Read, record: ImageRecord, tiles: Floats) -> dict[str, Any]:
    rest = {
        "width_px": record.width_px, "height_px": record.height_px, "format": record.format,
        "dhash": record.dhash, "title": record.title, "caption": record.caption,
        "metadata": record.metadata, "n_tiles": len(tiles),
        "words": None if read.words is None else asdict(read.words),
    }  # fmt: skip
    return {
        "path": read.facts.path, "content": record.content, "tiles": tiles.tobytes(),
        "told": json.dumps(rest, default=str), "code": "", "message": "",
    }  # fmt: skip


def _refused(outcome: Read | SkippedFile) -> dict[str, Any]:
    assert isinstance(outcome, SkippedFile)  # what is read here is never known already
    return {
        "path": outcome.facts.path, "content": b"", "tiles": b"", "told": "{}",
        "code": outcome.code, "message": outcome.message,
    }  # fmt: skip


def as_columns(lines: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Outcomes as columns; bytes stay objects, which keep their trailing zeros."""
    names = ("path", "content", "tiles", "told", "code", "message")
    return {name: np.array([line[name] for line in lines], object) for name in names}


def outcomes(
    batch: Columns, files: Mapping[bytes, FileFacts], dim: int
) -> list[Read | SkippedFile]:
    """Outcomes of workers: pictures that were read and encoded, and files that they skipped.

    Args:
        batch: Columns as a worker made them.
        files: What was asked for, by path.
        dim: Length d of a vector.
    """
    results: list[Read | SkippedFile] = []
    columns = (batch[name] for name in ("path", "content", "tiles", "told", "code", "message"))
    for path, content, tiles, rest, code, message in zip(*columns, strict=True):
        facts = files[bytes(path)]
        if code:
            results.append(SkippedFile(facts, str(code), str(message)))
            continue
        values = json.loads(rest)
        n_tiles, words_given = values.pop("n_tiles"), values.pop("words")
        words = None if words_given is None else Words(**words_given)
        record = ImageRecord(facts, bytes(content), **values)
        rows = np.frombuffer(bytes(tiles), np.float32).reshape(n_tiles, dim)
        results.append(Read(facts, record.content, words, record=record, tiles=rows))
    return results
