"""Options for the words of boxes, shared by `look`, `refine` and `serve`. Layer: cli."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Annotated

import typer

from relook.captioners import DEFAULT
from relook.core.settings import CaptionerSettings, PromptSettings

__all__ = [
    "CaptionFlags",
    "CaptionerOption",
    "InstructionOption",
    "PromptOption",
    "UploadOption",
]

CaptionerOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="What puts words to boxes: builtin, hf:ORG/NAME, hf:FOLDER or openai:MODEL@URL.",
    ),
]
PromptOption = Annotated[
    str | None,
    typer.Option(help="What it is asked: short, query, retail, FILE.toml#NAME or the question."),
]
InstructionOption = Annotated[
    str, typer.Option(help="What captions of this session should tell, in your own words.")
]
UploadOption = Annotated[
    bool,
    typer.Option("--allow-upload", help="Boxes may be sent to a captioner on another machine."),
]


@dataclass(frozen=True, slots=True)
class CaptionFlags:
    """What flags say of the captioner; None and False leave it to the configuration."""

    captioner: str | None = None
    prompt: str | None = None
    allow_upload: bool = False

    def over(
        self, captioner: CaptionerSettings, prompts: PromptSettings
    ) -> tuple[CaptionerSettings, PromptSettings]:
        """The configured settings with these on top.

        A configured prompt belongs to the configured captioner: the built-in one has none.
        """
        if self.captioner:
            captioner = replace(captioner, model=self.captioner)
            if self.captioner == DEFAULT:
                prompts = replace(prompts, caption="")
        if self.allow_upload:
            captioner = replace(captioner, allow_upload=True)
        return captioner, replace(prompts, caption=self.prompt) if self.prompt else prompts
