"""From a picture's place to what the encoder wants and the catalog keeps. Layer: library.

    outcome = PictureReader(encoder, limits).read(facts)

`outcome` is a `Read` or, for a picture that cannot be used, a `SkippedFile` with the reason.
A reader knows nothing of the run it is part of: threads of one process call it, and so may
actors on many machines. `Duplicates` lets equal pictures of one run be encoded once.
"""

from __future__ import annotations

import collections
import threading
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from relook.core.errors import ImageError
from relook.core.images import content_hash, decode, dhash
from relook.core.picture_paths import is_misnamed, is_url, split_scene
from relook.core.settings import ImageLimits
from relook.core.sources import limits_at, read_bytes, scene_content
from relook.core.vectors import Floats
from relook.core.videos import scene_picture
from relook.encoders.base import Encoder
from relook.library.image_words import Beside, words_beside
from relook.library.known import Contents
from relook.library.picture_facts import embedded_words
from relook.library.records import FileFacts, ImageRecord, SkippedFile, with_words
from relook.library.report import Clock

if TYPE_CHECKING:
    from relook.library.survey import Survey

_FIRST_WAIT_S = 0.5  # for a listing to be over, or far enough ahead
_WAIT_S = 0.2  # for the listing, before the next report of progress


@dataclass(frozen=True, slots=True)
class Read:
    """A picture that was read: its input for the encoder, unless its content is known.

    Args:
        facts: As they were listed.
        content: Digest of its bytes.
        beside: What files beside it say.
        prepared: What `Encoder.encode_prepared` takes; None when the content is known.
        record: What the catalog keeps; None when the content is known.
        tiles: [t, d] its vectors, where whoever read it has encoded it, too.
    """

    facts: FileFacts
    content: bytes
    beside: Beside = field(default_factory=Beside)
    prepared: NDArray[Any] | None = None
    record: ImageRecord | None = None
    tiles: Floats | None = None

    def as_of(self, record: ImageRecord) -> ImageRecord:
        """A record for a new image, made from that of an equal picture."""
        return replace(record, facts=self.facts, image_id=0)


class PictureReader:
    """Reads, hashes and decodes pictures; for any number of threads.

    Args:
        encoder: Whose input is prepared.
        limits: What a picture may cost.
        contents: What the library has; such files are only hashed. None decodes every file.
        n_decoders: Pictures decoded at once; as many as there are threads when 0.

    Attributes:
        misnamed: Path and format of pictures whose suffix says another format.
    """

    def __init__(
        self,
        encoder: Encoder,
        limits: ImageLimits | None = None,
        contents: Contents | None = None,
        n_decoders: int = 0,
    ) -> None:
        self._encoder, self._limits = encoder, limits or ImageLimits()
        self._contents = contents
        self._slots: AbstractContextManager[object] = (
            threading.BoundedSemaphore(n_decoders) if n_decoders else nullcontext()
        )
        self.misnamed: list[tuple[bytes, str]] = []
        self.reading, self.decoding = Clock("read"), Clock("decode")

    def read(self, facts: FileFacts, again: bool = False) -> Read | SkippedFile:
        """Reads one picture.

        Args:
            facts: Its place, and its size and time as they were listed.
            again: Decode it even if its content is known.
        """
        content = None
        try:
            if facts.size_bytes > self._limits.max_file_bytes and is_url(facts.path):
                raise _too_large(facts.size_bytes, self._limits.max_file_bytes)
            with self.reading.work():
                data, content = b"", scene_content(facts.path)
                if content is None:
                    data = read_bytes(facts.path, self._limits)
                    content = content_hash(data)
                beside = words_beside(facts.path)
            if self._contents is not None and not self._contents.claim(content) and not again:
                return Read(facts, content, beside)
            with self._slots, self.decoding.work():
                return self._decoded(Read(facts, content, beside), data)
        except ImageError as error:
            if self._contents is not None and content is not None:
                self._contents.release(content)
            reason = f"{error.message}; {error.hint}" if error.hint else error.message
            return SkippedFile(facts, error.code, reason)

    def _decoded(self, read: Read, data: bytes) -> Read:
        limits = limits_at(read.facts.path, self._limits)
        if (scene := split_scene(read.facts.path)) is not None:
            picture = scene_picture(*scene, limits)
        else:
            picture = decode(data, self._encoder.input_px, limits)
        if is_misnamed(read.facts.path, picture.format):
            self.misnamed.append((read.facts.path, picture.format))
        inside = embedded_words(picture).over(read.beside.fills)
        record = ImageRecord(
            read.facts, read.content, picture.width_px, picture.height_px, picture.format,
            dhash(picture.image), title=inside.title, caption=inside.caption,
            metadata=inside.metadata,
        )  # fmt: skip
        prepared = self._encoder.prepare(picture.image)
        return replace(read, prepared=prepared, record=with_words(record, read.beside.words))


Outcomes = Generator[Read | SkippedFile, None, None]
"""What became of each file: once each."""
ReadElsewhere = Callable[["Survey", Callable[[], None]], Outcomes]
"""Reads and encodes what a survey finds: each file's outcome once, in any order, a `Read` with
its tiles. It calls the function now and then while it waits for the listing."""


def read_ahead(
    survey: Survey,
    read: Callable[[FileFacts], Read | SkippedFile],
    n_threads: int,
    n_ahead: Callable[[], int],
    tell: Callable[[], None],
) -> Outcomes:
    """Reads what a survey finds in threads; results in order.

    Args:
        survey: Lists the files.
        read: Reads one.
        n_threads: How many at once.
        n_ahead: How many files at most are read before they are asked for.
        tell: Called now and then while the listing is waited for.
    """
    pending: collections.deque[Future[Read | SkippedFile]] = collections.deque()
    pool = ThreadPoolExecutor(n_threads, thread_name_prefix="relook-read")
    wait_s = _FIRST_WAIT_S  # so that the total of a short listing is known from the start
    try:
        while True:
            # One more than is needed: whether there is one more tells whether it is over.
            while len(pending) <= n_ahead():
                facts = survey.next(wait_s if wait_s or not pending else 0.0)
                if facts is None:
                    break
                pending.append(pool.submit(read, facts))
            if pending:
                wait_s = 0.0
                yield pending.popleft().result()
            elif survey.is_exhausted():
                return
            else:
                wait_s = _WAIT_S
                tell()
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _too_large(n_bytes: int, limit: int) -> ImageError:
    return ImageError("file_too_large", f"it has {n_bytes:,} bytes; the limit is {limit:,}")


@dataclass(frozen=True, slots=True)
class Group:
    """Equal pictures: the first is encoded, the others take its vectors."""

    first: Read
    others: list[Read] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Twin:
    """An equal picture that is encoded, and perhaps not committed yet."""

    record: ImageRecord
    tiles: Floats


class Duplicates:
    """Equal pictures of one run, from reading until the catalog has them."""

    def __init__(self) -> None:
        self._groups: dict[bytes, Group] = {}
        self._encoded: dict[bytes, Twin] = {}
        self._in_flight: dict[bytes, Twin] = {}

    @property
    def n_waiting(self) -> int:
        """How many pictures wait to be encoded."""
        return len(self._groups)

    def join(self, read: Read) -> bool:
        """Whether an equal picture waits to be encoded; this one then waits beside it."""
        group = self._groups.get(read.content)
        if group is not None:
            group.others.append(read)
        return group is not None

    def twin(self, content: bytes) -> Twin | None:
        """The equal picture that was encoded last, until the catalog has it."""
        return self._encoded.get(content) or self._in_flight.get(content)

    def wait(self, read: Read) -> None:
        """Lets a picture wait to be encoded."""
        self._groups[read.content] = Group(read)

    def take(self) -> list[Group]:
        """Everything that waits, in order."""
        groups, self._groups = list(self._groups.values()), {}
        return groups

    def encoded(self, record: ImageRecord, tiles: Floats) -> None:
        """Keeps the record and vectors of a picture that was encoded."""
        self._encoded[record.content] = Twin(record, tiles)

    def commit(self) -> None:
        """Marks what was encoded as being committed; what was in flight before is committed."""
        self._in_flight, self._encoded = self._encoded, {}
