"""Queries as agents write them, and which picture files they may name. Layer: mcp."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from relook.core.errors import AccessError, NotFoundError, QueryError
from relook.core.picture_paths import printable
from relook.core.types import Box, Part, Query
from relook.search.grammar import parse_query


class Folders:
    """Folders below which picture files may be named; links do not lead out of them.

    Args:
        allowed: The folders, or single files.
    """

    def __init__(self, allowed: Iterable[str | os.PathLike[str]]) -> None:
        places = (os.path.realpath(os.fspath(path)) for path in allowed)
        self.allowed = tuple(dict.fromkeys(places))

    def file(self, named: str | os.PathLike[str]) -> Path:
        """The real file behind a name, when it may be read.

        Raises:
            AccessError: `outside_folders`, whether or not there is such a file.
            NotFoundError: `no_file`.
        """
        text = os.fspath(named).replace("\0", "")
        real = Path(os.path.realpath(os.path.expanduser(text)))
        if not any(real.is_relative_to(folder) for folder in self.allowed):
            raise AccessError(
                "outside_folders",
                f"{printable(text)!r} is not below a folder whose pictures may be named",
                "name an image by its image_id, or a file below one of: "
                + ", ".join(printable(folder) for folder in self.allowed)
                + " (a person adds folders with: relook mcp --allow-folder DIR)",
            )
        if not real.exists():
            raise NotFoundError("no_file", f"there is no {printable(text)!r}", "check the path")
        return real


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is looked for.

    Args:
        words: What an agent wrote; may be empty when there are examples.
        image_ids: Images of the library to look like.
        images: Picture files to look like.
        without: Words for what should not be shown.
    """

    words: str
    image_ids: Sequence[int]
    images: Sequence[str]
    without: Sequence[str]

    def query(self, folders: Folders, grammar: bool) -> Query:
        """It as one query, with files by their real place: a link changed later leads nowhere.

        Args:
            folders: Below which files may be named.
            grammar: Whether the words are in the one-line language, or count as they stand.

        Raises:
            QueryError: when it makes no query.
            AccessError, NotFoundError: for a file that may not be named, or is not there.
        """
        parts = parse_query(self.words, grammar).parts if self.words.strip() else ()
        from_words = tuple(
            part if part.image is None else replace(part, image=folders.file(part.image))
            for part in parts
        )
        by_id = tuple(Part(image_id=image_id) for image_id in self.image_ids)
        by_file = tuple(Part(image=folders.file(name)) for name in self.images)
        unwanted = tuple(Part(text=words, weight=-1.0) for words in self.without)
        return Query((*from_words, *by_id, *by_file, *unwanted))


@dataclass(frozen=True, slots=True)
class Example:
    """One example picture: an image of the library or a file, whole or a region of it."""

    image_id: int | None
    image: str
    box: Box | None = None

    def __post_init__(self) -> None:
        if (self.image_id is None) == (not self.image):
            raise QueryError(
                "bad_example",
                "name exactly one picture",
                "give image_id, or image with a file's path",
            )

    def part(self, folders: Folders) -> Part:
        """It as a part of a query.

        Raises:
            AccessError, NotFoundError: as `Wanted.query`.
        """
        if self.image_id is not None:
            return Part(image_id=self.image_id, box=self.box)
        return Part(image=folders.file(self.image), box=self.box)
