"""The libraries that a server has open. Layer: serving."""

import collections
import contextlib
import logging
import re
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from relook.app.facade import Library
from relook.app.sessions import LibrarySession
from relook.app.upkeep import library_facts
from relook.captioners.base import About
from relook.core.errors import NotFoundError, RelookError
from relook.core.leftovers import sweep_files
from relook.core.picture_paths import printable
from relook.core.sources import STRANGERS, mark
from relook.core.types import Page, Query
from relook.encoders.base import Encoder, encode_images
from relook.encoders.builtin import FEW_TEXTS
from relook.library.manifest import Manifest
from relook.library.records import ImageRecord
from relook.library.session_table import SessionTable
from relook.search.engine import EncoderOf, Engine
from relook.search.filtering import OWN_FIELDS, Filter
from relook.search.session import Session
from relook.search.transfer import add_session
from relook.search.vectorise import read_words
from relook.serving.pictures import QueryPictures
from relook.serving.pools import busy
from relook.serving.requests import QueryRequest, to_query
from relook.serving.served_values import ServedFacts
from relook.serving.word_vectors import RememberingEncoder

if TYPE_CHECKING:
    from PIL import Image

_LOG = logging.getLogger(__name__)
Captioning = Callable[["Image.Image", About], str]
_N_LOCKS = 64
_LOCK_S = 10.0
_N_SAMPLED, _N_KEYS = 5000, 200  # images whose metadata is read; names that are listed


class ServedLibrary:
    """One open library, safe to use from several threads.

    Searches run side by side, each on one moment of the files; what changes a session runs
    under that session's lock.

    Args:
        library_id: Its name in addresses.
        library: Open or not yet made; made empty here when it is not there.
        caption: Puts words to crops; the library's own captioner when None.
    """

    def __init__(
        self, library_id: str, library: Library, caption: Captioning | None = None
    ) -> None:
        self.library_id, self.library = library_id, library
        self.files = library.open_or_create()
        self.engine: Engine = library.engine
        self._encoders = _Remembering(self.engine.encoder_of)
        self.engine.encoder_of = self._encoders.of
        self.caption: Captioning = caption or library.suggest
        for name in STRANGERS:
            _take_over(library.folder / name)
        self.pictures = QueryPictures(library.folder / "query-pictures", library.limits)
        self._locks = [threading.Lock() for _ in range(_N_LOCKS)]

    @property
    def encoder(self) -> Encoder:
        """The encoder of the library, which may be upgraded while it is served.

        Raises:
            EncoderMismatchError: `other_encoder` when it is not there any more.
        """
        return self.engine.encoder

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.library.folder.absolute().name or self.library_id

    def search(
        self, query: Query, limit: int | None, only: Filter | None = None, fold: bool | None = None
    ) -> Page:
        """As `Engine.search`, on one moment of the files."""
        with self.files.moment():
            return self.engine.search(query, limit, only, fold)

    def expect(self, request: QueryRequest, grammar: bool | None) -> None:
        """Has the words of a search that waits for a thread read with those of others."""
        with contextlib.suppress(RelookError):  # the search itself tells what is wrong with them
            query = to_query(request, self.pictures, self.reads(grammar))
            self._encoders.expect([read_words(part) for part in query.parts if part.text])

    def image(self, image_id: int) -> ImageRecord:
        """What the catalog knows of an image.

        Raises:
            NotFoundError: `no_image`.
        """
        return self.files.catalog.images([image_id])[0]

    def begin(
        self, query: Query, limit: int | None, name: str, only: Filter, instruction: str = ""
    ) -> LibrarySession:
        """A new session; uploaded pictures of its query are kept as long as it is."""
        with self.pictures.kept(query) as kept_query, self.files.moment():
            return self.library.look(
                kept_query, limit=limit, name=name, captions=False, where=only.where,
                path=only.path, min_fit=only.min_fit, instruction=instruction,
            )  # fmt: skip

    def delete_session(self, session_id: str) -> None:
        """Removes a session, and the uploaded pictures that no other session asks with.

        Raises:
            NotFoundError: `no_session`.
        """
        with self.session(session_id) as session:
            session.delete()
        self.pictures.sweep(lambda: [Query.from_dict(row.query) for row in self.library.sessions()])

    @contextmanager
    def session(self, session_id: str) -> Iterator[Session]:
        """A session that only this thread changes inside the block, on one moment of the files.

        Raises:
            NotFoundError: `no_session`.
            OverloadError: when another thread keeps it for too long.
        """
        lock = self._locks[zlib.crc32(session_id.encode("utf-8", "replace")) % _N_LOCKS]
        if not lock.acquire(timeout=_LOCK_S):
            raise busy("another request works on this session")
        try:
            with self.reading(session_id) as session:
                yield session
        finally:
            lock.release()

    @contextmanager
    def reading(self, session_id: str) -> Iterator[Session]:
        """A session to look at, on one moment of the files.

        Raises:
            NotFoundError: `no_session`.
        """
        with self.files.moment():
            yield self.library.session(session_id, captions=False)

    def add_session(self, data: bytes, check: Callable[[Query], object]) -> tuple[str, list[str]]:
        """A session from an exported one; its id, and notes.

        Raises:
            InputError: `bad_session_file` or `other_library`; TooLargeError; what `check` raises.
        """
        table = SessionTable(self.files.catalog)
        with self.files.moment():
            session_id, notes = add_session(
                self.engine,
                table,
                data,
                self.library.session_limits,
                source="the file",
                check=check,
            )
        return session_id, list(notes)

    def contents(self, image_ids: Sequence[int]) -> dict[int, bytes]:
        """Content digests of images."""
        return self.files.catalog.contents(image_ids)

    def fields(self) -> list[str]:
        """Names that a filter may use; those of the metadata as some images have them."""
        keys = self.files.catalog.metadata_keys(_N_SAMPLED, _N_KEYS)
        return [*OWN_FIELDS, *(key for key in keys if '"' not in key and key not in OWN_FIELDS)]

    def warm_up(self) -> None:
        """Loads what the first search and the first box need.

        Not the captioner: one elsewhere would be sent a picture that nobody asked about.
        """
        from PIL import Image

        # More than a command reads, and each another: it opens what reads many texts fastest.
        self.engine.encoder.encode_texts([f"words {n}" for n in range(FEW_TEXTS + 1)])
        encode_images(self.engine.encoder, [Image.new("RGB", (64, 64), "grey")])

    def reads(self, grammar: bool | None) -> bool:
        """Whether a line has a grammar: as a request says, or else as it is configured."""
        return self.library.search_settings.reads(grammar)

    def facts(self) -> ServedFacts:
        """What it holds, and how it is configured."""
        library = self.library
        return ServedFacts(
            self.library_id, self.name, library_facts(self.files),
            library.search_settings.limit, library.feedback.strategy, library.feedback.keep_shown,
            self.reads(None),
        )  # fmt: skip

    def close(self) -> None:
        """Closes the files; closing twice is fine."""
        self.pictures.close()
        self.library.close()


class _Remembering:
    """Opens encoders as before, with the vectors of words kept; those of one that is left go."""

    def __init__(self, encoder_of: EncoderOf) -> None:
        self._encoder_of = encoder_of
        self._last: list[RememberingEncoder] = []

    def of(self, manifest: Manifest) -> Encoder:
        """As `EncoderOf`."""
        encoder = self._encoder_of(manifest)
        known = next((entry for entry in self._last if entry.inner is encoder), None)
        if known is None:
            known = RememberingEncoder(encoder)
            self._last[:] = [known, *self._last[:1]]  # some may still use the one before
        return cast(Encoder, known)

    def expect(self, texts: Iterable[str]) -> None:
        """As `RememberingEncoder.expect`; nothing where no encoder is open yet."""
        for newest in self._last[:1]:
            newest.expect(texts)


def _take_over(folder: Path) -> None:
    """Marks a folder of strangers' pictures that older versions made, and sweeps it."""
    try:
        if folder.is_dir():
            mark(folder)
            sweep_files(folder)
    except OSError as error:
        _LOG.warning("%s cannot be marked: its pictures are not decoded apart: %s",
                     printable(bytes(folder)), error)  # fmt: skip


class ServedLibraries:
    """Every library of a server, by id.

    Args:
        libraries: In the order in which they are listed.
        caption: As for `ServedLibrary`.
    """

    def __init__(self, libraries: Sequence[Library], caption: Captioning | None = None) -> None:
        self._volumes: dict[str, ServedLibrary] = {}
        for library in libraries:
            library_id = _slug(library.folder, self._volumes)
            self._volumes[library_id] = ServedLibrary(library_id, library, caption)

    @staticmethod
    def same_names(libraries: Sequence[Library]) -> list[str]:
        """Names that several libraries share: which of them has a number depends on their order."""
        names = collections.Counter(_slug(library.folder, {}) for library in libraries)
        return [name for name, n in names.items() if n > 1]

    def __iter__(self) -> Iterator[ServedLibrary]:
        return iter(self._volumes.values())

    def get(self, library_id: str) -> ServedLibrary:
        """One library.

        Raises:
            NotFoundError: `no_library`.
        """
        if library_id not in self._volumes:
            raise NotFoundError(
                "no_library",
                f"this server has no library {library_id!r}",
                f"it has: {', '.join(self._volumes)}",
            )
        return self._volumes[library_id]

    def close(self) -> None:
        """Closes them all; closing twice is fine."""
        for volume in self:
            volume.close()


def _slug(folder: Path, taken: Mapping[str, Any]) -> str:
    """A name for addresses: letters, digits and dashes, and no other library's."""
    plain = re.sub(r"[^a-z0-9]+", "-", folder.absolute().name.lower()).strip("-") or "library"
    number, slug = 2, plain
    while slug in taken:
        slug, number = f"{plain}-{number}", number + 1
    return slug
