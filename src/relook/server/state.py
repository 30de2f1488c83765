"""Everything that a running server holds, made and closed together. Layer: server.

Thumbnails lie on disk, screenshots of providers' pages in memory. The folder of thumbnails is
derived: anybody may delete it at any time. Files are written whole, and the oldest go when it
grows too large. A screenshot is kept for a while, named by an address.
"""

import base64
import collections
import contextlib
import functools
import hashlib
import logging
import os
import threading
import uuid
from collections.abc import Callable, Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

from relook.app.asking import Asking
from relook.app.facade import Library
from relook.core.errors import NotFoundError
from relook.gateway.admission import API, WHO
from relook.gateway.server_settings import ServerSettings, is_loopback
from relook.people.people import People
from relook.people.rights import Right, Who, hidden_library
from relook.server.captions import CaptionWorker
from relook.server.events import Hub
from relook.server.folders import FileManager, Folders
from relook.server.jobs import Job, Jobs
from relook.serving.libraries import Captioning, ServedLibraries, ServedLibrary
from relook.serving.pools import Pool
from relook.serving.questions import Questions, Uploads
from relook.serving.requests import PartsRequest, SearchRequest, SessionRequest

_LOG = logging.getLogger(__name__)
T = TypeVar("T")
Q = TypeVar("Q", SearchRequest, SessionRequest)
_VERSION = 2  # of how thumbnails are made; those of 1 could hold comments of their files


class ThumbnailCache:
    """Small pictures by a key.

    Args:
        folder: Where they are; made when it is not there. Without it nothing is kept.
        max_bytes: How large the folder may become; a tenth is freed when it is full.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder, self._max_bytes = folder, max_bytes
        self._lock = threading.Lock()
        self._n_bytes: int | None = None

    def get(self, content: bytes, size_px: int, make: Callable[[], bytes]) -> bytes:
        """The thumbnail of a content, made when it is not there; raises what `make` raises."""
        path = self.path(content, size_px)
        try:
            data = path.read_bytes()
        except OSError:
            data = b""
        if not data:
            data = make()
            self._put(path, data)
        return data

    def path(self, content: bytes, size_px: int) -> Path:
        """Where the thumbnail of a content is, or would be."""
        name = content.hex()
        return self.folder / name[:2] / f"{name}-{size_px}-{_VERSION}.jpg"

    def _put(self, path: Path, data: bytes) -> None:
        new = path.with_name(f"{uuid.uuid4().hex}.new")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.write_bytes(data)
            new.replace(path)
        except OSError as error:  # a full or read-only disk costs time, and nothing else
            _LOG.warning("a thumbnail is not kept: %s", error)
            with contextlib.suppress(OSError):
                new.unlink()
            return
        self._count(len(data))

    def _count(self, n_bytes: int) -> None:
        with self._lock:
            if self._n_bytes is None:
                self._n_bytes = sum(size for _, size, _ in self._files())
            else:
                self._n_bytes += n_bytes
            if self._n_bytes > self._max_bytes:
                self._n_bytes = self._thin_out()

    def _thin_out(self) -> int:
        """Removes the oldest files; returns how large the rest is."""
        files = sorted(self._files())
        n_bytes = sum(size for _, size, _ in files)
        for _, size, path in files:
            if n_bytes <= 0.9 * self._max_bytes:
                break
            with contextlib.suppress(OSError):
                os.unlink(path)
                n_bytes -= size
        return n_bytes

    def _files(self) -> list[tuple[int, int, str]]:
        """Time, size and path of every file."""
        files = []
        for folder, _, names in os.walk(self.folder):
            for name in names:
                path = os.path.join(folder, name)
                with contextlib.suppress(OSError):
                    facts = os.stat(path)
                    files.append((facts.st_mtime_ns, facts.st_size, path))
        return files


_MAX_SCREENSHOT_BYTES = 64 * 1024**2


class Screenshots:
    """The newest screenshots of providers' pages, by content; evidence names their address.

    A screenshot has a megabyte or two and stands in two events of a question; as base64 each
    reader would get it twice, whether it is looked at or not.

    Args:
        max_bytes: How large they may be together; the last one is kept in any case.
    """

    def __init__(self, max_bytes: int = _MAX_SCREENSHOT_BYTES) -> None:
        self._max_bytes = max_bytes
        self._kept: collections.OrderedDict[str, bytes] = collections.OrderedDict()
        self._lock = threading.Lock()

    def addressed(self, evidence: Mapping[str, Any]) -> dict[str, Any]:
        """Evidence as JSON with `screenshot_url` where providers had a `screenshot` in base64."""
        providers = [self._provider(result) for result in evidence["providers"]]
        return {**evidence, "providers": providers}

    def get(self, name: str) -> bytes:
        """A PNG.

        Raises:
            NotFoundError: `no_screenshot` for one that was never kept, or is no longer.
        """
        with self._lock:
            if name not in self._kept:
                raise NotFoundError(
                    "no_screenshot", f"no screenshot {name!r} is remembered", "ask again"
                )
            return self._kept[name]

    def _provider(self, result: Mapping[str, Any]) -> dict[str, Any]:
        if not (screenshot := result.get("screenshot")):
            return dict(result)
        url = self._keep(base64.b64decode(screenshot))
        return {**result, "screenshot": None, "screenshot_url": url}

    def _keep(self, data: bytes) -> str:
        name = hashlib.sha256(data).hexdigest()[:32]
        with self._lock:
            self._kept[name] = data
            self._kept.move_to_end(name)
            while len(self._kept) > 1 and sum(map(len, self._kept.values())) > self._max_bytes:
                self._kept.popitem(last=False)
        return f"{API}/ask/screenshots/{name}"


_SLOW_S = 300.0  # for work that takes its time: imports, exports, decoding, explanations
_ASK_S = 600.0
_MOST_DECODERS = 4


class ServerState:
    """Libraries, pools, jobs and streams of one server.

    Args:
        libraries: What it serves.
        settings: How.
        people: Who may sign in.
        caption: Puts words to crops; each library's own captioner when None.
        asking: Defaults of a question.
    """

    def __init__(
        self,
        libraries: Sequence[Library],
        settings: ServerSettings,
        people: People,
        caption: Captioning | None = None,
        asking: Asking | None = None,
    ) -> None:
        self.settings, self.people = settings, people
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
        self.warming = Pool("warm-up", 1, 1 + len(libraries), _SLOW_S)
        self.asking = Pool("ask", 4, 16, _ASK_S)
        self.signing = Pool("sign-in", 2, 32, settings.timeout_s)  # each takes 64 MiB and a core
        self.folders = Folders(self.libraries, settings)
        self.file_manager = FileManager(settings.host)

    def index(self, volume: ServedLibrary, paths: Sequence[Path], *, text: bool = False) -> Job:
        """Queues a run of indexing that no link leads out of the folders of this server.

        With `text` the words in pictures are read, too.

        Raises:
            OverloadError: when too many wait for this library.
        """
        uploads = volume.library.folder / "uploads"
        return self.jobs.index(volume, paths, [*self.folders.of(volume), uploads], text=text)

    def folders_for(self, who: Who) -> Folders:
        """The folders that somebody may have indexed."""
        return self.folders.without_home() if who.is_limited else self.folders

    async def run_query(
        self, work: Callable[[ServedLibrary, Q], T], volume: ServedLibrary, body: Q
    ) -> T:
        """What comes of a request with a query: beside the searches when it has pictures to decode.

        Raises:
            OverloadError: as `Pool.run`.
        """
        query = body.query
        if isinstance(query, PartsRequest) and any(part.picture for part in query.parts):
            return await self.decoding.run(work, volume, body)
        if self.core.is_busy:
            volume.expect(query, body.grammar)
        return await self.core.run(work, volume, body)

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
                     self.exports, self.warming, self.signing):  # fmt: skip
            pool.close()
        self.people.close()
        self.libraries.close()


_ANY: TypeAdapter[Any] = TypeAdapter(Any)


class AnswerRoute(APIRoute):
    """A route that answers with the values it was given, as they are.

    Its model describes them in the OpenAPI document, and a fuzz test holds answers against that;
    reading every answer by its model again would cost a search a millisecond of a core.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **about: Any) -> None:
        if isinstance(about.get("response_model"), type):
            endpoint = _written(endpoint, about.get("status_code") or 200)
        super().__init__(path, endpoint, **about)


def _written(
    endpoint: Callable[..., Any], status_code: int
) -> Callable[..., Coroutine[Any, Any, Response]]:
    """An endpoint that gives its answer as JSON; a response that it makes itself stays."""

    @functools.wraps(endpoint)
    async def answered(*args: Any, **kwargs: Any) -> Response:
        answer = await endpoint(*args, **kwargs)
        if isinstance(answer, Response):
            return answer
        return Response(_ANY.dump_json(answer), status_code, media_type="application/json")

    return answered


async def _state(request: Request) -> ServerState:
    state: ServerState = request.app.state.relook
    return state


State = Annotated[ServerState, Depends(_state)]


async def _who(request: Request) -> Who:
    who: Who = request.scope[WHO]
    return who


WhoOf = Annotated[Who, Depends(_who)]


async def _volume(library_id: str, state: State, who: WhoOf) -> ServedLibrary:
    return volume_for(who, state, library_id, Right.VIEW)


ServedLibraryOf = Annotated[ServedLibrary, Depends(_volume)]


def volume_for(who: Who, state: ServerState, library_id: str, needed: Right) -> ServedLibrary:
    """A library that a request names, for somebody who may use it so.

    Raises:
        NotFoundError: `no_library`; it names the others only to who may see them all.
        AccessError: `right_needed`.
    """
    who.check(library_id, needed)
    try:
        return state.libraries.get(library_id)
    except NotFoundError:
        if who.is_limited:
            raise hidden_library(library_id) from None
        raise
