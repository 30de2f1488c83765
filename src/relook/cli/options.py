"""Options that several commands share, and how helps group them. Layer: cli.

Their defaults come from the settings. An option of one name is of one group wherever it occurs; a
command with few options shows them in one list. An option that would do nothing beside another is
refused, so that nobody believes it did.
"""

import inspect
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand
from typer.models import TyperPath

from relook.cli.config_flags import config_for
from relook.core.errors import InputError
from relook.core.picture_paths import given_path
from relook.core.settings import CaptionerSettings, SearchSettings, help_of
from relook.library.album_values import ALBUM
from relook.library.image_table import NEAR

_COMPARISON = re.compile(r"([^=<>!]+)(>=|<=|!=|=|>|<)(.*)", re.DOTALL)
# `rating=>4`, where >= was meant; a comparison with a number or a date.
_TURNED = re.compile(r"([<>=])\s*(-?\.?\d[\d.:T-]*)\s*")
_MANY = 8  # options that one list still shows well
_WORDS = "Words for boxes"
_WHICH = "Only some pictures"
_MODEL = "The model that answers"
_LOOK_UP = "Where a picture is looked up"
_ENCODER = "The encoder of a new library"
_FILES = "Which files are read"
_WHO = "Who may ask, and for what"
_HOW = "How it is measured"
_SHOWN = "What is printed and written"
_GROUPS = {
    _WHICH: ("where", "after", "before", "near", "camera", "album", "path", "away", "min_fit"),
    _WORDS: ("captioner", "max_words", "max_tokens", "instruction", "prompt", "allow_upload"),
    "What fits and what does not": (
        "relevant", "irrelevant", "box", "caption", "words", "not_words", "strategy", "keep_shown"
    ),
    _LOOK_UP: ("provider", "pages", "timeout", "budget"),
    "How evidence is used": ("evidence", "strike", "pin", "when", "form", "compare"),
    _MODEL: ("model", "base_url", "model_timeout", "stream", "thinking"),
    _ENCODER: ("encoder", "revision", "device", "dtype", "tiles", "decode"),
    _FILES: ("metadata", "hidden", "exclude", "default_excludes", "retry_skipped", "text"),
    "Other machines, and later": (
        "store", "ray", "ray_workers", "watch", "poll", "plan", "as_if", "hourly"
    ),
    _WHO: ("token", "allow_host", "allow_folder", "ask_model", "ask_provider"),
    _HOW: (
        "page", "rounds", "noise", "positives_only", "marks", "keep_fitting", "seed", "turns",
        "chained", "arm", "afs", "judge", "run", "entities", "epochs",
    ),
    _SHOWN: (
        "files", "as_json", "thumbnails", "verify", "report", "out", "plot", "per_query", "fold",
    ),
}  # fmt: skip
_OF_COMMANDS = {
    "ask": {"allow_upload": _LOOK_UP, "max_tokens": _MODEL, "prompt": _MODEL, "batch": _SHOWN},
    "bench ask": {"prompt": _MODEL, "allow_upload": _LOOK_UP},
    "bench feedback": {"strategies": _HOW},
    "mcp": {"allow_upload": _WHO},
}
"""Where an option means something else than elsewhere."""

_EXCLUDE = {
    "search": [("files", "as_json")],
    "similar": [("files", "as_json")],
    "concept album": [("files", "as_json")],
    "album show": [("files", "as_json")],
    "copies": [("form", "as_json")],
    "doctor": [("recall", "check"), ("recall", "repair")],
    "index": [("plan", other) for other in ("metadata", "text", "ray", "watch", "poll")],
    "info": [("fields", "skipped")],
    "look": [
        ("resume", "words"), ("resume", "limit"), ("resume", "instruction"),
        ("as_json", "strategy"), ("as_json", "thumbnails"),
    ],
    "ask": [
        ("batch", "strike"), ("batch", "pin"), ("batch", "thinking"),
        ("batch", "report"), ("evidence", "timeout"), ("evidence", "budget"),
    ],
    "bench feedback": [("queries", "captions"), ("queries", "split")],
}  # fmt: skip
"""Command -> pairs of which only the one is heard."""

_NEED = {
    "index": {"ray_workers": "ray", "as_if": "plan", "hourly": "plan"},
    "mcp": dict.fromkeys(("host", "port", "token", "allow_host"), "http"),
    "copies": {"out": "form"},
    "bench fit": {"split": "captions"},
    "bench replay": dict.fromkeys(("library", "page", "rounds", "noise"), "simulate"),
}
"""Command -> option that does nothing by itself -> the one that it needs."""


def help_sentence(settings: type[Any], name: str) -> str:
    """The help of a setting, as a flag shows it."""
    text = help_of(settings, name)
    return f"{text[:1].upper()}{text[1:]}."


def _configured_library(context: typer.Context, folder: Path | None) -> Path | None:
    """The library that the configuration names, where no flag does."""
    config = config_for(context)  # read in any case: it says what of the environment is no setting
    named = None if folder else config.given("library.folder")
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
GrammarOption = Annotated[
    bool,
    typer.Option(
        "--grammar/--literal",
        help="Read signs, 'no people' and slips in the words, or take all as it stands.",
    ),
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
    str | None, typer.Option(metavar="MODEL", help=help_sentence(CaptionerSettings, "model"))
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
        InputError: `bad_filter` for an empty one, which would let every picture through, and for
            an operator that is turned round.
    """
    patterns = {}
    for item in where or []:
        match = _COMPARISON.fullmatch(item)
        if match is None:
            raise typer.BadParameter(f"{item!r} is not KEY=VALUE", param_hint="--where")
        key, operator, value = match.groups()
        if operator == "=" and (turned := _TURNED.fullmatch(value)):
            sign = turned[1].strip("=")
            raise InputError(
                "bad_filter", f"{item!r} compares nothing", f"write {key}{sign}={turned[2]}"
            )
        patterns[key if operator == "=" else key + operator] = value
    given = {"after": after, "before": before, "near": near, "camera": camera, "album": album}
    for name, text in given.items():
        check_given(f"--{name}", text)
    named = {"taken_at>=": after, "taken_at<": before, NEAR: near, ALBUM: album}
    patterns |= {key: text for key, text in named.items() if text is not None}
    return patterns | ({} if camera is None else {"camera": f"*{camera}*"})


def check_given(option: str, text: str | None) -> None:
    """Refuses an option without a value, as of a script's variable that is not set.

    Raises:
        InputError: `bad_filter`.
    """
    if text is not None and not text.strip():
        what = f"{option} is there without a value"
        raise InputError("bad_filter", what, "leave it out to search in every picture")


VerifyOption = Annotated[
    bool,
    typer.Option("--verify", help="Compare point by point: the same, edited, a part, mirrored?"),
]


class _GivenPath(TyperPath):
    """A path of the command line: an empty one is refused, before it becomes the current folder."""

    def convert(self, value: Any, param: Any, ctx: Any) -> Any:
        """The path as it was typed.

        Raises:
            InputError: `bad_path` for an empty one.
        """
        given_path(value)
        return super().convert(value, param, ctx)


class Command(TyperCommand):
    """A command whose help is grouped where it is long, and that refuses options in conflict."""

    def __init__(self, *arguments: Any, **how: Any) -> None:
        super().__init__(*arguments, **how)
        for param in self.params:
            if isinstance(param.type, TyperPath):
                param.type = _GivenPath()

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Writes the help, in groups where there are many options."""
        group_options(self.params, _name_of(ctx))
        paragraphs = inspect.cleandoc(self.help or "").split("\n\n")
        self.help = "\n\n".join(" ".join(text.split()) for text in paragraphs)
        super().format_help(ctx, formatter)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command.

        Raises:
            BadParameter: when one of the options that were typed would not be heard.
        """
        for problem in _problems(ctx):
            raise typer.BadParameter(problem, ctx=ctx)
        return super().invoke(ctx)


class Commands(typer.Typer):
    """Commands, or those below one."""

    def command(self, name: str | None = None, **how: Any) -> Callable[..., Any]:
        """What makes a command of a function; as `Typer.command`."""
        return super().command(name, **{"cls": Command, **how})


def group_options(params: list[Any], command: str) -> None:
    """Gives each option the group under which the help shows it; nothing where they are few.

    Args:
        params: The command's arguments and options.
        command: As it is typed after `relook`.
    """
    options = [param for param in params if param.param_type_name == "option"]
    if len(options) <= _MANY:
        return
    groups = {name: group for group, names in _GROUPS.items() for name in names}
    groups |= _OF_COMMANDS.get(command, {})
    for option in options:
        option.rich_help_panel = groups.get(option.name, None)


def _name_of(ctx: Any) -> str:
    """The command as it is typed, without the program."""
    return " ".join(ctx.command_path.split()[1:])


def _problems(ctx: Any) -> Iterator[str]:
    """What of a command line would not be heard, in sentences."""
    command = _name_of(ctx)
    spelled = {param.name: _spelled(param) for param in ctx.command.params}

    def typed(name: str) -> bool:
        source = ctx.get_parameter_source(name)
        return source is not None and source.name == "COMMANDLINE"

    for first, second in _EXCLUDE.get(command, ()):
        if typed(first) and typed(second):
            yield f"{spelled[first]} and {spelled[second]} exclude each other; take one of them"
    for name, needed in _NEED.get(command, {}).items():
        if typed(name) and not ctx.params.get(needed):
            yield f"{spelled[name]} does nothing without {spelled[needed]}"


def _spelled(param: Any) -> str:
    spelled = param.opts[0] if param.param_type_name == "option" else param.metavar or param.name
    return str(spelled)
