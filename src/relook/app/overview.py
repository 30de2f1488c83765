"""A library without a search: counts, pictures by time, copies, albums, concepts. Layer: app."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from relook.app.paths import PathLike, absolute
from relook.core.errors import counted
from relook.library.album_table import AlbumTable
from relook.search.filtering import Filter

if TYPE_CHECKING:
    from relook.app.facade import Library
    from relook.search.concepts import Concepts
    from relook.search.copies import Copies
    from relook.search.facets import Browsed, Facets


class HasOverview:
    """What `Library` has of this module."""

    @property
    def overview(self) -> Overview:
        """The library without a search: counts, pictures by time, copies."""
        return Overview(self)  # type: ignore[arg-type]

    @property
    def albums(self) -> AlbumTable:
        """Pictures that a person put together, by name; `Favourites` is always there."""
        library: Any = self
        return AlbumTable(library.files.catalog)

    @property
    def concepts(self) -> Concepts:
        """What sessions learnt, under names, for any query (`@name + snow`)."""
        from relook.search.concepts import Concepts  # a search without one does without

        library: Any = self
        return Concepts(library.engine)

    def __repr__(self) -> str:
        """What a shell shows: the folder, and how many images it holds where it is open."""
        library: Any = self
        holds = counted(len(library), "image") if library._files else "not open"
        return f"<Library {str(library.folder)!r}: {holds}>"


class Overview:
    """Looks over a whole library; `Library.overview` makes it.

        july = {"taken_at>=": "2019-07", "taken_at<": "2019-08"}
        print(library.overview.facets(july).cameras)
        for record in library.overview.browse(july).records: print(record.path)

    Args:
        library: Which.
    """

    def __init__(self, library: Library) -> None:
        self._library = library

    def facets(
        self, where: Mapping[str, Any] | None = None, path: str | None = None, *, away: bool = False
    ) -> Facets:
        """Counts what a filter lets through: by month, camera, lens, folder, rating, place.

        Args:
            where: Metadata key -> pattern, as for `Library.search`.
            path: Pattern of the path.
            away: Whether images whose file cannot be reached now count, too.

        Raises:
            InputError: `bad_filter`.
        """
        from relook.search.facets import count_facets  # a search does without

        files = self._library.files
        with files.moment():
            only = Filter(where or {}, path)
            return count_facets(files, only.where, only.path, away)

    def browse(
        self,
        where: Mapping[str, Any] | None = None,
        path: str | None = None,
        *,
        limit: int = 100,
        skip: int = 0,
        away: bool = False,
    ) -> Browsed:
        """Images that fit a filter, newest first.

        Args:
            where: As for `facets`.
            path: Likewise.
            limit: How many.
            skip: How many newer ones are left out.
            away: As for `facets`.
        """
        from relook.search.facets import browse  # a search does without

        files = self._library.files
        with files.moment():
            only = Filter(where or {}, path)
            return browse(files, only.where, only.path, limit, skip, away)

    def copies(
        self,
        *,
        equal_only: bool = False,
        limit: int | None = None,
        skip: int = 0,
        measure: bool = True,
    ) -> Copies:
        """Groups of equal and near-equal pictures, with which to keep. Nothing is deleted.

        Args:
            equal_only: Leave out pictures that are not the same file byte for byte.
            limit: How many groups; all when None.
            skip: How many are left out before.
            measure: Read the pictures of these groups to tell which is sharpest.
        """
        from relook.search.copies import find_copies  # a search does without

        files, settings = self._library.files, self._library.search_settings
        with files.moment():
            return find_copies(
                files, settings, equal_only=equal_only, limit=limit, skip=skip, measure=measure
            )

    def images_at(self, path: PathLike) -> list[int]:
        """Ids of the images at a path: of a picture, or of all in a folder or an archive.

        Raises:
            NotFoundError: `no_image` when none is indexed there.
        """
        from relook.library.compaction import images_at

        return images_at(self._library.files.catalog, absolute(path))
