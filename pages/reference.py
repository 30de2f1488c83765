"""Writes docs/reference/*.md from the code: commands, errors, REST routes.

    python pages/reference.py            writes what changed
    python pages/reference.py --check    changes nothing; exit 1 names what is out of date

The settings table is in docs/configuration.md and has a test of its own.
"""

import argparse
import ast
import inspect
import logging
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer.main

import relook.core.errors
from relook.cli.main import command_line
from relook.core.errors import RelookError

ROOT = Path(__file__).parents[1]
PLACE = ROOT / "docs" / "reference"
MADE = "<!-- Made by pages/reference.py from the code; do not edit. -->\n"


def main() -> int:
    """Writes or checks every page."""
    logging.disable(logging.WARNING)
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--check", action="store_true")
    check = made.parse_args().check
    stale = []
    for name, text in pages().items():
        file = PLACE / name
        if not file.is_file() or file.read_text("utf-8") != text:
            stale.append(name)
            if not check:
                file.write_text(text, "utf-8")
    for name in stale:
        print(f"{'out of date' if check else 'wrote'}: docs/reference/{name}")
    return 1 if check and stale else 0


def pages() -> dict[str, str]:
    """File name -> text of every generated page."""
    return {"commands.md": command_page(), "errors.md": error_page(), "rest.md": rest_page()}


def command_page() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    lines = [MADE, "# Commands\n", "Every command takes `--help`; most take `--json`.\n"]
    for path, command in _commands(typer.main.get_command(command_line()), "relook"):
        lines += [f"## {path}\n", inspect.cleandoc(command.help or "") + "\n"]
        rows = [_parameter(one) for one in command.params if not getattr(one, "hidden", False)]
        if rows:
            lines += ["| | what | default |", "|---|---|---|", *rows, ""]
    return "\n".join(lines).rstrip() + "\n"


def _commands(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, depth first, as (what is typed, command)."""
    children = getattr(command, "commands", None)
    if children is None:
        yield path, command
        return
    for name, child in children.items():
        yield from _commands(child, f"{path} {name}")


def _parameter(one: Any) -> str:
    if one.param_type_name == "argument":
        name = f"`{one.name.upper()}{'...' if one.nargs == -1 else ''}`"
    else:
        name = ", ".join(f"`{spelled}`" for spelled in (*one.opts, *one.secondary_opts))
    help_text = " ".join((getattr(one, "help", None) or "").split()).replace("|", "\\|")
    default = one.default if one.default not in (None, False, (), []) else ""
    if callable(default) or "Sentinel" in type(default).__name__:
        default = ""
    shown = getattr(default, "value", default)
    return f"| {name} | {help_text} | {f'`{shown}`' if shown not in ('', ()) else ''} |"


def error_page() -> str:
    """The tree of errors, their HTTP status, and every code with where it is raised."""
    from relook.gateway.error_answers import STATUS

    tree = inspect.cleandoc(relook.core.errors.__doc__ or "").split("\n\n")[1]
    lines = [
        MADE,
        "# Errors\n",
        "Everything raised on purpose is a `RelookError` with a stable `code`, a `message` with",
        "the value that was wrong, and a `hint`. The command line prints `error[code]: message`",
        'and exits with 1; the API answers `{"error": {"code", "message", "hint"}}`, with the',
        "status.\n",
        f"```text\n{inspect.cleandoc(tree)}\n```\n",
        "| class | HTTP status | meaning |",
        "|---|---|---|",
    ]
    for kind in _classes(RelookError):
        meaning = " ".join(inspect.cleandoc(kind.__doc__ or "").split("\n\n")[0].split())
        lines.append(f"| `{kind.__name__}` | {STATUS[kind]} | {meaning} |")
    lines += ["\n## Codes\n", "| code | class | raised in |", "|---|---|---|"]
    for code, (kinds, modules) in sorted(_codes().items()):
        names = ", ".join(f"`{kind}`" for kind in sorted(kinds))
        lines.append(f"| `{code}` | {names} | {', '.join(sorted(modules))} |")
    return "\n".join(lines) + "\n"


def _classes(kind: type[RelookError]) -> Iterator[type[RelookError]]:
    yield kind
    for child in kind.__subclasses__():
        if child.__module__ == relook.core.errors.__name__:
            yield from _classes(child)


def _codes() -> dict[str, tuple[set[str], set[str]]]:
    """Every literal code -> (classes, modules) by reading the source."""
    names = {kind.__name__ for kind in _classes(RelookError)}
    found: dict[str, tuple[set[str], set[str]]] = {}
    source = ROOT / "src"
    for file in sorted(source.rglob("*.py")):
        module = ".".join(file.relative_to(source).with_suffix("").parts[:2])
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if not (isinstance(node, ast.Call) and node.args and isinstance(node.func, ast.Name)):
                continue
            first = node.args[0]
            if node.func.id in names and isinstance(first, ast.Constant):
                kinds, modules = found.setdefault(str(first.value), (set(), set()))
                kinds.add(node.func.id)
                modules.add(f"`{module}`")
    return found


def rest_page() -> str:
    """Every route of the API, from its own OpenAPI document."""
    from relook.app.facade import Library
    from relook.server.app import create_app

    with tempfile.TemporaryDirectory() as folder:
        app = create_app([Library(Path(folder, "library"))])
        try:
            document = app.openapi()
        finally:
            app.state.relook.close()  # its threads would outlive the folder
    lines = [
        MADE,
        "# REST routes\n",
        "The server shows the same with every field at `/api/v1/docs`, and as OpenAPI at"
        " `/openapi.json`.\n",
        "| method | path | what |",
        "|---|---|---|",
    ]
    for path, methods in document["paths"].items():
        for method, about in methods.items():
            said = " ".join(str(about.get("description") or about.get("summary", "")).split())
            lines.append(f"| `{method.upper()}` | `{path}` | {said.replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
