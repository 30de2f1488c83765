"""Bodies of requests, checked before anything is done with them. Layer: server."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from relook.server.models import Edges, Id

__all__ = [
    "EmbedBody", "IndexBody", "JudgeAllBody", "JudgeBody", "ReviseBody", "RoundBody", "SearchBody",
    "SessionBody", "SessionChange",
]  # fmt: skip

_MAX_STARS = 6
_MAX_MARKS = 1000


def _few_stars(pattern: str) -> str:
    """Each further star multiplies what a comparison may cost."""
    if pattern.count("*") > _MAX_STARS:
        raise ValueError(f"a pattern has at most {_MAX_STARS} stars")
    return pattern


Words = Annotated[str, Field(max_length=2000)]
Pattern = Annotated[str, Field(max_length=300), AfterValidator(_few_stars)]
Limit = Annotated[int, Field(ge=1, le=1000)]
Weight = Annotated[float, Field(gt=0, le=1000)]


class Body(BaseModel):
    """A key that nobody knows is a mistake of the caller's, and `0` is not `false`."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


class PartBody(Body):
    """One part: words, an uploaded picture, or an image of the library."""

    text: Words | None = None
    picture: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="picture_id of an upload."
    )
    image_id: Id | None = None
    box: Edges | None = None
    weight: Annotated[float, Field(ge=-1000, le=1000)] = 1.0

    @model_validator(mode="after")
    def _one_of_three(self) -> PartBody:
        given = [one for one in (self.text, self.picture, self.image_id) if one is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of text, picture and image_id")
        return self


class PartsBody(Body):
    parts: Annotated[list[PartBody], Field(min_length=1, max_length=32)]


class FilterBody(Body):
    where: Annotated[dict[Annotated[str, Field(max_length=100)], Pattern], Field(max_length=8)] = (
        Field(default_factory=dict, description="Metadata key -> pattern.")
    )
    path: Pattern | None = Field(None, description="Pattern of the path.")


class SearchBody(FilterBody):
    """A search."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"query": "dog on a beach - people", "limit": 20},
                {"query": {"parts": [{"text": "dog"}, {"image_id": 3, "weight": 0.5}]}},
            ]
        }
    )

    query: Words | PartsBody = Field(
        description="The one-line language (`dog + 0.5:snow - people`, `id:3`), or parts."
    )
    limit: Limit | None = Field(None, description="How many; as the server is configured if null.")
    fold: bool | None = Field(
        None, description="Whether near-duplicates become one hit; as configured if null."
    )
    away: bool = Field(
        False, description="Whether pictures whose file cannot be reached now are shown, too."
    )


class SessionBody(FilterBody):
    """A new session; its filter holds for every page."""

    query: Words | PartsBody
    limit: Limit | None = Field(None, description="How many; as the server is configured if null.")
    name: Annotated[str, Field(max_length=200)] = ""
    instruction: Annotated[str, Field(max_length=300)] = Field(
        "", description="What captions of boxes should tell, in the person's own words."
    )


class SessionChange(Body):
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    current_round: Id | None = Field(None, description="The round to go to.")


class JudgeBody(Body):
    """A mark on an image, or on a box in it."""

    image_id: Id
    relevant: bool
    box: Edges | None = None
    caption: Words | None = None
    weight: Weight = 1.0


class JudgeAllBody(Body):
    """Several marks: all of them are made, or none."""

    judgements: Annotated[list[JudgeBody], Field(min_length=1, max_length=_MAX_MARKS)]


class ReviseBody(Body):
    """What to change of a judgement; what is absent stays."""

    caption: Words | None = None
    relevant: bool | None = None
    box: Edges | None = None
    weight: Weight | None = None


class RoundBody(Body):
    """How to look again."""

    strategy: Annotated[str, Field(max_length=100)] | None = Field(
        None, description="How judgements are used; as the server is configured if null."
    )
    limit: Limit | None = None
    keep_shown: bool | None = None
    keep_judged: bool | None = None
    relevant_words: Words = Field(
        "", description="What fits, in words without a picture; commas part several."
    )
    irrelevant_words: Words = Field("", description="The same for what does not fit.")
    judgements: Annotated[list[JudgeBody], Field(max_length=_MAX_MARKS)] = Field(
        default_factory=list, description="Marks that are made in the same step, or not at all."
    )


class IndexBody(Body):
    paths: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=4000)]], Field(max_length=100)
    ] = Field(default_factory=list, description="Folders or files; none: all added before.")


class EmbedBody(Body):
    texts: Annotated[list[Words], Field(min_length=1, max_length=256)]
