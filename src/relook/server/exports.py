"""Results and sessions as files to take away. Layer: server."""

from __future__ import annotations

import csv
import io
import json
import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO, cast

from relook.core.cancellation import check_cancelled
from relook.core.errors import ImageError, NotFoundError, TooLargeError
from relook.core.types import Page
from relook.library.records import printable
from relook.search.session import Session
from relook.search.transfer import export_session
from relook.server.uploads import safe_stem
from relook.server.views import page_view
from relook.serving.libraries import ServedLibrary
from relook.serving.originals import original
from relook.serving.query_pictures import EXTENSIONS

__all__ = ["chunks", "results_csv", "results_json", "results_zip", "session_json"]

_COLUMNS = ("rank", "image_id", "score", "path", "title", "caption", "width_px", "height_px", "fit")
_MAX_ZIP_BYTES = 4 * 1024**3
_IN_MEMORY = 16 * 1024**2


def session_json(session: Session) -> bytes:
    """A whole session, to import elsewhere."""
    return json.dumps(export_session(session), indent=2).encode()


def results_json(volume: ServedLibrary, page: Page) -> bytes:
    """A page as the API answers it."""
    return json.dumps(page_view(volume, page), indent=2).encode()


def results_csv(page: Page) -> bytes:
    """One line a hit, best first, for a spreadsheet."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for rank, hit in enumerate(page, start=1):
        path = printable(bytes(hit.path))
        fit = "" if hit.fit is None else round(hit.fit, 4)
        words = (_cell(path), _cell(hit.title), _cell(hit.caption))
        writer.writerow(
            (rank, hit.image_id, round(hit.score, 6), *words, hit.width_px, hit.height_px, fit)
        )
    return text.getvalue().encode("utf-8")


def _cell(text: str) -> str:
    """Words that a spreadsheet does not take for a formula (OWASP, "CSV Injection")."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def results_zip(volume: ServedLibrary, page: Page) -> IO[bytes]:
    """The picture files of a page with a table of them, as an open temporary file.

    Each is the whole original with everything that its file says, places included. One that is
    gone or changed is left out; `missing.txt` names it.

    Raises:
        TooLargeError: when they have more bytes than are packed at once.
    """
    file = cast(IO[bytes], tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
    try:
        with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as pack:
            pack.writestr("results.csv", results_csv(page))
            missing = _pack(pack, volume, page)
            if missing:
                pack.writestr("missing.txt", "\n".join(map(printable, missing)) + "\n")
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def _pack(pack: zipfile.ZipFile, volume: ServedLibrary, page: Page) -> list[str]:
    """Adds the files of a page; returns why some are missing."""
    missing, n_bytes = [], 0
    for rank, hit in enumerate(page, start=1):
        check_cancelled()
        record = volume.image(hit.image_id)
        n_bytes += record.facts.size_bytes
        if n_bytes > _MAX_ZIP_BYTES:
            raise TooLargeError(
                "zip_too_large",
                f"the pictures have more than {_MAX_ZIP_BYTES:,} bytes",
                "export fewer at once, or take the paths (CSV)",
            )
        name = f"{rank:04d}-{safe_stem(hit.path.name)}{EXTENSIONS.get(record.format, '')}"
        try:
            pack.writestr(name, original(record, volume.library.limits))
        except (NotFoundError, ImageError) as error:
            missing.append(error.message)
    return missing


def chunks(file: IO[bytes], n_bytes: int = 256 * 1024) -> Iterator[bytes]:
    """The file in pieces; it is closed behind the last, or when nobody reads on."""
    with file:
        while data := file.read(n_bytes):
            yield data
