"""What commands have in common: long helps in groups, options that do not go together. Layer: cli.

An option of one name is of one group wherever it occurs; a command with few options shows them in
one list. An option that would do nothing beside another is refused, so that nobody believes it did.
"""

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import typer
from typer.core import TyperCommand

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
    "Other machines, and later": ("store", "ray", "ray_workers", "watch", "poll"),
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
    "index": {"ray_workers": "ray"},
    "mcp": dict.fromkeys(("host", "port", "token", "allow_host"), "http"),
    "copies": {"out": "form"},
    "bench fit": {"split": "captions"},
    "bench replay": dict.fromkeys(("library", "page", "rounds", "noise"), "simulate"),
}
"""Command -> option that does nothing by itself -> the one that it needs."""


class Command(TyperCommand):
    """A command whose help is grouped where it is long, and that refuses options in conflict."""

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
