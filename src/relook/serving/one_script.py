"""The page's modules put together into one script, without a tool for it. Layer: serving.

Each module becomes the insides of a function that runs after those of the modules it imports; what
it exports is that function's value. Nothing is renamed or made smaller, and every line stays a
line, so that the map of the script to its modules is a list.

Source: ECMA-426 (source map), "Index source map".
"""

import posixpath
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

_COMMENT = re.compile(r"/\*\*.*?\*/|^[ \t]*//[^\n]*$", re.DOTALL | re.MULTILINE)
_IMPORT = re.compile(r'^import (?:\* as (\w+)|\{([^}]*)\}) from "([^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.MULTILINE)
_LEFT = re.compile(
    r"^[ \t]*(?:import|export)\b|^await\b|\bimport\(|\bimport\.meta\b|</script|<!--", re.MULTILINE
)
_STRICT = '"use strict";\n'


def read(path: PurePosixPath) -> str:
    """A text file of the package."""
    return files("relook").joinpath(str(path)).read_text("utf-8")


@dataclass(frozen=True, slots=True)
class _Part:
    path: PurePosixPath
    name: str
    code: str


class OneScript:
    """A module and all that it imports.

    Args:
        entry: The module that runs last.
        instead: Modules that others take the place of.
        read: From a path to its text.
    """

    def __init__(
        self,
        entry: PurePosixPath,
        instead: Mapping[PurePosixPath, PurePosixPath] | None = None,
        read: Callable[[PurePosixPath], str] = read,
    ) -> None:
        self._entry, self._instead, self._read = entry, instead or {}, read

    @property
    def text(self) -> str:
        """The script.

        Raises:
            ValueError: for a module that this simple way of putting them together cannot take.
        """
        return _STRICT + "".join(
            f"const {part.name} = (() => {{\n{part.code}}})();\n" for part in self._parts
        )

    @property
    def exports(self) -> str:
        """A line that makes the script a module whose names are those of its modules."""
        names = (f"{part.name} as {part.path.stem}" for part in self._parts)
        return f"export {{ {', '.join(names)} }};\n"

    def source_map(self, address: Callable[[PurePosixPath], str]) -> dict[str, Any]:
        """What browsers' tools show instead of the script, with the addresses of its modules."""
        sections = []
        line = _STRICT.count("\n")
        for part in self._parts:
            line += 1  # of the function's head
            n_lines = part.code.count("\n") - 1  # the last one is the function's value
            each = {
                "version": 3, "sources": [address(part.path)], "names": [],
                "mappings": ";".join(["AAAA"] + ["AACA"] * (n_lines - 1)),
            }  # fmt: skip
            sections.append({"offset": {"line": line, "column": 0}, "map": each})
            line += n_lines + 2
        return {"version": 3, "sections": sections}

    @cached_property
    def _parts(self) -> list[_Part]:
        """Every module that is needed, after those that it imports."""
        done: set[PurePosixPath] = set()
        under_way: list[PurePosixPath] = []

        def visit(path: PurePosixPath) -> Iterator[_Part]:
            if path in done:
                return
            if path in under_way:
                raise ValueError(f"{path} imports itself: {' '.join(map(str, under_way))}")
            under_way.append(path)
            source = _COMMENT.sub(_lines_of, self._read(path))
            for match in _IMPORT.finditer(source):
                yield from visit(self._imported(path, match[3]))
            done.add(under_way.pop())
            yield _Part(path, _name(path), self._inside(path, source))

        return list(visit(self._entry))

    def _inside(self, path: PurePosixPath, source: str) -> str:
        names = [match[2] for match in _EXPORT.finditer(source)]

        def bound(match: re.Match[str]) -> str:
            module = _name(self._imported(path, match[3]))
            if match[1]:
                return f"const {match[1]} = {module};"
            return f"const {{{match[2].replace(' as ', ': ')}}} = {module};"

        code = _EXPORT.sub(r"\1 \2", _IMPORT.sub(bound, source))
        if left := _LEFT.search(code):
            raise ValueError(f"{path} has {left[0].strip()!r}, which cannot stand in one script")
        return f"{code}return {{ {', '.join(names)} }};\n"

    def _imported(self, path: PurePosixPath, named: str) -> PurePosixPath:
        target = PurePosixPath(posixpath.normpath(path.parent / named))
        return self._instead.get(target, target)


def _lines_of(match: re.Match[str]) -> str:
    return "\n" * match[0].count("\n")


def _name(path: PurePosixPath) -> str:
    return "$" + "_".join((*path.parent.parts, path.stem))
