"""`relook config`: what is set, and where it was set. Layer: cli."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from relook.app.configured import SECTIONS, config_of, shipped, user_file
from relook.cli.config_flags import ConfigOption
from relook.cli.options import Commands, JsonOption
from relook.cli.output import print_json, print_notes, print_table
from relook.compat.visualref import read_old, translate
from relook.core.config_file import Setting, Value, load_config
from relook.core.errors import InputError, disk_error
from relook.core.outputs import check_place

app = Commands(
    help="Settings: show them, list the shipped ones, read VisualReF's.", no_args_is_help=True
)


@app.command("show")
def show(config: ConfigOption = None, as_json: JsonOption = False) -> None:
    """Every setting, its value, and where that comes from."""
    config = config or config_of(None)
    rows = list(config.values())
    if as_json:
        settings = {s.key: {"value": _plain(s, v), "source": v.source} for s, v in rows}
        print_json({"settings": settings, "files": [str(file) for file in config.files]})
    else:
        shown = [(s.key, _text(_plain(s, v)), _source(v.source)) for s, v in rows]
        print_table(["setting", "value", "from"], shown)
        there = "" if user_file().is_file() else " (not there)"
        sys.stdout.write(f"your own file: {user_file()}{there}\n")


@app.command("list")
def list_shipped(as_json: JsonOption = False) -> None:
    """The configurations that come with relook; --config takes their names."""
    ours = shipped()
    if as_json:
        print_json({"configurations": {name: str(path) for name, path in ours.items()}})
        return
    rows = [(name, _first_line(path).lstrip("# ")) for name, path in ours.items()]
    print_table(["name", "what it is for"], rows)


@app.command("import")
def import_(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="VisualReF's YAML or .env files.")
    ],
    to: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write here; to stdout when not given.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Turn VisualReF's configuration files into one of ours. Says what becomes of every key."""
    translation = translate(*(read_old(file) for file in files))
    text = translation.toml()
    if to is not None:
        _write_new(to, text)
        load_config(SECTIONS, [to], {})  # what was written can be read
    if as_json:
        print_json(
            {
                "settings": translation.settings,
                "notes": translation.notes,
                "unknown": translation.unknown,
            }
        )
    else:
        sys.stdout.write(text if to is None else f"wrote {to}\n")
        print_notes(translation.notes)
        print_notes([f"{key}: unknown, and not taken over" for key in translation.unknown])
    if translation.unknown:
        raise typer.Exit(3)


def _first_line(path: Path) -> str:
    return path.read_text("utf-8").split("\n", maxsplit=1)[0]


def _source(named: str) -> str:
    """Where a value comes from, in few words."""
    ours = {str(path): f"shipped {name}" for name, path in shipped().items()}
    return ours.get(named, named)


def _write_new(path: Path, text: str) -> None:
    check_place(path)
    try:
        with open(os.path.expanduser(path), "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError as error:
        raise InputError(
            "file_exists", f"{path} is there already", "choose another name, or remove it"
        ) from error
    except OSError as error:
        raise disk_error(f"cannot write {path}", error) from error


def _plain(setting: Setting, value: Value) -> Any:
    """A value as JSON has it; a secret only says whether it is set."""
    if setting.secret:
        return "(set)" if value.value else None
    if isinstance(value.value, tuple):
        return [str(part) for part in value.value]
    return str(value.value) if isinstance(value.value, Path) else value.value


def _text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
