"""Arguments of tools with what an agent must know of them. Layer: mcp."""

from typing import Annotated, Literal

from pydantic import Field

from relook.core.json_form import Between, Longest, Shortest
from relook.core.types import Box
from relook.feedback.strategies import STRATEGIES
from relook.library.session_rows import Pattern
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
