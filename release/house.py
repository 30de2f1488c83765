"""The house in figures: how many doors, how long the rooms, which words. make house.

Reads every module of a package (src/relook, or the folder given) as syntax trees; imports
nothing. What each figure counts stands in `TABLE`. --json gives the figures with the names
behind them, --names prints those after the table.
"""

import argparse
import ast
import json
import statistics
import sys
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SHORT = 75  # lines, of a module that its one importer could hold
DIALECT = ("one", "found", "told", "said", "asked")  # names that do not say what they hold
TABLE = {
    "files": "files",
    "lines": "lines",
    "code_lines": "lines of code",
    "doc_lines": "lines of docstrings and comments",
    "blank_lines": "blank lines",
    "file_lines": "file: median, p90, most lines",
    "function_lines": "function: median, p90, most lines",
    "import_share": "imports and `__all__`, % of the lines that are not blank",
    "one_definition": "files with one definition",
    "most_parameters": "most parameters",
    "one_importer": "modules with one importer",
    "one_importer_short": f"of those, up to {SHORT} lines",
    "shared_names": "names of more than one module",
    "circles": "import circles of modules",
    "room_circles": "import circles of rooms",
    "dialect": "variables " + ", ".join(f"`{word}`" for word in DIALECT),
    "by_hand": "`as_dict` and `from_dict` by hand",
}


@dataclass(slots=True)
class Module:
    """One file, with what is counted in it. Lines are numbers of lines."""

    name: str
    file: str
    lines: int
    doc: int
    blank: int
    imports: int
    definitions: int
    functions: list[int] = field(default_factory=list)
    parameters: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    by_hand: list[str] = field(default_factory=list)
    needs: set[str] = field(default_factory=set)


def read_package(folder: Path) -> dict[str, Module]:
    """Every module of a package, by its dotted name."""
    names = {_dotted(file, folder): file for file in sorted(folder.rglob("*.py"))}
    return {name: _read(name, file, folder, names.keys()) for name, file in names.items()}


def _dotted(file: Path, folder: Path) -> str:
    parts = file.relative_to(folder.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _read(name: str, file: Path, folder: Path, known: Iterable[str]) -> Module:
    text = file.read_text("utf-8")
    tree = ast.parse(text)
    nodes = list(ast.walk(tree))
    lines = text.splitlines()
    doc = _docstring_lines(nodes)
    doc |= {n for n, line in enumerate(lines, start=1) if line.lstrip().startswith("#")}
    blank = {n for n, line in enumerate(lines, start=1) if not line.strip()} - doc
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    module = Module(
        name,
        str(file.relative_to(folder.parent)),
        len(lines),
        len(doc),
        len(blank),
        len({n for node in nodes if _is_door(node) for n in _span(node)}),
        sum(isinstance(node, kinds) for node in tree.body),
    )
    for node in nodes:
        _count(node, module)
    module.needs = _needs(nodes, name, file.name == "__init__.py", set(known)) - {name}
    return module


def _docstring_lines(nodes: list[ast.AST]) -> set[int]:
    """The lines of every string that stands alone: docstrings, and notes below a constant."""
    return {
        n
        for node in nodes
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node.value.value, str)
        for n in _span(node)
    }


def _span(node: ast.AST) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)  # type: ignore[attr-defined]


def _is_door(node: ast.AST) -> bool:
    """Whether it is an import or `__all__`."""
    if isinstance(node, ast.Assign):
        return any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets)
    return isinstance(node, ast.Import | ast.ImportFrom)


def _count(node: ast.AST, module: Module) -> None:
    """Adds what one node of the tree says."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        module.functions.append(len(_span(node)))
        given = node.args
        names = [arg.arg for arg in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        n = len(set(names) - {"self", "cls"})
        module.parameters[node.name] = max(module.parameters[node.name], n)
        if node.name in ("as_dict", "from_dict"):
            module.by_hand.append(f"{module.file}:{node.lineno}")
    name = ""
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
        name = node.id
    elif isinstance(node, ast.arg):
        name = node.arg
    if name in DIALECT:
        module.words[name] += 1


def _needs(nodes: list[ast.AST], name: str, is_package: bool, known: set[str]) -> set[str]:
    """The modules of the package that this one imports, inside functions too."""
    needs: set[str] = set()
    for node in _imports(nodes):
        if isinstance(node, ast.Import):
            needs |= {alias.name for alias in node.names} & known
            continue
        parts = name.split(".") if is_package else name.split(".")[:-1]
        above = parts[: len(parts) - node.level + 1] if node.level else []
        source = ".".join([*above, *([node.module] if node.module else [])])
        for alias in node.names:
            inner = f"{source}.{alias.name}"
            needs |= {inner if inner in known else source} & known
    return needs


def _imports(nodes: list[ast.AST]) -> list[ast.Import | ast.ImportFrom]:
    """Import statements, but those for the type checker alone."""
    for_types = {
        inner
        for node in nodes
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    kinds = ast.Import | ast.ImportFrom
    return [node for node in nodes if isinstance(node, kinds) and node not in for_types]


def circles(needs: Mapping[str, set[str]]) -> list[list[str]]:
    """Groups of names that reach one another, by Tarjan's algorithm."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    groups: list[list[str]] = []

    def visit(name: str) -> None:
        order[name] = low[name] = len(order)
        stack.append(name)
        for other in sorted(needs.get(name, ())):
            if other not in order:
                visit(other)
            if other in stack:
                low[name] = min(low[name], low[other])
        if low[name] == order[name]:
            at = stack.index(name)
            group = sorted(stack[at:])
            del stack[at:]
            if len(group) > 1:
                groups.append(group)

    for name in sorted(needs):
        if name not in order:
            visit(name)
    return sorted(groups)


def _room(name: str) -> str:
    """The folder of the package that a module is in."""
    return ".".join(name.split(".")[:2])


def figures(modules: Mapping[str, Module]) -> dict[str, object]:
    """Every figure of the table."""
    every = list(modules.values())
    lines = sum(module.lines for module in every)
    functions = [length for module in every for length in module.functions]
    parameters = [(n, f"{m.file}:{name}") for m in every for name, n in m.parameters.items()]
    alone = _with_one_importer(modules)
    doc, blank = sum(m.doc for m in every), sum(m.blank for m in every)
    imports = sum(module.imports for module in every)
    return {
        "files": len(every),
        "lines": lines,
        "code_lines": lines - doc - blank,
        "doc_lines": doc,
        "blank_lines": blank,
        "file_lines": _spread([module.lines for module in every]),
        "function_lines": _spread(functions),
        "import_share": round(100 * imports / max(lines - blank, 1), 1),
        "one_definition": sum(module.definitions == 1 for module in every),
        "most_parameters": max((n for n, _ in parameters), default=0),
        "one_importer": len(alone),
        "one_importer_short": sum(modules[name].lines <= SHORT for name in alone),
        "shared_names": len(_shared_names(modules)),
        "circles": len(circles({name: m.needs for name, m in modules.items()})),
        "room_circles": len(circles(_room_needs(modules))),
        "dialect": [sum(m.words[word] for m in every) for word in DIALECT],
        "by_hand": sum(len(module.by_hand) for module in every),
    }


def _spread(values: list[int]) -> list[int]:
    """Median, 90th percentile, largest."""
    if not values:
        return [0, 0, 0]
    ordered = sorted(values)
    p90 = ordered[min(len(ordered) - 1, int(0.9 * len(ordered)))]
    return [int(statistics.median(ordered)), p90, ordered[-1]]


def _with_one_importer(modules: Mapping[str, Module]) -> dict[str, str]:
    """Modules that exactly one other imports -> that one; packages are not counted."""
    importers: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in modules.items():
        for needed in module.needs:
            importers[needed].append(name)
    return {
        name: importers[name][0]
        for name, module in modules.items()
        if len(importers[name]) == 1 and not module.file.endswith("__init__.py")
    }


def _shared_names(modules: Mapping[str, Module]) -> dict[str, list[str]]:
    """Last parts of names that several modules have."""
    by_name: defaultdict[str, list[str]] = defaultdict(list)
    for name, module in modules.items():
        if not module.file.endswith("__init__.py"):
            by_name[name.rpartition(".")[2]].append(module.file)
    return {name: files for name, files in sorted(by_name.items()) if len(files) > 1}


def _room_needs(modules: Mapping[str, Module]) -> dict[str, set[str]]:
    """What each room imports of others; the package's own door is no room."""
    needs: defaultdict[str, set[str]] = defaultdict(set)
    for name, module in modules.items():
        if "." in name:
            needs[_room(name)] |= {_room(n) for n in module.needs if "." in n} - {_room(name)}
    return needs


def names_behind(modules: Mapping[str, Module]) -> dict[str, object]:
    """The names that some figures count."""
    alone = _with_one_importer(modules)
    return {
        "one_importer_short": {
            modules[name].file: importer
            for name, importer in sorted(alone.items())
            if modules[name].lines <= SHORT
        },
        "shared_names": _shared_names(modules),
        "circles": circles({name: m.needs for name, m in modules.items()}),
        "room_circles": circles(_room_needs(modules)),
        "by_hand": [place for module in modules.values() for place in module.by_hand],
    }


def table(values: Mapping[str, object]) -> str:
    """The figures as a table in Markdown."""
    rows = [f"| {title} | {_shown(values[key])} |" for key, title in TABLE.items()]
    return "\n".join(["| | |", "|---|---|", *rows])


def _shown(value: object) -> str:
    return ", ".join(map(_shown, value)) if isinstance(value, list) else f"{value:,}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("package", type=Path, nargs="?", default=ROOT / "src" / "relook")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--names", action="store_true")
    options = parser.parse_args()
    modules = read_package(options.package.resolve())
    values, names = figures(modules), names_behind(modules)
    if options.json:
        sys.stdout.write(json.dumps({"figures": values, "names": names}, indent=2) + "\n")
        return 0
    print(table(values))
    if options.names:
        print(json.dumps(names, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
