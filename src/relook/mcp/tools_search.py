"""Tools that find and show images. Layer: mcp."""

from typing import Annotated, Any

from mcp.server.mcpserver import Context
from mcp.types import CallToolResult
from pydantic import Field

from relook.core.errors import InputError
from relook.core.picture_paths import printable
from relook.core.types import Box, Query
from relook.library.records import ImageRecord
from relook.mcp import arguments as given
from relook.mcp.examples import Example, Wanted
from relook.mcp.mcp_state import McpState
from relook.mcp.replies import (
    ImageReply,
    InfoReply,
    LibrariesReply,
    PageReply,
    PictureReply,
    PicturesReply,
    ProgressReports,
    content_of,
    limit_of,
    page_text,
    quoted,
    reply,
    small_jpeg,
)
from relook.search.filtering import Filter
from relook.serving.questions import Uploads
from relook.serving.schemas import answer_model

_MAX_SKIPPED = 200
_MAX_PX = 2048


class SearchTools:
    """The tools, each a method; their docstrings are what agents read.

    Args:
        state: What they work on.
    """

    def __init__(self, state: McpState) -> None:
        self._state = state

    async def list_libraries(self) -> Annotated[CallToolResult, answer_model(LibrariesReply)]:
        """Lists the libraries of pictures that can be searched.

        Also tells below which folders picture files may be named as examples, and which models
        and providers `ask` may use. Begin here.
        """
        return await self._state.pool.run(self._list_libraries)

    def _list_libraries(self) -> CallToolResult:
        state = self._state
        libraries = tuple(volume.facts() for volume in state.libraries)
        text = "\n".join(
            f"{library.library_id}: {library.facts.n_images:,} images,"
            f" {library.facts.n_away:,} of them away, {library.facts.n_skipped:,} files skipped"
            for library in libraries
        )
        answer = LibrariesReply(
            libraries=libraries,
            folders=state.folders.allowed,
            models=state.questions.models,
            providers=state.questions.providers,
            allow_upload=state.questions.uploads is Uploads.ALLOWED,
        )
        return reply(text, answer)

    async def library_info(
        self,
        library_id: given.LibraryId = "",
        skipped: Annotated[
            bool, Field(description="Whether to list files that could not be indexed, and why.")
        ] = False,
    ) -> Annotated[CallToolResult, answer_model(InfoReply)]:
        """Tells what a library holds: counts, encoder, metadata keys for `where`, skipped files."""
        return await self._state.pool.run(self._library_info, library_id, skipped)

    def _library_info(self, library_id: str, skipped: bool) -> CallToolResult:
        volume = self._state.volume(library_id)
        library = volume.facts()
        facts = library.facts
        files = volume.files.catalog.skipped()[:_MAX_SKIPPED] if skipped else []
        lines = [
            f"{library.library_id}: {facts.n_images:,} images, {facts.n_tiles:,} regions,"
            f" {facts.n_skipped:,} files skipped; encoder {facts.encoder}"
        ]
        lines += [
            f"away: {away.n:,} images: {quoted(printable(away.place))} {away.reason}"
            for away in facts.away
        ]
        lines += [f"skipped[{file.code}]: {quoted(printable(file.facts.path))}" for file in files]
        return reply("\n".join(lines), InfoReply(library, tuple(volume.fields()), tuple(files)))

    async def search(
        self,
        words: given.Words = "",
        image_ids: given.ImageIds = [],
        images: given.Images = [],
        without: given.Without = [],
        where: given.Where = {},
        path: given.PathPattern = "",
        limit: given.Limit = 0,
        fold: given.Fold = None,
        away: given.Away = False,
        min_fit: given.MinFit = 0.0,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(PageReply)]:
        """Finds images of a library by words, by example pictures, or both.

        Returns hits, best first, each with the region that fits best. Look at hits with
        show_images before you trust them: scores order one page; fit is the probability that a hit
        shows the words, and n_fitting how many hits stand before they stop fitting. When
        the page is not good enough, begin_session and look_again beat rewording the query.
        """
        wanted = Wanted(words, image_ids, images, without)
        only = Filter(where, path or None, away=away, min_fit=min_fit)
        return await self._state.pool.run(self._search, wanted, only, limit, fold, library_id)

    def _search(
        self, wanted: Wanted, only: Filter, limit: int, fold: bool | None, library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        query = wanted.query(self._state.folders)
        page = volume.search(query, limit_of(volume, limit), only, fold)
        return reply(page_text(page), PageReply.of(volume, page))

    async def similar(
        self,
        image_id: given.ExampleId = None,
        image: given.Example = "",
        box: given.Region = None,
        where: given.Where = {},
        path: given.PathPattern = "",
        limit: given.Limit = 0,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(PageReply)]:
        """Finds images that look like one picture, or like a region (box) of it.

        Name an image of the library (which is then left out) or a picture file.
        """
        example = Example(image_id, image, box)
        only = Filter(where, path or None, frozenset([image_id] if image_id else []))
        return await self._state.pool.run(self._similar, example, only, limit, library_id)

    def _similar(
        self, example: Example, only: Filter, limit: int, library_id: str
    ) -> CallToolResult:
        volume = self._state.volume(library_id)
        query = Query((example.part(self._state.folders),))
        page = volume.search(query, limit_of(volume, limit), only)
        return reply(page_text(page), PageReply.of(volume, page))

    async def show_images(
        self,
        ctx: Context[Any, Any],
        image_ids: Annotated[
            list[given.ImageId], Field(min_length=1, max_length=64, description="Which images.")
        ],
        size_px: Annotated[
            int, Field(ge=0, le=_MAX_PX, description="Longest side; 0: what suits a first look.")
        ] = 0,
        box: given.Region = None,
        library_id: given.LibraryId = "",
    ) -> Annotated[CallToolResult, answer_model(PicturesReply)]:
        """Shows images of a library as pictures that you can look at.

        They are small JPEGs, bounded in bytes, in the order of image_ids. With box only that
        region of each is shown, from the original's pixels: use it to look closer.
        """
        reports = ProgressReports(ctx)
        shown = await self._state.pool.run(
            self._show, image_ids, size_px or self._state.settings.picture_px, box, library_id,
            reports,
        )  # fmt: skip
        await reports.settled()
        return shown

    def _show(
        self, image_ids: list[int], size_px: int, box: Box | None, library_id: str,
        reports: ProgressReports,
    ) -> CallToolResult:  # fmt: skip
        volume, settings = self._state.volume(library_id), self._state.settings
        if len(image_ids) > settings.n_pictures:
            raise InputError(
                "too_many_pictures",
                f"{len(image_ids)} pictures at once are too many",
                f"show at most {settings.n_pictures} in one call",
            )
        images, pictures = [], []
        records = [volume.image(image_id) for image_id in image_ids]
        for at, record in enumerate(records):
            reports(at, len(records), f"image {record.image_id}")
            jpeg = small_jpeg(record, volume.library.limits, size_px, settings.picture_bytes, box)
            images.append(PictureReply(ImageReply.of(volume, record), len(jpeg)))
            pictures.append(content_of(jpeg))
        lines = [_shown_line(at, record) for at, record in enumerate(records, start=1)]
        answer = PicturesReply(volume.library_id, tuple(images))
        return reply("\n".join(lines), answer, *pictures)


def _shown_line(at: int, record: ImageRecord) -> str:
    line = f"{at}. image_id {record.image_id}, {quoted(record.path.name)}"
    words = record.title or record.caption
    return line + (f", says {quoted(words)}" if words else "")
