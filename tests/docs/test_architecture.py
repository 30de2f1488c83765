"""The map of the house is true: every file, function, layer and count that it names is there."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAP = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
# `room/module.py` or `room/module.py:Class.method`, below src/relook unless a folder says so
NAMED = sorted(set(re.findall(r"`([\w/.-]+\.(?:py|js|toml|md|ts))(?::([\w.]+))?`", MAP)))


def file_of(name: str) -> Path:
    below = ROOT / "src" / "relook" / name
    return below if below.exists() else ROOT / name


def defined_in(path: Path) -> set[str]:
    """Names that a Python file defines: functions, classes, methods, and constants."""
    names: set[str] = set()

    def walk(body: list[ast.stmt], prefix: str) -> None:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                names.add(prefix + node.name)
            if isinstance(node, ast.ClassDef):
                walk(node.body, f"{prefix}{node.name}.")
            targets = node.targets if isinstance(node, ast.Assign) else []
            if isinstance(node, ast.AnnAssign):
                targets = [node.target]
            names.update(target.id for target in targets if isinstance(target, ast.Name))

    walk(ast.parse(path.read_text(encoding="utf-8")).body, "")
    return names


def test_the_map_names_enough_to_be_worth_a_test() -> None:
    assert len([name for name, symbol in NAMED if symbol]) >= 25


@pytest.mark.parametrize(("name", "symbol"), NAMED)
def test_what_the_map_names_is_there(name: str, symbol: str) -> None:
    path = file_of(name)
    assert path.is_file(), f"docs/architecture.md names {name}, which is gone"
    if symbol:
        known = defined_in(path) if path.suffix == ".py" else set()
        assert symbol in known, f"docs/architecture.md names {symbol} in {name}, which is gone"


def test_a_name_that_is_gone_is_seen() -> None:
    names = defined_in(file_of("search/engine.py"))
    assert "Engine.search" in names
    assert "Engine.no_such_function" not in names


def test_the_layers_are_those_that_are_checked() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    [contract] = [
        contract
        for contract in settings["tool"]["importlinter"]["contracts"]
        if contract["type"] == "layers"
    ]
    checked = [
        [room.strip().removeprefix("relook.") for room in re.split("[:|]", layer)]
        for layer in contract["layers"]
    ]
    table = MAP.split("## Layers")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert [re.findall(r"`(\w+)`", row) for row in rows] == checked


def test_every_room_has_its_line() -> None:
    rooms = {path.parent.name for path in (ROOT / "src" / "relook").glob("*/__init__.py")}
    table = MAP.split("## Layers")[1].split("\n## ")[0]
    assert rooms <= set(re.findall(r"`(\w+)`", table))
