"""Help of all commands: in groups, with nothing lost; options that do not go together."""

from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from rich.markup import render

from relook.cli import command as module
from relook.cli.command import Command, group_options
from relook.cli.main import command_line, main

MOST = 9  # options under one heading


def commands(parent: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    children = getattr(parent, "commands", None)
    if children is None:
        yield path.strip(), parent
    for name, child in (children or {}).items():
        yield from commands(child, f"{path} {name}")


EVERY = dict(commands(typer.main.get_command(command_line())))


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
    assert out == ""
    assert told in " ".join(err.split())
