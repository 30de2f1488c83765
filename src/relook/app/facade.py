"""`relook.Library`: the whole of Relook for people who write Python. Layer: app."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, Unpack

from relook.app.clusters import check_store
from relook.app.models import Captions, Chosen, LibraryEncoders, spec_of
from relook.app.overview import HasOverview
from relook.app.paths import PathLike, absolute, expanded, library_folder, several
from relook.captioners.base import NOTHING_KNOWN, About, Captioner
from relook.core.config_file import Config
from relook.core.settings import (
    CaptionerSettings,
    EncoderSettings,
    FeedbackSettings,
    ImageLimits,
    IndexSettings,
    PromptSettings,
    RaySettings,
    SearchSettings,
    SessionLimits,
)  # fmt: skip
from relook.core.types import Page, Query
from relook.encoders import Encoder
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock
from relook.library.manifest import Manifest
from relook.library.moving import MoveReport, follow_library, move
from relook.library.records import ImageRecord
from relook.search.engine import Engine
from relook.search.filtering import Filter, FilterOptions
from relook.search.grammar import whole_query

if TYPE_CHECKING:
    from PIL import Image

    from relook.app.asking import AskOptions, Picture
    from relook.app.sessions import LibrarySession
    from relook.core.progress import ProgressCallback
    from relook.library.compaction import Forgotten
    from relook.library.report import IndexReport
    from relook.library.session_table import SessionTable
    from relook.library.session_values import SessionRow
    from relook.library.upgrade import UpgradeReport
    from relook.rag.answer import Answer


class Library(HasOverview):
    """One indexed collection of pictures.

    The folder holds the index; the pictures stay where they are and are only ever read.
    It is made by the first `add`. Use it as a context manager, or `close` it.

    Args:
        folder: Where the library is; the per-user one when None.
        encoder: A model (`hf:ORG/NAME`), settings, or an object that is one; the library's
            own, or the built-in one for a new library, when None.
        search: Defaults of a search.
        limits: What a picture file may cost.
        captioner: What puts words to boxes; the built-in one when None.
        prompts: What it is asked.
        sessions: What a session file may hold.
        feedback: How marks are used where a call does not say.
        index: How `add` indexes where it is not told.
        asking: Configuration that says how `ask` asks where a call does not say.
        store: Address of a collection that holds the vectors of a new library for several
            servers (`milvus://HOST:19530/COLLECTION`); they are in the folder when None.

    Raises:
        LibraryFormatError: it is newer or damaged; EncoderMismatchError: another encoder made it.
    """

    def __init__(  # noqa: PLR0913 (one settings object for each section)
        self,
        folder: PathLike | None = None,
        *,
        encoder: str | EncoderSettings | Encoder | None = None,
        search: SearchSettings | None = None,
        limits: ImageLimits | None = None,
        captioner: str | CaptionerSettings | Captioner | None = None,
        prompts: PromptSettings | None = None,
        sessions: SessionLimits | None = None,
        feedback: FeedbackSettings | None = None,
        index: IndexSettings | None = None,
        asking: Config | None = None,
        store: str | None = None,
    ) -> None:
        self.folder, self._store = library_folder(folder), store or ""
        self.encoders = LibraryEncoders(self.folder, encoder)
        self.search_settings = search or SearchSettings()
        self.limits = limits or ImageLimits()
        self.session_limits = sessions or SessionLimits()
        self.index_settings, self.asking = index or IndexSettings(), asking
        self.feedback = feedback or FeedbackSettings()
        if self.feedback != FeedbackSettings():
            from relook.feedback.strategies import configured  # a search does without feedback

            configured(self.feedback)
        self._captions = Captions(captioner, prompts)
        self._files: LibraryFiles | None = None
        if Manifest.exists(self.folder):
            self._open()

    @property
    def files(self) -> LibraryFiles:
        """The open files, for the layers below; `no_library` when nothing has been indexed yet."""
        files = self._files or self._open()
        files.limits = self.limits
        return files

    def _open(self) -> LibraryFiles:
        files = LibraryFiles.open(self.folder)
        try:
            check_store(files.manifest, self._store)
            self.encoders.check(files.manifest)
        except BaseException:
            files.close()
            raise
        follow_library(files)
        self._files = files
        return files

    @property
    def encoder(self) -> str | EncoderSettings | Encoder | None:
        """As it was chosen; None leaves the choice to the library."""
        return self.encoders.chosen

    @property
    def _encoder(self) -> Encoder:
        """The library's encoder, or the one that a new library will have."""
        if self._files is None and not Manifest.exists(self.folder):
            return self.encoders.for_new()
        return self.encoders.of(self.files.manifest)

    @cached_property
    def engine(self) -> Engine:
        """What ranks this library by vectors, for code that builds on the layers below."""
        return Engine(self.files, self.encoders.of, self.search_settings)

    def add(
        self,
        *paths: PathLike,
        metadata: PathLike | Sequence[PathLike] = (),
        settings: IndexSettings | None = None,
        within: PathLike | Sequence[PathLike] | None = None,
        progress: ProgressCallback | None = None,
        ray: RaySettings | None = None,
    ) -> IndexReport:
        """Brings the library up to date with folders or files of pictures.

        Unchanged files cost a stat; run it as often as you like. Without paths it goes over
        everything that was added before.

        Args:
            paths: Folders, picture files, archives (tar, zip) or addresses (`s3://...`).
            metadata: Sidecar files with titles and captions (CSV, JSONL, COCO JSON).
            settings: How to index; as the library was opened with when None.
            within: Folders that no link below the paths may lead out of; anywhere when None.
            progress: Called now and then with where the run is.
            ray: A Ray cluster whose workers read and encode; threads of this process when None.

        Raises:
            NotFoundError: `no_path`; LibraryBusyError: another process is indexing;
            StorageError: the disk refused (what was committed stays); MetadataError;
            FetchError, MissingExtraError: for an address.
        """
        from relook.app.indexing import AddOptions, add

        how = settings or self.index_settings
        links = None if within is None else several(within)
        options = AddOptions(several(metadata), how, links, progress, ray=ray)
        return add(self, self._encoder, paths, options)

    def open_or_create(self) -> LibraryFiles:
        """The open files, of a new library if need be; InputError `folder_in_use`, StorageError."""
        if self._files is None and not Manifest.exists(self.folder):
            spec, fingerprint = spec_of(self._encoder), self._encoder.fingerprint
            self._files = LibraryFiles.create(self.folder, spec, fingerprint, self._store)
            follow_library(self._files)
        return self.files

    def upgrade(
        self, encoder: Chosen = None, progress: ProgressCallback | None = None
    ) -> UpgradeReport:
        """All vectors again, by another encoder: as `relook.app.upgrading.upgrade`."""
        from relook.app.upgrading import upgrade  # a search does without Pillow

        return upgrade(self, encoder, progress)

    def forget(self, *paths: PathLike) -> int:
        """Takes images out, by file or folder, and says how many; the picture files stay."""
        return self.take_out(*paths).n_images

    def take_out(self, *paths: PathLike) -> Forgotten:
        """As `forget`; also counts the judgements of what was taken out."""
        from relook.library.compaction import forget

        with WriterLock(self.files.folder):
            return forget(self.files, [absolute(path) for path in paths])

    def move(self, old: PathLike, new: PathLike) -> MoveReport:
        """Says that a folder, an archive or a picture is somewhere else now.

        Images keep their ids, words and marks; no picture is encoded again.

        Raises:
            NotFoundError: `no_image`, `no_path`; InputError: `bad_move`; LibraryBusyError.
        """
        with WriterLock(self.files.folder):
            report = move(self.files, absolute(old), absolute(new))
        self.files.refresh()
        return report

    def search(
        self,
        query: str | Query,
        *,
        limit: int | None = None,
        images: PathLike | Sequence[PathLike] = (),
        without: str | Sequence[str] = (),
        where: Mapping[str, Any] | None = None,
        path: str | None = None,
        fold: bool | None = None,
        grammar: bool | None = None,
        **more: Unpack[FilterOptions],
    ) -> Page:
        """Finds images by words, pictures, or both.

        Args:
            query: Words in the one-line language (`dog + snow - people`), or a `Query`.
                May be empty when `images` are given.
            limit: How many hits; 20 unless the settings say otherwise.
            images: Picture files to look like, inside the library or not.
            without: Words for what should not be shown.
            where: Metadata key -> pattern that an image must have.
            path: Pattern that an image's path must have.
            fold: Whether near-duplicates become one hit.
            grammar: Whether words are in that language, or count as they stand.
            more: `away` and `min_fit`, see `FilterOptions`.

        Raises:
            QueryError, ImageError, NotFoundError: with what is wrong with the query.
            InputError: `bad_min_fit`; `no_fit` where fit is not known.
        """
        parsed = whole_query(query, images, without, self.search_settings.reads(grammar))
        only = Filter(where or {}, path, **more)
        return self.engine.search(parsed, limit, only, fold)

    def similar(self, image: PathLike | int, *, limit: int | None = None, **only: Any) -> Page:
        """Finds images that look like a picture file or an image of the library.

        Args:
            image: A file, in the library or not, or an image id (which is then left out).
            limit: How many hits.
            only: `where`, `path`, `away` as for `search`; `verify=True` compares point by point.
        """
        from relook.search.verifying import similar  # it needs Pillow, which words do not

        picture = image if isinstance(image, int) else expanded(image)
        return similar(self.engine, picture, limit, **only)

    def look(
        self,
        query: str | Query,
        *,
        limit: int | None = None,
        name: str = "",
        captions: bool = True,
        where: Mapping[str, Any] | None = None,
        path: str | None = None,
        min_fit: float = 0.0,
        instruction: str = "",
    ) -> LibrarySession:
        """Begins a session: a search that learns from what you mark.

            session = library.look("dog on a beach")
            session.judge(session.page[0], relevant=True)
            page = session.again()

        Args:
            query: As for `search`.
            limit: Hits on a page.
            name: What to call the session; its words when empty.
            captions: Whether boxes get a suggested caption.
            where: Metadata key -> pattern that an image of any of its pages must have.
            path: Pattern that its path must have.
            min_fit: Least probability, 0 to 1, that it shows the words; on every page.
            instruction: What its captions should tell; the configured one when empty.
        """
        from relook.search.session import start  # a search does without sessions

        parsed = whole_query(query, (), (), self.search_settings.grammar)
        how = (limit, name, Filter(where or {}, path, min_fit=min_fit), instruction)
        session_id, page = start(self.engine, self._session_table, parsed, *how)
        session = self.session(session_id, captions=captions)
        session.first_page = page
        return session

    def session(self, session_id: str, *, captions: bool = True) -> LibrarySession:
        """A session begun before; boxes get captions if `captions`; NotFoundError `no_session`."""
        from relook.app.sessions import LibrarySession

        caption = self._captions.or_nothing if captions else None
        return LibrarySession(self.engine, self._session_table, session_id, caption, self.feedback)

    def sessions(self) -> list[SessionRow]:
        """The sessions of this library, newest first."""
        return self._session_table.all()

    def import_session(self, file: PathLike) -> tuple[LibrarySession, tuple[str, ...]]:
        """A session that was exported here or from a library with the same pictures, and notes.

        Raises:
            InputError: `bad_session_file`, `other_library`; TooLargeError: `session_too_large`
                (`SessionLimits`); ImageError: of a box. Nothing has been added then.
        """
        from relook.search.transfer import import_session  # brings the converter

        how = (expanded(file), self.session_limits)
        session_id, notes = import_session(self.engine, self._session_table, *how)
        return self.session(session_id), notes

    @property
    def _session_table(self) -> SessionTable:
        from relook.library.session_table import SessionTable

        return SessionTable(self.files.catalog)

    def suggest(self, crop: Image.Image, about: About = NOTHING_KNOWN) -> str:
        """A few words for what a crop shows, by the captioner; AnswerError when it finds none."""
        return self._captions(crop, about)

    def ask(self, picture: Picture, question: str = "", **options: Unpack[AskOptions]) -> Answer:
        """Answers a question about a picture or an image id; arguments as for `relook.ask`."""
        options.setdefault("library", self)
        return ask(picture, question, **options)

    def image(self, image_id: int) -> ImageRecord:
        """What the catalog knows of an image; NotFoundError `no_image` when nothing."""
        return self.files.catalog.images([image_id])[0]

    def info(self) -> dict[str, Any]:
        """What the library holds; the object that `relook info --json` prints."""
        from relook.app.upkeep import library_facts  # a search does without it

        return library_facts(self.files).as_dict()

    def __len__(self) -> int:
        return 0 if not Manifest.exists(self.folder) else self.files.catalog.count("images")

    def close(self) -> None:
        """Closes every file; closing twice is fine."""
        if self._files is not None:
            self._files.close()
            self._files = None
        self.__dict__.pop("engine", None)
        self._captions.close()
        self.encoders.close()

    def __enter__(self) -> Library:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def ask(picture: Picture, question: str = "", **options: Unpack[AskOptions]) -> Answer:
    """Answers a question about a picture with evidence about it.

        answer = relook.ask("square.jpg", "Where is this?", library="photos.relook")

    Without a model the answer tells what the evidence agrees on. Nothing leaves this machine
    unless a provider or a model elsewhere is named; a picture of this machine goes there only
    with `allow_upload=True`, or after `relook ask --allow-upload`, which is remembered.

    Args:
        picture: A file, an http(s) address, the bytes of a file, or an image id of `library`.
        question: What the picture shows is asked when it is empty.
        options: See `AskOptions`.

    Raises:
        ImageError, FetchError: when the picture cannot be had.
        NotFoundError: `unknown_provider`, `unknown_answerer`, `no_evidence`, `no_image`.
        AccessError: `upload_not_allowed`. AnswerError: when a model was asked and gave none.
    """
    from relook.app import asking  # a search does without Pillow

    if (library := options.get("library")) is None and not asking.wants_library(options):
        return asking.answer(picture, question, None, options)
    if not isinstance(library, str | os.PathLike | None):
        if (config := getattr(library, "asking", None)) is not None:
            options.setdefault("config", asking.Asking.of(config))
        return asking.answer(picture, question, library, options)
    with Library(library) as opened:
        return asking.answer(picture, question, opened, options)
