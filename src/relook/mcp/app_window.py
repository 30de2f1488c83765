"""The window of a session inside an agent's program (MCP Apps): its document, and who gets it.

The document is one file without any address in it: the page's own modules and styles, and the
window's (`app/`), put together when the server starts. A client that does not show MCP Apps is told
of no window and of none of its tools. Layer: mcp.

Source: SEP-1865, "MCP Apps" (io.modelcontextprotocol/ui), version 2026-01-26, as the package `mcp`
implements the server's side of it.
"""

import posixpath
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Any

from mcp.server.apps import Apps, ResourceCsp, client_supports_apps
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

URI = "ui://relook/session.html"
WINDOW_TOOLS = ("page_pictures", "judge", "change_judgement", "take_back")
"""Tools that the window calls; agents do not see them."""
_BOTH_TOOLS = (
    "search", "begin_session", "look_again", "show_session", "undo", "redo", "propose_marks",
)  # fmt: skip
HIDDEN = frozenset({*WINDOW_TOOLS, "propose_marks"})
"""Tools that there are only for clients that show MCP Apps."""

_APP, _PAGE = PurePosixPath("mcp/app"), PurePosixPath("server/static")
# What talks to the server of the page; in a window the host is talked to.
_INSTEAD = {_PAGE / "js/api.js": _APP / "api.js", _PAGE / "js/captions.js": _APP / "api.js"}
_STYLES = ("tokens", "base", "grid", "marks", "tray")
_COMMENT = re.compile(r"/\*\*.*?\*/|^\s*//[^\n]*\n", re.DOTALL | re.MULTILINE)
_IMPORT = re.compile(r'^import (?:\* as (\w+)|\{([^}]*)\}) from "([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export ((?:async )?function|class|const) (\w+)", re.MULTILINE)
_LEFT = re.compile(r"^\s*(?:import|export)\b|\bimport\(|</script|<!--", re.MULTILINE)
_DARK = re.compile(r"@media \(prefers-color-scheme: dark\) \{\s*:root \{(.*?)\}\s*\}\n", re.DOTALL)


def apps() -> Apps:
    """The extension with the window's document."""
    made = Apps()
    made.add_html_resource(
        URI,
        document(),
        name="session",
        title="Relook",
        description="A page of pictures with marks and boxes; the person decides what counts.",
        csp=ResourceCsp(
            connect_domains=[], resource_domains=[], frame_domains=[], base_uri_domains=[]
        ),
        prefers_border=True,
    )
    return made


def tool_meta(name: str) -> dict[str, Any] | None:
    """What a tool says of the window: that it is shown there, or called from there."""
    if name in WINDOW_TOOLS:
        return {"ui": {"resourceUri": URI, "visibility": ["app"]}}
    return {"ui": {"resourceUri": URI}} if name in _BOTH_TOOLS else None


async def only_where_shown(
    ctx: ServerRequestContext[Any, Any], call_next: CallNext
) -> HandlerResult:
    """Middleware: takes the window out of the lists of a client that does not show MCP Apps."""
    result = await call_next(ctx)
    if not isinstance(result, dict) or client_supports_apps(ctx):
        return result
    if ctx.method == "tools/list":
        tools = [tool for tool in result["tools"] if tool["name"] not in HIDDEN]
        return {**result, "tools": [_without_window(tool) for tool in tools]}
    if ctx.method == "resources/list":
        listed = [resource for resource in result["resources"] if resource["uri"] != URI]
        return {**result, "resources": listed}
    return result


def _without_window(tool: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in tool.items() if key != "_meta"}


def document() -> str:
    """The window's HTML, whole: no address in it is loaded.

    Raises:
        ValueError: for a module that this simple way of putting them together cannot take.
    """
    styles = [_themed(_read(_PAGE / f"css/{name}.css")) for name in _STYLES]
    styles.append(_read(_APP / "app.css"))
    page = _read(_APP / "index.html")
    return page.replace("/* styles */", "\n".join(styles)).replace("/* script */", script())


def script() -> str:
    """The window's modules as one script: each a function's insides, what it exports its value.

    Raises:
        ValueError: as `document`.
    """
    parts = [f"const {_name(path)} = (() => {{\n{code}}})();\n" for path, code in _modules()]
    return '"use strict";\n' + "".join(parts)


def _modules() -> Iterator[tuple[PurePosixPath, str]]:
    """Every module that the window needs after those that it imports, as a function's insides."""
    done: set[PurePosixPath] = set()
    under_way: list[PurePosixPath] = []

    def visit(path: PurePosixPath) -> Iterator[tuple[PurePosixPath, str]]:
        if path in done:
            return
        if path in under_way:
            raise ValueError(f"{path} imports itself: {' '.join(map(str, under_way))}")
        under_way.append(path)
        source = _COMMENT.sub("", _read(path))
        for match in _IMPORT.finditer(source):
            yield from visit(_imported(path, match[3]))
        done.add(under_way.pop())
        yield path, _inside(path, source)

    yield from visit(_APP / "main.js")


def _inside(path: PurePosixPath, source: str) -> str:
    names = [match[2] for match in _EXPORT.finditer(source)]

    def bound(match: re.Match[str]) -> str:
        module = _name(_imported(path, match[3]))
        if match[1]:
            return f"const {match[1]} = {module};\n"
        return f"const {{{match[2].replace(' as ', ': ')}}} = {module};\n"

    code = _EXPORT.sub(r"\1 \2", _IMPORT.sub(bound, source))
    if left := _LEFT.search(code):
        raise ValueError(f"{path} has {left[0].strip()!r}, which cannot stand in one script")
    return f"{code}return {{ {', '.join(names)} }};\n"


def _imported(path: PurePosixPath, named: str) -> PurePosixPath:
    target = PurePosixPath(posixpath.normpath(path.parent / named))
    return _INSTEAD.get(target, target)


def _name(path: PurePosixPath) -> str:
    return "$" + "_".join((*path.parent.parts, path.stem))


def _themed(style: str) -> str:
    """Dark colours also where the host says dark, and not where it says light."""

    def chosen(match: re.Match[str]) -> str:
        chosen_by_system = ':root:not([data-theme="light"])'
        return (
            f"@media (prefers-color-scheme: dark) {{ {chosen_by_system} {{{match[1]}}} }}\n"
            f':root[data-theme="dark"] {{{match[1]}}}\n'
        )

    return _DARK.sub(chosen, style)


def _read(path: PurePosixPath) -> str:
    return files("relook").joinpath(str(path)).read_text("utf-8")
