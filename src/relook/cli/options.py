"""Options that several commands share. Layer: cli. Their defaults come from the settings."""

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from relook.cli.config_flags import config_for
from relook.core.settings import CaptionerSettings, SearchSettings, help_of
from relook.library.album_values import ALBUM
from relook.library.image_table import NEAR

_COMPARISON = re.compile(r"([^=<>!]+)(>=|<=|!=|=|>|<)(.*)", re.DOTALL)


def help_sentence(settings: type[Any], name: str) -> str:
    """The help of a setting, as a flag shows it."""
    text = help_of(settings, name)
    return f"{text[:1].upper()}{text[1:]}."


def _configured_library(context: typer.Context, folder: Path | None) -> Path | None:
    """The library that the configuration names, where no flag does."""
    named = None if folder else config_for(context).given("library.folder")
    return Path(named).expanduser() if named else folder


LibraryOption = Annotated[
    Path | None,
    typer.Option(
        "--library", "-l", metavar="DIR", callback=_configured_library,
        help="Library folder; $RELOOK_LIBRARY or one per user when not given.",
    ),
]  # fmt: skip
JsonOption = Annotated[
    bool, typer.Option("--json", help="Print one JSON object to stdout instead of a table.")
]
LimitOption = Annotated[
    int,
    typer.Option("--limit", "-n", min=1, help=help_sentence(SearchSettings, "limit")),
]
WhereOption = Annotated[
    list[str] | None,
    typer.Option(
        "--where", metavar="KEY=VALUE",
        help="Only images whose metadata fits; * and ? stand for anything. Also rating>=4 and"
        " other comparisons of numbers and dates. Repeat for more.",
    ),
]  # fmt: skip
AfterOption = Annotated[
    str | None, typer.Option(metavar="DATE", help="Only images taken then or later: 2019-07.")
]
BeforeOption = Annotated[
    str | None, typer.Option(metavar="DATE", help="Only images taken before: 2019-08-01.")
]
NearOption = Annotated[
    str | None,
    typer.Option(metavar="LAT,LON,KM", help='Only images taken near there: "48.85,2.35,5km".'),
]
CameraOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Only images of a camera of that name.")
]
PathOption = Annotated[
    str | None, typer.Option("--path", metavar="PATTERN", help="Only images whose path fits.")
]

AlbumOption = Annotated[
    str | None,
    typer.Option("--album", metavar="NAME", help="Only images in this album: Favourites."),
]
MinFitOption = Annotated[
    float,
    typer.Option(
        min=0.0, max=1.0, help="Least probability that a picture shows the words; 0 shows all."
    ),
]

CONCEPTS_HELP = 'Lines of JSON: a "query", and "relevant", a list of file names.'

# Of commands that read captions.
SplitOption = Annotated[
    str | None, typer.Option(help="Use this split only: its name, or a file of picture names.")
]

# Of commands that serve libraries: relook serve, relook mcp.
LibrariesOption = Annotated[
    list[Path] | None,
    typer.Option("--library", "-l", metavar="DIR", help="Library folder. Repeatable."),
]
TokenOption = Annotated[
    str | None,
    typer.Option(
        envvar="RELOOK_TOKEN",
        show_envvar=True,
        help="What requests must show; made up beyond this machine when not given.",
    ),
]
AllowHostOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Another name that this server is called. Repeatable."),
]
AskModelOption = Annotated[
    list[str] | None,
    typer.Option(metavar="MODEL", help="Questions may be put to this model. Repeatable."),
]
AskProviderOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME", help="Pictures may be looked up there. Repeatable."),
]

# Of commands in which boxes are drawn, which a captioner puts words to.
CaptionerOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODEL",
        help="What puts words to boxes: builtin, hf:ORG/NAME, hf:FOLDER or openai:MODEL@URL.",
    ),
]
CaptionPromptOption = Annotated[
    str | None,
    typer.Option(help="What it is asked: short, query, retail, FILE.toml#NAME or the question."),
]
MaxWordsOption = Annotated[
    int | None, typer.Option(min=0, help=help_sentence(CaptionerSettings, "max_words"))
]
MaxTokensOption = Annotated[
    int | None, typer.Option(min=0, help=help_sentence(CaptionerSettings, "max_tokens"))
]
InstructionOption = Annotated[
    str, typer.Option(help="What captions of this session should tell, in your own words.")
]
BoxUploadOption = Annotated[
    bool,
    typer.Option("--allow-upload", help="Boxes may be sent to a captioner on another machine."),
]


def pairs(
    where: list[str] | None,
    after: str | None = None,
    before: str | None = None,
    near: str | None = None,
    camera: str | None = None,
    album: str | None = None,
) -> dict[str, str]:
    """Filters as the library takes them, see `Catalog.matching`.

    Args:
        where: `KEY=VALUE`, or another comparison (`rating>=4`).
        after: A date; the pictures were taken then or later.
        before: A date.
        near: "LAT,LON,KM".
        camera: A part of its name.
        album: Name of an album.

    Raises:
        typer.BadParameter: for one that compares nothing.
    """
    patterns = {}
    for item in where or []:
        match = _COMPARISON.fullmatch(item)
        if match is None:
            raise typer.BadParameter(f"{item!r} is not KEY=VALUE", param_hint="--where")
        key, operator, value = match.groups()
        patterns[key if operator == "=" else key + operator] = value
    named = {"taken_at>=": after, "taken_at<": before, NEAR: near, ALBUM: album}
    patterns |= {key: value for key, value in named.items() if value}
    return patterns | ({"camera": f"*{camera}*"} if camera else {})


VerifyOption = Annotated[
    bool,
    typer.Option("--verify", help="Compare point by point: the same, edited, a part, mirrored?"),
]
