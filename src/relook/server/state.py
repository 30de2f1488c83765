"""Everything that a running server holds, made and closed together. Layer: server."""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute

from relook.app.asking import Asking
from relook.app.facade import Library
from relook.core.errors import AccessError, NotFoundError
from relook.core.picture_paths import as_path, is_below, is_url
from relook.core.remote import clean_address
from relook.gateway.server_settings import ServerSettings, is_loopback
from relook.library.records import printable
from relook.server.captions import CaptionWorker
from relook.server.events import Hub
from relook.server.jobs import Job, Jobs
from relook.server.picture_caches import Screenshots, ThumbnailCache
from relook.serving.libraries import Captioning, ServedLibraries, ServedLibrary
from relook.serving.pools import Pool
from relook.serving.questions import Questions, Uploads
from relook.serving.requests import PartsRequest, QueryRequest

__all__ = ["AnswerRoute", "ServedLibraryOf", "ServerState", "State"]

_SLOW_S = 300.0  # for work that takes its time: imports, exports, decoding, explanations
_ASK_S = 600.0
_MOST_DECODERS = 4


class ServerState:
    """Libraries, pools, jobs and streams of one server.

    Args:
        libraries: What it serves.
        settings: How.
        caption: Puts words to crops; each library's own captioner when None.
        asking: Defaults of a question.
    """

    def __init__(
        self,
        libraries: Sequence[Library],
        settings: ServerSettings,
        caption: Captioning | None = None,
        asking: Asking | None = None,
    ) -> None:
        self.settings = settings
        self.libraries = ServedLibraries(libraries, caption)
        self.hub = Hub(settings.n_events)
        self.jobs = Jobs(self.hub)
        self.captions = CaptionWorker(self.hub)
        uploads = Uploads.QUESTION if is_loopback(settings.host) else Uploads.PERSON
        self.questions = Questions(asking, uploads, settings.ask_models, settings.ask_providers)
        self.screenshots = Screenshots()
        self.thumbnails = ThumbnailCache(settings.cache, settings.cache_bytes)
        n, waiting = settings.n_workers, settings.n_waiting
        self.core = Pool("search", n, waiting, settings.timeout_s)
        self.pictures = Pool("picture", n, 4 * waiting, settings.timeout_s)
        # Each in a pool of its own: none of them makes a search, or one another, wait.
        n_decoders = max(min(n, _MOST_DECODERS) // 2, 1)
        self.decoding = Pool("decoding", n_decoders, 2 * settings.n_uploads, _SLOW_S)
        self.explaining = Pool("explanation", 1, 32, _SLOW_S)
        self.imports = Pool("import", 1, settings.n_uploads, _SLOW_S)
        self.exports = Pool("export", 2, 16, _SLOW_S)
        self.warming = Pool("warm-up", 1, len(libraries), _SLOW_S)
        self.asking = Pool("ask", 4, 16, _ASK_S)
        self._folders = {volume.library_id: self._started_with(volume) for volume in self.libraries}

    def _started_with(self, volume: ServedLibrary) -> list[Path]:
        own = [as_path(root) for root in volume.files.catalog.roots()]
        several = (*own, *self.settings.folders)
        there = (path if is_url(bytes(path)) else path.absolute() for path in several)
        return [*dict.fromkeys(there)]

    def folders(self, volume: ServedLibrary) -> list[Path]:
        """Folders below which a request may have pictures indexed."""
        return self._folders[volume.library_id]

    def index(self, volume: ServedLibrary, paths: Sequence[Path]) -> Job:
        """Queues a run of indexing that no link leads out of the folders of this server.

        Raises:
            OverloadError: when too many wait for this library.
        """
        uploads = volume.library.folder / "uploads"
        return self.jobs.index(volume, paths, [*self.folders(volume), uploads])

    def allowed(self, volume: ServedLibrary, path: str) -> Path:
        """A path from a request, when it may be indexed.

        Raises:
            AccessError: `outside_folders`.
            NotFoundError: `no_path`.
        """
        try:
            as_bytes = os.fsencode(path.replace("\0", ""))
        except UnicodeEncodeError as error:
            raise NotFoundError(
                "no_path",
                f"no file can be called {printable(path)!r} in this server's locale",
                "check the path, or start the server with PYTHONUTF8=1",
            ) from error
        if is_url(as_bytes):
            return self._allowed_address(volume, path)
        named = os.path.abspath(os.path.expanduser(path.replace("\0", "")))
        real = os.path.realpath(named)
        for folder in self.folders(volume):
            if is_url(bytes(folder)):
                continue
            if Path(real).is_relative_to(os.path.realpath(folder)):
                if not os.path.lexists(real):
                    raise NotFoundError("no_path", f"there is no {path!r}", "check the path")
                return Path(named)
        raise AccessError(
            "outside_folders",
            f"{printable(path)!r} is not below a folder that this server was started with",
            "start it with --allow-folder DIR, or run: relook index DIR",
        )

    def _allowed_address(self, volume: ServedLibrary, path: str) -> Path:
        """An address at or below one that the library had when the server was started."""
        place = clean_address(path)
        if any(is_below(place, bytes(folder)) for folder in self.folders(volume)):
            return as_path(place)
        raise AccessError(
            "outside_folders",
            f"{printable(path)!r} is not below an address that this server was started with",
            f"run: relook index {printable(path)}, and start the server again",
        )

    def pool_for(self, query: QueryRequest) -> Pool:
        """Where a query is worked on: beside the searches when it has pictures to decode."""
        has_pictures = isinstance(query, PartsRequest) and any(part.picture for part in query.parts)
        return self.decoding if has_pictures else self.core

    def warm_up(self) -> None:
        """Loads the models in the background, so that the first person does not wait."""
        for volume in self.libraries:
            self.warming.begin(volume.warm_up)

    def stop(self) -> None:
        """Ends streams and has all that takes long end soon; quick requests are still answered."""
        self.hub.close()
        self.jobs.stop()
        for pool in (self.decoding, self.explaining, self.imports, self.exports, self.warming):
            pool.stop()

    def close(self) -> None:
        """Stops jobs, ends streams, closes libraries; closing twice is fine."""
        self.stop()
        self.jobs.close()
        self.asking.close()
        self.questions.close()
        self.captions.close()
        for pool in (self.core, self.pictures, self.decoding, self.explaining, self.imports,
                     self.exports, self.warming):  # fmt: skip
            pool.close()
        self.libraries.close()


class AnswerRoute(APIRoute):
    """A route that answers with the keys it was given, and adds none of its model's."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """As FastAPI's."""
        self.response_model_exclude_unset = True
        return super().get_route_handler()


async def _state(request: Request) -> ServerState:
    state: ServerState = request.app.state.relook
    return state


State = Annotated[ServerState, Depends(_state)]


async def _volume(library_id: str, state: State) -> ServedLibrary:
    return state.libraries.get(library_id)


ServedLibraryOf = Annotated[ServedLibrary, Depends(_volume)]
