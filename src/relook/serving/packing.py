"""Pictures to take away: a table, a zip of the files, their paths. Layer: serving."""

import csv
import io
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from typing import IO, cast

from relook.app.facade import Library
from relook.core.errors import ImageError, NotFoundError, TooLargeError
from relook.core.picture_paths import printable
from relook.core.progress import check_cancelled
from relook.core.types import WHOLE, Hit, Page, Part, Query
from relook.library.records import ImageRecord
from relook.serving.pictures import EXTENSIONS, original, safe_stem

_COLUMNS = ("rank", "image_id", "score", "fit", "path", "title", "caption", "width_px", "height_px")
MAX_ZIP_BYTES = 4 * 1024**3
_IN_MEMORY = 16 * 1024**2


def page_of(records: Sequence[ImageRecord]) -> Page:
    """Pictures that nobody ranked as a page, in their order."""
    hits = (
        Hit(record.image_id, record.path, 0.0, WHOLE, record.title, record.caption,
            record.width_px, record.height_px)
        for record in records
    )  # fmt: skip
    return Page(Query((Part(text="pictures"),)), tuple(hits))


def paths_of(records: Sequence[ImageRecord]) -> bytes:
    """The paths of pictures, one a line."""
    return "".join(f"{printable(bytes(record.path))}\n" for record in records).encode()


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
            (rank, hit.image_id, round(hit.score, 6), fit, *words, hit.width_px, hit.height_px)
        )
    return text.getvalue().encode("utf-8")


def _cell(text: str) -> str:
    """Words that a spreadsheet does not take for a formula (OWASP, "CSV Injection")."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def results_zip(library: Library, page: Page) -> IO[bytes]:
    """The picture files of a page with a table of them, as an open temporary file.

    Raises:
        TooLargeError: when they have more bytes than are packed at once.
    """
    file = cast(IO[bytes], tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
    try:
        write_zip(file, library, page, MAX_ZIP_BYTES)
    except BaseException:
        file.close()
        raise
    file.seek(0)
    return file


def write_zip(
    file: IO[bytes], library: Library, page: Page, most_bytes: int | None = None
) -> list[str]:
    """Writes the picture files of a page with a table of them.

    Each is the whole original with everything that its file says, places included. One that is
    gone or changed is left out; `missing.txt` names it.

    Args:
        file: Open for writing.
        library: Whose pictures.
        page: Which.
        most_bytes: How many the pictures may have; any number when None.

    Returns:
        Why some are missing.

    Raises:
        TooLargeError: `zip_too_large`.
    """
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as pack:
        pack.writestr("results.csv", results_csv(page))
        missing = _pack(pack, library, page, most_bytes)
        if missing:
            pack.writestr("missing.txt", "\n".join(map(printable, missing)) + "\n")
    return missing


def _pack(
    pack: zipfile.ZipFile, library: Library, page: Page, most_bytes: int | None
) -> list[str]:  # fmt: skip
    """Adds the files of a page; returns why some are missing."""
    missing, n_bytes = [], 0
    for rank, hit in enumerate(page, start=1):
        check_cancelled()
        record = library.image(hit.image_id)
        n_bytes += record.facts.size_bytes
        if most_bytes is not None and n_bytes > most_bytes:
            raise TooLargeError(
                "zip_too_large",
                f"the pictures have more than {most_bytes:,} bytes",
                "export fewer at once, or take the paths (CSV)",
            )
        name = f"{rank:04d}-{safe_stem(hit.path.name)}{EXTENSIONS.get(record.format, '')}"
        try:
            pack.writestr(name, original(record, library.limits))
        except (NotFoundError, ImageError) as error:
            missing.append(error.message)
    return missing


def chunks(file: IO[bytes], n_bytes: int = 256 * 1024) -> Iterator[bytes]:
    """The file in pieces; it is closed behind the last, or when nobody reads on."""
    with file:
        while data := file.read(n_bytes):
            yield data
