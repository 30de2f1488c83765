"""Arguments of tools with what an agent must know of them, and queries made of them. Layer: mcp."""

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from relook.core.errors import AccessError, NotFoundError, QueryError
from relook.core.json_form import Between, Longest, Shortest
from relook.core.picture_paths import printable
from relook.core.types import Box, Part, Query
from relook.feedback.strategies import STRATEGIES
from relook.library.session_rows import Pattern
from relook.search.grammar import parse_query
from relook.search.judging import JudgementRequest
from relook.serving import questions, requests
from relook.serving.schemas import Checked

_MAX_ID = 2**53
MAX_LIMIT = 100
_STRATEGIES = "; ".join(f"{name}: {row.summary}" for name, row in STRATEGIES.items())

Id = Annotated[int, Between(1, _MAX_ID)]
LibraryId = Annotated[
    str,
    Longest(200),
    Field(description="From list_libraries; the first library when empty."),
]
Words = Annotated[
    requests.Words,
    Field(
        description="What to look for, in words: 'dog on a beach'. Parts are added and taken away "
        "with + and - between spaces: 'dog + snow - people'; '@name' is a concept; "
        "'text:\"invoice 2021\"' finds words that stand in pictures. Leave it empty to search with "
        "pictures only.",
    ),
]
MinFit = Annotated[
    float,
    Between(0, 1),
    Field(description="Least probability, 0 to 1, that an image shows the words."),
]
ImageId = Annotated[Id, Field(description="An image of the library.")]
ExampleId = Annotated[
    Id | None, Field(description="An image of the library, instead of a picture file.")
]
Region = Annotated[
    Annotated[Box, Checked(strict=False)] | None,
    Field(description="Only this region: x0, y0, x1, y1 as fractions, from the top left."),
]
ImageIds = Annotated[
    list[Id], Longest(32), Field(description="Images of the library that it should look like.")
]
Images = Annotated[
    list[Annotated[str, Longest(4000)]],
    Longest(16),
    Field(
        description="Paths of picture files that it should look like; only below the folders that "
        "list_libraries tells.",
    ),
]
Example = Annotated[
    str, Longest(4000), Field(description="Path of a picture file, instead of image_id.")
]
Without = Annotated[
    list[Annotated[str, Longest(500)]],
    Longest(16),
    Field(description="Words for what should not be shown, each without a 'not'."),
]
Where = Annotated[
    dict[str, Pattern],
    Field(
        description="Only images whose metadata fits: key -> pattern, * and ? stand for anything. "
        "library_info tells the keys."
    ),
]
PathPattern = Annotated[
    Pattern, Field(description="Only images whose path fits, for example '*/2019/*'.")
]
Limit = Annotated[
    int, Between(0, MAX_LIMIT), Field(description="How many images at most; 0: as configured.")
]
Fold = Annotated[
    bool | None, Field(description="Whether near-duplicates become one hit; null: as configured.")
]
Away = Annotated[
    bool, Field(description="Whether images whose file cannot be reached now are shown, too.")
]
Offset = Annotated[
    int, Between(0, _MAX_ID), Field(description="How many of the list's first values to leave out.")
]
SessionId = Annotated[requests.SessionId, Shortest(1), Field(description="From begin_session.")]
StrategyName = Annotated[
    str,
    Longest(40),
    Field(description=f"How judgements are used; as configured when empty. {_STRATEGIES}."),
]
When = Annotated[
    Literal[""] | questions.When,
    Field(
        description="Use evidence always, never, or when the answer without it is unsure (auto)."
    ),
]
Numbers = questions.Numbers
Boxes = Annotated[
    list[
        Annotated[
            JudgementRequest,
            Checked(
                "BoxMark",
                strict=False,
                without=frozenset({"weight"}),
                required=frozenset({"box"}),
                defaults=(("relevant", True),),
            ),
        ]
    ],
    Longest(32),
    Field(description="Regions that show what is looked for, or what is not."),
]


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
class ExamplePicture:
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
