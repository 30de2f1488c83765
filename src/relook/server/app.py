"""The application: routes, guard, state. Layer: server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import FileResponse, HTMLResponse
from fastapi.staticfiles import StaticFiles
from threadpoolctl import threadpool_limits

import relook
from relook.app.asking import Asking
from relook.app.facade import Library
from relook.gateway.error_answers import install
from relook.gateway.guard import API, Guard
from relook.gateway.server_settings import ServerSettings
from relook.server import (
    models,
    routes_ask,
    routes_files,
    routes_images,
    routes_jobs,
    routes_libraries,
    routes_meta,
    routes_sessions,
)
from relook.server.reference import reference_page
from relook.server.state import ServerState
from relook.serving.libraries import Captioning

__all__ = ["create_app"]

_STATIC = Path(__file__).with_name("static")
_STATUSES = (400, 401, 403, 404, 405, 409, 413, 422, 500, 501, 502, 503, 507)
_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": models.ErrorAnswer, "description": "Error"} for status in _STATUSES
}


def create_app(
    libraries: Sequence[Library],
    settings: ServerSettings | None = None,
    *,
    caption: Captioning | None = None,
    asking: Asking | None = None,
) -> FastAPI:
    """Makes the server's application. It closes the libraries when it shuts down.

    Args:
        libraries: What it serves; one that is not there yet is made, empty.
        settings: How.
        caption: Puts words to crops; each library's own captioner when None.
        asking: Defaults of a question.

    Raises:
        LibraryError: when a library cannot be opened.
    """
    state = ServerState(libraries, settings or ServerSettings(), caption, asking)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        state.warm_up()
        # Requests run side by side already: threads inside each product only wait for cores
        # (measured on two: a search costs 12 ms of CPU time instead of 22).
        with threadpool_limits(limits=1, user_api="blas"):
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
        responses=_ERRORS,
    )
    app.state.relook = state
    install(app)
    app.add_middleware(Guard, settings=state.settings, gives_up=True)
    api = APIRouter(prefix=API)
    modules = (
        routes_meta, routes_libraries, routes_images, routes_files, routes_sessions, routes_jobs,
        routes_ask,
    )  # fmt: skip
    for module in modules:
        api.include_router(module.router)
    app.include_router(api)

    @app.get(f"{API}/docs", include_in_schema=False, response_class=HTMLResponse)
    async def docs() -> str:
        return reference_page(app.openapi())

    _serve_page(app)
    return app


def _serve_page(app: FastAPI) -> None:
    """The page's own files; they are revalidated, so that an upgrade shows at once."""

    @app.get("/", include_in_schema=False)
    async def index() -> FileResponse:
        return FileResponse(_STATIC / "index.html", headers={"Cache-Control": "no-cache"})

    if _STATIC.is_dir():
        app.mount("/static", _Revalidated(directory=_STATIC), name="static")


class _Revalidated(StaticFiles):
    def file_response(self, full_path: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().file_response(full_path, *args, **kwargs)
        # A browser asks for the icon again with every address, so with every search.
        is_icon = Path(full_path).name == "favicon.svg"
        response.headers["Cache-Control"] = "max-age=86400" if is_icon else "no-cache"
        return response
