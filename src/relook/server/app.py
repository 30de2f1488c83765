"""The application, and running it under uvicorn. Layer: server."""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from html import escape
from pathlib import Path
from types import FrameType
from typing import Any

import uvicorn
from fastapi import APIRouter, FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from starlette.routing import BaseRoute, Mount
from uvicorn.server import HANDLED_SIGNALS

import relook
from relook.app.asking import Asking
from relook.app.facade import Library
from relook.core.errors import InputError
from relook.core.threads import in_one_thread
from relook.gateway.admission import API
from relook.gateway.error_answers import install
from relook.gateway.guard import Guard
from relook.gateway.listen import uvicorn_config
from relook.gateway.server_settings import ServerSettings
from relook.people.people import People
from relook.server import (
    routes_albums,
    routes_ask,
    routes_browse,
    routes_concepts,
    routes_files,
    routes_libraries,
    routes_links,
    routes_people,
    routes_sessions,
    routes_shared,
)
from relook.server.api_answers import ErrorAnswer
from relook.server.page_files import PageFiles
from relook.server.route_rights import need_of
from relook.server.state import ServerState
from relook.serving.libraries import Captioning, ServedLibraries
from relook.serving.schemas import answer_model

_PAGE_FILES = PageFiles(Path(__file__).with_name("static"), "/static")
_STATUSES = (400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 501, 502, 503, 507)
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": answer_model(ErrorAnswer), "description": "Error"} for status in _STATUSES
}


def create_app(
    libraries: Sequence[Library],
    settings: ServerSettings | None = None,
    *,
    caption: Captioning | None = None,
    asking: Asking | None = None,
    people: People | None = None,
) -> FastAPI:
    """Makes the server's application. It closes the libraries when it shuts down.

    Args:
        libraries: What it serves; one that is not there yet is made, empty.
        settings: How.
        caption: Puts words to crops; each library's own captioner when None.
        asking: Defaults of a question.
        people: Who may sign in; those of the file that the settings name when None.

    Raises:
        LibraryError: when a library cannot be opened.
        InputError: `same_names` where rights could be those of another library.
    """
    settings = settings or ServerSettings()
    people = _people_for(libraries, people or People(settings.people))
    state = ServerState(libraries, settings, people, caption, asking)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state.warming.begin(lambda: _prepare(app))
        state.warm_up()
        # Requests run side by side already: threads inside each product only wait for cores.
        with in_one_thread():
            yield
        await asyncio.to_thread(state.close)

    app = FastAPI(
        title="Relook",
        version=relook.__version__,
        summary=relook.__doc__.splitlines()[0] if relook.__doc__ else None,
        openapi_url="/openapi.json",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        routes=list(_routes()),
    )
    app.state.relook = state
    install(app)
    app.add_middleware(
        Guard, settings=state.settings, gives_up=True, people=state.people, need_of=need_of
    )
    return app


def _prepare(app: FastAPI) -> None:
    """Has done what the first person would wait for.

    The page's files, and the routers: FastAPI works each of them out when it first looks at it,
    which took a fifth of a second on the event loop.
    """
    _PAGE_FILES.prepare()
    nowhere = {
        "type": "http", "method": "GET", "path": f"{API}/", "root_path": "",
        "query_string": b"", "headers": [],
    }  # fmt: skip
    for route in app.routes:
        route.matches(dict(nowhere))


def _people_for(libraries: Sequence[Library], people: People) -> People:
    """The people, when their rights cannot be those of another library."""
    if people.may_be_there() and (names := ServedLibraries.same_names(libraries)):
        raise InputError(
            "same_names",
            f"several libraries are called {names[0]!r}, and rights of people go by that name",
            "rename a folder, or serve one of them by itself",
        )
    return people


@cache
def _routes() -> Sequence[BaseRoute]:
    """The routes. They hold no state: all applications of a process share them."""
    api = APIRouter(prefix=API, responses=_ERRORS)
    for router in (
        routes_libraries.server_router, routes_libraries.router, routes_files.images,
        routes_files.router, routes_sessions.router, routes_concepts.router,
        routes_libraries.jobs_router, routes_ask.router, routes_browse.router,
        routes_albums.router, routes_people.router, routes_shared.router,
        routes_links.router,
    ):  # fmt: skip
        api.include_router(router)
    # What a page loads twenty of at once is looked for first.
    plain = [routes_files.PlainThumbnails(), Mount("/static", _PAGE_FILES)]
    return [*plain, *_pages.routes, *api.routes]


_pages = APIRouter(include_in_schema=False)


@_pages.get(f"{API}/docs", response_class=HTMLResponse)
async def _docs(request: Request) -> str:
    """A page that lists the API."""
    return reference_page(request.app.openapi())


@_pages.get("/")
async def _index(request: Request) -> Response:
    return _PAGE_FILES.index(request)


_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Relook API</title></head><body><main>
<h1>Relook API</h1>
<p>For programs: <a href="/openapi.json">openapi.json</a>. Every error is
<code>{"error": {"code", "message", "hint"}}</code>.</p>
"""


def reference_page(document: Mapping[str, Any]) -> str:
    """HTML that lists every route with its parameters, body and answers.

    No script and nothing from elsewhere: the usual viewers load theirs from a third party.
    """
    parts = [_HEAD]
    for path, methods in document["paths"].items():
        for method, route in methods.items():
            parts.append(_route(path, method, route))
    parts.append("<h2>Values</h2>")
    for name, schema in document["components"]["schemas"].items():
        parts.append(_schema(name, schema))
    return "\n".join(parts) + "</main></body></html>\n"


def _route(path: str, method: str, route: Mapping[str, Any]) -> str:
    lines = [f"<section><h3><code>{method.upper()} {escape(path)}</code></h3>"]
    lines.append(f"<p>{escape(route.get('description', route.get('summary', '')))}</p><ul>")
    for parameter in route.get("parameters", ()):
        summary = parameter.get("description") or _kind(parameter["schema"])
        needed = "" if parameter.get("required") else " (optional)"
        where = f"{parameter['in']} <code>{escape(parameter['name'])}</code>{needed}"
        lines.append(f"<li>{where}: {escape(summary)}</li>")
    for kind, body in route.get("requestBody", {}).get("content", {}).items():
        lines.append(f"<li>body {escape(kind)}: {_link(body.get('schema', {}))}</li>")
    for status, answer in route["responses"].items():
        if status.startswith("2"):
            content = answer.get("content", {}).items()
            shown = ", ".join(f"{escape(k)} {_link(v.get('schema', {}))}" for k, v in content)
            lines.append(f"<li>{status}: {shown or 'nothing'}</li>")
    return "\n".join(lines) + "</ul></section>"


def _schema(name: str, schema: Mapping[str, Any]) -> str:
    lines = [f'<section id="{escape(name)}"><h3>{escape(name)}</h3>']
    lines.append(f"<p>{escape(schema.get('description', ''))}</p><ul>")
    for key, value in schema.get("properties", {}).items():
        summary = value.get("description", "")
        lines.append(f"<li><code>{escape(key)}</code>: {_link(value)} {escape(summary)}</li>")
    return "\n".join(lines) + "</ul></section>"


def _link(schema: Mapping[str, Any]) -> str:
    """A value's kind, with links to the schemas it names."""
    if "$ref" in schema:
        name = escape(schema["$ref"].rpartition("/")[2])
        return f'<a href="#{name}">{name}</a>'
    if "items" in schema:
        return f"list of {_link(schema['items'])}"
    if "anyOf" in schema:
        return " or ".join(map(_link, schema["anyOf"]))
    return escape(_kind(schema))


def _kind(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return " | ".join(map(str, schema["enum"]))
    return str(schema.get("type", "any"))


_LOG = logging.getLogger(__name__)
_STOP_S = 4.5  # for everything: requests, the batch of a job, libraries


class Server(uvicorn.Server):
    """A server that ends its work in good order when it is told to stop.

    The first SIGTERM or Ctrl-C: no new connections, event streams end, requests under way are
    answered, runs of indexing end at their next batch and can be taken up again, libraries
    close. The second one ends the process at once, and so does a time in which all that is
    not done; what is on disk is whole either way. A Ctrl-C that was ignored when the process
    began (in the background of a script) stays ignored; SIGTERM always counts.

    Args:
        app: From `create_app`.
    """

    def __init__(self, app: FastAPI) -> None:
        self._state: ServerState = app.state.relook
        self._is_stopping = False
        super().__init__(uvicorn_config(app, self._state.settings, lambda: self.should_exit))

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handles the signals to stop; they are not raised again at the end, as uvicorn would."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handled = [number for number in HANDLED_SIGNALS if not _is_for_others(number)]
        before = {number: signal.signal(number, self.handle_exit) for number in handled}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """What a signal does."""
        if self._is_stopping:
            os._exit(128 + sig)
        self._is_stopping = self.should_exit = True
        last = threading.Timer(_STOP_S, _give_up)
        last.daemon = True
        last.start()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends streams and long work first: uvicorn waits for every answer to end."""
        self._state.stop()
        await super().shutdown(sockets)


def _is_for_others(number: int) -> bool:
    """Whether a Ctrl-C is meant for what runs in the foreground, not for this process."""
    return number == signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN


def _give_up() -> None:
    """The end of a process that does not come to one."""
    _LOG.error("not everything ended within %g s of the signal; the rest is dropped", _STOP_S)
    os._exit(1)
