"""All commands: each alone as among all, help in groups, options and files that are refused."""

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.markup import render

from relook.cli import main as entry
from relook.cli import options as module
from relook.cli.main import _COMMANDS, command_line, main
from relook.cli.options import Command, group_options

MOST = 9  # options under one heading


def commands(parent: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    children = getattr(parent, "commands", None)
    if children is None:
        yield path.strip(), parent
    for name, child in (children or {}).items():
        yield from commands(child, f"{path} {name}")


ALL = typer.main.get_command(command_line()).commands  # type: ignore[attr-defined]
EVERY = dict(commands(typer.main.get_command(command_line())))


def described(command: Any) -> object:
    """Names, help and parameters of a command and of those below it."""
    parameters = [
        (each.name, each.opts, each.help) for each in command.params if hasattr(each, "help")
    ]
    children = getattr(command, "commands", {})
    return parameters, {name: described(child) for name, child in children.items()}


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_command_alone_is_as_among_all(name: str) -> None:
    """One imports its own module only."""
    alone = typer.main.get_command(command_line(name)).commands  # type: ignore[attr-defined]
    assert list(alone) == [name]
    assert described(alone[name]) == described(ALL[name])


def test_all_are_listed() -> None:
    assert sorted(ALL) == sorted(_COMMANDS)


@pytest.mark.parametrize("option", ["fit --queries", "identify --labels", "sets --queries"])
def test_a_file_of_queries_that_cannot_be_read_is_told(
    option: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (tmp_path / "none", tmp_path):
        assert main(["bench", *option.split(), str(file)]) == 1
        assert f"error[bad_benchmark_file]: cannot read {file}" in capsys.readouterr().err


def test_what_the_disk_refuses_is_told_whichever_file_it_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = FileNotFoundError(errno.ENOENT, "No such file or directory", "/no/x.png")

    def refused(**_: Any) -> None:
        raise error

    monkeypatch.setattr(entry, "command_line", lambda name: refused)
    assert main(["info"]) == 1
    assert capsys.readouterr().err.startswith("error[disk_refused]: cannot use /no/x.png: No such")
    error.filename = None  # of nothing that a person named: a fault of ours is shown whole
    with pytest.raises(FileNotFoundError):
        main(["info"])


def test_long_helps_are_in_groups_that_can_be_read() -> None:
    for path, command in EVERY.items():
        group_options(command.params, path)
        options = [param for param in command.params if param.param_type_name == "option"]
        groups = [option.rich_help_panel for option in options]
        assert max((groups.count(group) for group in groups), default=0) <= MOST, path


def test_help_loses_nothing_to_markup() -> None:
    """Square brackets are markup: what stands in them is not shown."""
    for path, command in EVERY.items():
        texts = [command.help or "", *(getattr(p, "help", None) or "" for p in command.params)]
        assert [text for text in texts if render(text).plain != text] == [], path


def test_every_command_refuses_and_groups_and_the_tables_name_what_is_there() -> None:
    assert all(isinstance(command, Command) for command in EVERY.values())
    names = {path: {param.name for param in command.params} for path, command in EVERY.items()}
    for path, pairs in module._EXCLUDE.items():
        assert {name for pair in pairs for name in pair} <= names[path]
    for path, needs in module._NEED.items():
        assert {*needs, *needs.values()} <= names[path]
    for path, groups in module._OF_COMMANDS.items():
        assert set(groups) <= names[path]
    known = set().union(*names.values())
    assert {name for group in module._GROUPS.values() for name in group} <= known


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("search red --files --json", "--files and --json exclude each other"),
        ("concept album red --files --json", "--files and --json exclude each other"),
        ("copies --format csv --json", "--format and --json exclude each other"),
        ("doctor --recall --repair", "--recall and --repair exclude each other"),
        ("info --fields --skipped", "--fields and --skipped exclude each other"),
        ("look dogs --resume 3", "--resume and WORDS... exclude each other"),
        ("ask --batch b --out o --report r.html", "--batch and --report exclude each other"),
        ("ask p.jpg --compare", "--compare does nothing without --model"),
        ("ask p.jpg --max-tokens 9", "--max-tokens does nothing without --model"),
        ("bench feedback --queries q --split dev", "--queries and --split exclude each other"),
        ("index photos --ray-workers 3", "--ray-workers does nothing without --ray"),
        ("mcp --port 3", "--port does nothing without --http"),
        ("bench fit --queries q --split dev", "--split does nothing without --captions"),
        ("bench replay --queries q log --noise 1", "--noise does nothing without --simulate"),
    ],
)
def test_an_option_that_would_not_be_heard_is_refused(
    line: str, told: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.delenv("RELOOK_MODEL", raising=False)
    assert main(line.split()) == 2
    out, err = capsys.readouterr()
    as_json = "--json" in line
    assert (err if as_json else out) == ""
    assert told in " ".join((out if as_json else err).split())
