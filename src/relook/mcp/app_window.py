"""The window of a session inside an agent's program (MCP Apps): its document, and who gets it.

The document is one file without any address in it: the page's own modules and styles, and the
window's (`app/`), put together when the server starts. A client that does not show MCP Apps is told
of no window and of none of its tools. Layer: mcp.

Source: SEP-1865, "MCP Apps" (io.modelcontextprotocol/ui), version 2026-01-26, as the package `mcp`
implements the server's side of it.
"""

import re
from pathlib import PurePosixPath
from typing import Any

from mcp.server.apps import Apps, ResourceCsp, client_supports_apps
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext

from relook.serving.one_script import OneScript, read

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
SCRIPT = OneScript(_APP / "main.js", _INSTEAD)
"""The window's modules, and those of the page that they use."""
_STYLES = ("tokens", "base", "grid", "marks", "tray")
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
    styles = [_themed(read(_PAGE / f"css/{name}.css")) for name in _STYLES]
    styles.append(read(_APP / "app.css"))
    page = read(_APP / "index.html")
    return page.replace("/* styles */", "\n".join(styles)).replace("/* script */", SCRIPT.text)


def _themed(style: str) -> str:
    """Dark colours also where the host says dark, and not where it says light."""

    def chosen(match: re.Match[str]) -> str:
        chosen_by_system = ':root:not([data-theme="light"])'
        return (
            f"@media (prefers-color-scheme: dark) {{ {chosen_by_system} {{{match[1]}}} }}\n"
            f':root[data-theme="dark"] {{{match[1]}}}\n'
        )

    return _DARK.sub(chosen, style)
