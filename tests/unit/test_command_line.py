"""Each command is the same whether it is made alone, as for running it, or with all others."""

from typing import Any

import pytest
from typer.main import get_command

from relook.cli.main import _COMMANDS, command_line

ALL = get_command(command_line()).commands  # type: ignore[attr-defined]


def described(command: Any) -> object:
    """Names, help and parameters of a command and of those below it."""
    parameters = [
        (each.name, each.opts, each.help) for each in command.params if hasattr(each, "help")
    ]
    children = getattr(command, "commands", {})
    return parameters, {name: described(child) for name, child in children.items()}


@pytest.mark.parametrize("name", _COMMANDS)
def test_a_command_alone_is_as_among_all(name: str) -> None:
    alone = get_command(command_line(name)).commands  # type: ignore[attr-defined]
    assert list(alone) == [name]
    assert described(alone[name]) == described(ALL[name])


def test_all_are_listed() -> None:
    assert sorted(ALL) == sorted(_COMMANDS)
