"""Options of `relook ask` and `relook bench ask`. Layer: cli. Defaults are the settings'."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from relook.core.settings import (
    AskSettings,
    EvidenceSettings,
    GatherSettings,
    ModelSettings,
    help_of,
)

__all__ = [
    "BaseUrlOption", "BatchOption", "BudgetOption", "CompareOption", "EvidenceOption",
    "FormOption", "MaxTokensOption", "ModelOption", "ModelTimeoutOption", "OutOption",
    "PagesOption", "PictureArgument", "PinOption", "PromptOption", "ProviderOption",
    "QuestionArgument", "StreamOption", "StrikeOption", "TimeoutOption", "UploadOption",
    "WhenOption",
]  # fmt: skip


def _help(settings: type[Any], name: str) -> str:
    text = help_of(settings, name)
    return f"{text[:1].upper()}{text[1:]}."


ProviderOption = Annotated[
    list[str] | None,
    typer.Option(
        "--provider", "-p", metavar="NAME",
        help="What looks the picture up; repeat for several (relook doctor lists them).",
    ),
]  # fmt: skip
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", envvar="RELOOK_MODEL",
        help="gpt-4o, openai:MODEL@URL, hf:FOLDER, or evidence-only (no model; the default).",
    ),
]  # fmt: skip
BaseUrlOption = Annotated[str | None, typer.Option(help=_help(ModelSettings, "base_url"))]
WhenOption = Annotated[
    str | None, typer.Option(help=_help(AskSettings, "when"), metavar="always|never|auto")
]
FormOption = Annotated[
    str | None, typer.Option(help=_help(AskSettings, "form"), metavar="text|sheet|screenshot")
]
UploadOption = Annotated[
    bool,
    typer.Option(
        "--allow-upload",
        help="The services named here may get pictures of this machine; remembered for each.",
    ),
]
PromptOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="TOML file with other sentences of the prompt.")
]
PictureArgument = Annotated[
    str | None, typer.Argument(metavar="PICTURE", help="A file, an address, or id:NUMBER.")
]
QuestionArgument = Annotated[str, typer.Argument(metavar="QUESTION")]
CompareOption = Annotated[
    bool | None, typer.Option("--compare", help=_help(AskSettings, "compare"))
]
StrikeOption = Annotated[
    str, typer.Option(metavar="2,3", help="Evidence that the model does not see.")
]
PinOption = Annotated[str, typer.Option(metavar="1", help="Evidence that it sees first.")]
EvidenceOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Ask again with what an earlier --json output found."),
]
PagesOption = Annotated[int | None, typer.Option(help=_help(EvidenceSettings, "pages"))]
TimeoutOption = Annotated[float | None, typer.Option(help=_help(GatherSettings, "timeout_s"))]
BudgetOption = Annotated[float | None, typer.Option(help=_help(GatherSettings, "budget_usd"))]
MaxTokensOption = Annotated[int | None, typer.Option(help=_help(ModelSettings, "max_tokens"))]
ModelTimeoutOption = Annotated[float | None, typer.Option(help=_help(ModelSettings, "timeout_s"))]
StreamOption = Annotated[
    bool | None, typer.Option("--stream/--no-stream", help=_help(ModelSettings, "stream"))
]
BatchOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Questions as JSONL, instead of one.")
]
OutOption = Annotated[
    Path | None, typer.Option(metavar="FILE", help="Where a batch's answers go, as JSONL.")
]
