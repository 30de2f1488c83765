"""What questions and their answers look like over HTTP. Layer: server."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from relook.server.models import Answer, Id
from relook.server.requests import Body, Words

__all__ = ["AskAnswer", "AskBody", "AskChoices"]

Number = Annotated[int, Field(ge=1, le=999)]
Name = Annotated[str, Field(min_length=1, max_length=300)]


class AskBody(Body):
    """A question about an image of a library, an upload, an address, or a picture asked before."""

    library_id: Annotated[str, Field(max_length=200)] | None = Field(
        None, description="Whose image or upload; also what the provider `library` searches."
    )
    image_id: Id | None = None
    picture: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="picture_id of an upload."
    )
    url: Annotated[str, Field(max_length=4000)] | None = Field(
        None, description="Public http(s) address of a picture."
    )
    ask_id: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="Of an earlier answer: its picture and evidence, nothing is looked up."
    )
    question: Words = ""
    providers: Annotated[list[Name], Field(max_length=8)] | None = None
    model: Name | None = None
    when: Literal["always", "never", "auto"] | None = None
    form: Literal["text", "sheet", "screenshot"] | None = None
    compare: bool | None = None
    strike: Annotated[list[Number], Field(max_length=100)] = Field(default_factory=list)
    pin: Annotated[list[Number], Field(max_length=100)] = Field(default_factory=list)
    allow_upload: bool = Field(
        False,
        description="Services named here may get a picture of the server's machine, this once; "
        "only on a server that no other machine can reach.",
    )
    stream: bool = Field(True, description="Answer with server-sent events.")

    @model_validator(mode="after")
    def _one_picture(self) -> AskBody:
        named = (self.image_id, self.picture, self.url, self.ask_id)
        if sum(one is not None for one in named) != 1:
            raise ValueError("give exactly one of image_id, picture, url and ask_id")
        return self


class AskChoice(Answer):
    name: str = Field(examples=["library"])
    summary: str
    remote: bool = Field(description="Whether asking it sends something to a third party.")


class AskChoices(Answer):
    """What this server may be asked with."""

    providers: list[AskChoice]
    models: list[str]
    hosts: dict[str, str] = Field(
        description="For a model elsewhere: who would get the picture, the question and the "
        "evidence. Models that are not named stay on this machine, or cannot be used."
    )
    default_model: str = Field(examples=["evidence-only"])
    default_providers: list[str]
    may_allow_upload: bool
    consent: list[str] = Field(description="Services that were agreed to before.")


class AskAnswer(Answer):
    """An answer; the same object is the event `answer` of a stream."""

    ask_id: str = Field(description="To ask again with the same evidence.")
    question: str
    text: str
    citations: list[int]
    invented: list[int] = Field(description="Numbers it cited that do not exist; taken out.")
    finish: Literal["done", "length", "refused", "cut_off"]
    model: str
    evidence: dict[str, Any]
    without: dict[str, Any] | None
    sent: list[dict[str, Any]]
    stages: dict[str, float]
    took_s: float
