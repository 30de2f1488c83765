"""A program that shows windows of MCP Apps, as far as the tests need one."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.extension import advertise
from mcp.server.apps import APP_MIME_TYPE, EXTENSION_ID
from playwright.sync_api import Browser, BrowserContext, FrameLocator, Page, Route

from relook.mcp import McpState
from relook.mcp.server import RelookServer

HOST, WINDOW = "http://host.test/", "http://window.test/"
PAGE = Path(__file__).with_name("mcp_host.html")
_NONE, _SELF = "'none'", "'self'"
SHOWS_APPS = [advertise(EXTENSION_ID, {"mimeTypes": [APP_MIME_TYPE]})]
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""


def policy(csp: Mapping[str, list[str]]) -> str:
    """The content security policy that the extension has a host make of what is declared."""
    sources = {key: " ".join(hosts) for key, hosts in csp.items()}
    own = sources.get("resourceDomains", "")
    frames, bases = sources.get("frameDomains"), sources.get("baseUriDomains")
    return (
        f"default-src 'none'; script-src 'self' 'unsafe-inline' {own};"
        f" style-src 'self' 'unsafe-inline' {own}; img-src 'self' data: {own};"
        f" connect-src 'self' {sources.get('connectDomains', '')}; font-src 'self' {own};"
        f" object-src 'none'; frame-src {frames or _NONE}; base-uri {bases or _SELF}"
    )


@dataclass
class AgentHost:
    """A host with an agent's connection to a server.

    Args:
        browser: Shows its pages.
        state: What the server serves; whoever made it closes it.
        troubles: What went wrong in a page: exceptions, requests to anywhere, violations.
    """

    browser: Browser
    state: McpState
    troubles: list[str] = field(default_factory=list)
    contexts: list[BrowserContext] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.server = RelookServer(self.state)

    def call(self, name: str, **given: Any) -> dict[str, Any]:
        """A tool's result as it is on its way; the agent and the window both ask so."""

        async def run(client: Client) -> Any:
            return await client.call_tool(name, given)

        return dict(self._ask(run).model_dump(by_alias=True, exclude_none=True, mode="json"))

    def open(
        self, tool: str, theme: str = "light", width_px: int = 900, **given: Any
    ) -> tuple[Page, FrameLocator]:
        """Has the agent call a tool, and shows its window; the page, and the window in it."""
        # Colours that fade to another theme are not those that are to be read.
        context = self.browser.new_context(
            viewport={"width": width_px, "height": 900}, reduced_motion="reduce"
        )
        self.contexts.append(context)
        context.add_init_script(WATCH)
        document, tools = self._ask(_declared)
        (content,) = document.contents
        allowed = policy(content.meta["ui"]["csp"])
        context.route("**/*", lambda route: self._serve(route, content.text, allowed))
        page = context.new_page()
        page.on("pageerror", lambda error: self.troubles.append(f"exception: {error}"))
        page.expose_function("callTool", self._called)
        page.goto(HOST)
        seen = [tool.name for tool in tools if "app" in _visibility(tool)]
        setting = {"given": given, "result": self.call(tool, **given), "theme": theme,
                   "appTools": seen, "address": WINDOW}  # fmt: skip
        page.evaluate("(setting) => show(setting)", setting)
        return page, page.frame_locator("iframe")

    def close(self) -> None:
        """Closes the pages; what was blocked in them is trouble."""
        for context in self.contexts:
            for page in context.pages:
                for frame in page.frames:
                    blocked = frame.evaluate("window.violations")
                    self.troubles += [f"CSP: {violation}" for violation in blocked]
            context.close()

    def _called(self, name: str, text: str) -> str:
        return json.dumps(self.call(name, **json.loads(text)))

    def _serve(self, route: Route, document: str, allowed: str) -> None:
        if route.request.url == HOST:
            route.fulfill(content_type="text/html", body=PAGE.read_text("utf-8"))
        elif route.request.url == WINDOW:
            headers = {"Content-Security-Policy": allowed}
            route.fulfill(content_type="text/html", headers=headers, body=document)
        elif route.request.url.endswith("/favicon.ico"):
            route.fulfill(status=404)
        else:
            self.troubles.append(f"request to {route.request.url}")
            route.abort()

    def _ask(self, run: Any) -> Any:
        """One exchange by a client of its own, on a thread of its own: the browser's has a loop."""
        answers: list[Any] = []

        async def connected() -> None:
            async with Client(self.server, extensions=SHOWS_APPS) as client:
                answers.append(await run(client))

        thread = threading.Thread(target=lambda: asyncio.run(connected()))
        thread.start()
        thread.join()
        [answer] = answers
        return answer


async def _declared(client: Client) -> tuple[Any, list[Any]]:
    tools = (await client.list_tools()).tools
    (address,) = {tool.meta["ui"]["resourceUri"] for tool in tools if tool.meta}
    return await client.read_resource(address), tools


def _visibility(tool: Any) -> list[str]:
    ui = (tool.meta or {}).get("ui", {})
    return list(ui.get("visibility", ["model", "app"]))
