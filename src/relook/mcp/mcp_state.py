"""Everything that a running `relook mcp` holds, made and closed together. Layer: mcp."""

import os
import shlex
from collections.abc import Sequence

from relook.app.asking import Asking
from relook.app.facade import Library
from relook.core.errors import NotFoundError
from relook.core.picture_paths import printable
from relook.mcp.arguments import Folders
from relook.mcp.mcp_settings import McpSettings
from relook.serving.libraries import Captioning, ServedLibraries, ServedLibrary
from relook.serving.pools import Pool
from relook.serving.questions import Questions, Uploads

_N_WORKERS, _N_WAITING = 4, 32
_ASK_S = 600.0


class McpState:
    """Libraries, threads and rules of one server for agents.

    Args:
        libraries: What it serves; each must have been indexed.
        settings: How.
        asking: Defaults of a question.
        allow_upload: Whether the person agreed, when this was started, that the services which
            the settings name may get pictures of this machine. No request can agree.
        caption: Puts words to boxes; each library's own captioner when None.

    Raises:
        NotFoundError: `no_library` for a folder that is none.
    """

    def __init__(
        self,
        libraries: Sequence[Library],
        settings: McpSettings | None = None,
        *,
        asking: Asking | None = None,
        allow_upload: bool = False,
        caption: Captioning | None = None,
    ) -> None:
        self.settings = settings or McpSettings()
        for library in libraries:
            _check_there(library)
        self.libraries = ServedLibraries(libraries, caption)
        roots = [root for volume in self.libraries for root in volume.files.catalog.roots()]
        self.folders = Folders([*map(os.fsdecode, roots), *self.settings.folders])
        uploads = Uploads.ALLOWED if allow_upload else Uploads.NOBODY
        models, providers = self.settings.ask_models, self.settings.ask_providers
        self.questions = Questions(asking, uploads, models, providers)
        self.asking = Pool("question", 2, 16, _ASK_S)
        self.pool = Pool("tool", _N_WORKERS, _N_WAITING, self.settings.timeout_s)

    def volume(self, library_id: str) -> ServedLibrary:
        """A library by its id; the first one when none is named.

        Raises:
            NotFoundError: `no_library`.
        """
        return self.libraries.get(library_id) if library_id else next(iter(self.libraries))

    def warm_up(self) -> None:
        """Loads the encoders in the background, so that the first search does not wait."""
        for volume in self.libraries:
            self.pool.begin(volume.warm_up)

    def close(self) -> None:
        """Waits for what runs and closes everything; closing twice is fine."""
        self.pool.close()
        self.asking.close()
        self.questions.close()
        self.libraries.close()


def _check_there(library: Library) -> None:
    """A server for agents makes no library: a mistyped folder must not become an empty one."""
    try:
        _ = library.files
    except NotFoundError as error:
        folder = shlex.quote(printable(os.fspath(library.folder)))
        raise NotFoundError(
            error.code, error.message, f"relook index DIR --library {folder}"
        ) from (error)
