"""Pictures that come in to search with, and pictures that go out as answers. Layer: serving.

Pictures to search with are checked by their content and never indexed, and decoded only in
processes with bounds. Each lies under a name of ours in a temporary folder; one that a session
asks with is kept in the library's folder, so that the session outlives the server.

Of a library's picture files only what was catalogued is ever sent. A path may lead elsewhere than
when it was indexed (another file, a link). So a file is read once, and sent only while its content
is that of the catalog.
"""

import collections
import contextlib
import csv
import io
import re
import shutil
import tempfile
import threading
import uuid
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Annotated, ClassVar, cast

from relook.app.facade import Library
from relook.core.errors import ImageError, NotFoundError, OverloadError, TooLargeError, disk_error
from relook.core.images import content_of, decode
from relook.core.json_form import HIDDEN, JsonShape
from relook.core.leftovers import NEW, OwnFolder, new_file, sweep_folders
from relook.core.picture import Picture, reencoded
from relook.core.picture_paths import printable, split_scene
from relook.core.progress import check_cancelled
from relook.core.settings import ImageLimits
from relook.core.sources import TEMPORARY, limits_at, mark, read_bytes
from relook.core.types import WHOLE, Hit, Page, Part, Query
from relook.library.records import ImageRecord

EXTENSIONS = {
    "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp",
    "TIFF": ".tif", "AVIF": ".avif", "JPEG2000": ".jp2", "PPM": ".ppm", "ICO": ".ico",
}  # fmt: skip
_ID = re.compile(r"[0-9a-f]{32}")
_MIN_PX = 256
_COLUMNS = ("rank", "image_id", "score", "fit", "path", "title", "caption", "width_px", "height_px")
MAX_ZIP_BYTES = 4 * 1024**3
_IN_MEMORY = 16 * 1024**2


@dataclass(frozen=True, slots=True)
class Stored:
    """A picture that was uploaded to search with."""

    json_shape: ClassVar = JsonShape(name="Picture")

    picture_id: str
    path: Annotated[Path, HIDDEN]
    width_px: int
    height_px: int


class QueryPictures:
    """The query pictures of one library.

    Args:
        kept: Folder for those that sessions ask with; made when it is needed.
        limits: What a picture may cost.
        n_most: How many may lie in the temporary folder; the oldest go.
        max_bytes: And how large they may be together.
    """

    def __init__(
        self, kept: Path, limits: ImageLimits, n_most: int = 500, max_bytes: int = 1024**3
    ) -> None:
        self._kept, self._limits = kept, replace(limits, isolate=True)
        self._n_most, self._max_bytes = n_most, max_bytes
        sweep_folders(TEMPORARY)
        self._folder = OwnFolder(TEMPORARY)
        self._temporary = self._folder.path
        mark(self._temporary)
        self._lock = threading.Lock()
        self._held: collections.Counter[str] = collections.Counter()

    def add(self, data: bytes) -> Stored:
        """Stores a picture.

        Raises:
            ImageError: when the content is not a picture that is read here.
            StorageError: when the disk refuses.
        """
        picture: Picture = decode(data, _MIN_PX, self._limits)
        picture_id = uuid.uuid4().hex
        path = self._temporary / f"{picture_id}{EXTENSIONS.get(picture.format, '.img')}"
        try:
            path.write_bytes(data)
            self._thin_out()
        except OSError as error:
            with contextlib.suppress(OSError):
                path.unlink()
            raise disk_error("cannot store it", error) from error
        return Stored(picture_id, path, picture.width_px, picture.height_px)

    def _thin_out(self) -> None:
        pictures = (file for file in self._temporary.iterdir() if _ID.fullmatch(file.stem))
        facts = [(file.stat(), file) for file in pictures]
        n_bytes = 0
        newest = sorted(facts, key=lambda fact: -fact[0].st_mtime_ns)
        for number, (fact, file) in enumerate(newest, start=1):
            n_bytes += fact.st_size
            if number > self._n_most or (n_bytes > self._max_bytes and number > 1):
                file.unlink(missing_ok=True)

    def path(self, picture_id: str) -> Path:
        """The file of a picture.

        Raises:
            NotFoundError: `no_picture`.
        """
        if _ID.fullmatch(picture_id):
            for folder in (self._temporary, self._kept):
                for file in folder.glob(f"{picture_id}.*"):
                    return file
        raise NotFoundError(
            "no_picture", f"there is no uploaded picture {picture_id!r}", "upload it again"
        )

    def keep(self, path: Path) -> Path:
        """Moves a picture where it outlives the server; returns its new file.

        Raises:
            StorageError: when the disk refuses.
        """
        if path.parent != self._temporary:
            return path
        try:
            self._kept.mkdir(exist_ok=True)
            mark(self._kept)
            kept = self._kept / path.name
            with new_file(kept) as file, open(path, "rb") as source:
                shutil.copyfileobj(source, file)
        except FileNotFoundError:
            raise OverloadError(
                "too_busy", "the uploaded picture made room for newer ones", "upload it again"
            ) from None
        except OSError as error:
            raise disk_error("cannot store it", error) from error
        return kept

    @contextmanager
    def kept(self, query: Query) -> Iterator[Query]:
        """The query with its pictures where they outlive the server, safe from `sweep`.

        The block is for the session to be made in; from then on it keeps them itself.

        Raises:
            StorageError: when the disk refuses.
        """
        names = [part.image.name for part in query.parts if part.image is not None]
        with self._lock:
            self._held.update(names)
        try:
            parts = (
                part if part.image is None else replace(part, image=self.keep(part.image))
                for part in query.parts
            )
            yield Query(tuple(parts))
        finally:
            with self._lock:
                self._held -= collections.Counter(names)

    def sweep(self, queries: Callable[[], Iterable[Query]]) -> None:
        """Removes the kept pictures that nobody asks with any more.

        Args:
            queries: All that are asked by sessions.
        """
        with self._lock:
            used = {part.image.name for query in queries() for part in query.parts if part.image}
            for file in self._kept.iterdir() if self._kept.is_dir() else ():
                ours = _ID.fullmatch(file.stem) and file.suffix != NEW
                if ours and file.name not in used and not self._held[file.name]:
                    with contextlib.suppress(OSError):  # the next sweep tries again
                        file.unlink()

    def picture_id(self, path: Path) -> str | None:
        """The id of a file of ours; None for any other file."""
        ours = path.parent in (self._temporary, self._kept) and _ID.fullmatch(path.stem)
        return path.stem if ours else None

    def close(self) -> None:
        """Removes the temporary folder; closing twice is fine."""
        self._folder.close()


SAFE_TYPES = {
    "JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp",
    "GIF": "image/gif", "AVIF": "image/avif",
}  # fmt: skip


def original(record: ImageRecord, limits: ImageLimits) -> bytes:
    """The bytes of an image's file.

    Raises:
        NotFoundError: `picture_gone` or `picture_changed`.
        ImageError: when it cannot be read.
    """
    path = record.facts.path
    try:
        data = read_bytes(path, limits)
    except ImageError as error:
        raise NotFoundError(
            "picture_gone",
            f"{printable(path)}: {error.message}",
            "put it back, or bring the library up to date",
        ) from error
    if content_of(path, data) != record.content:
        raise NotFoundError(
            "picture_changed",
            f"{printable(path)} is not the file that was indexed",
            "bring the library up to date, and ask again",
        )
    return data


def browser_picture(record: ImageRecord, limits: ImageLimits) -> tuple[bytes, str]:
    """An image as browsers show it: its own file, tags and all, or a JPEG of it; and its type.

    Raises:
        NotFoundError, ImageError: as `original`.
    """
    data = original(record, limits)
    if split_scene(record.facts.path) is not None:
        return data, "image/jpeg"
    if record.format in SAFE_TYPES:
        return data, SAFE_TYPES[record.format]
    image = decode(data, 0, limits_at(record.facts.path, limits)).image
    return reencoded(image, quality=90), "image/jpeg"


def shrunk(data: bytes, size_px: int, limits: ImageLimits) -> bytes:
    """A JPEG of a picture whose longer side is at most `size_px`.

    Raises:
        ImageError: when it cannot be decoded.
    """
    # `decode` keeps the shorter side at `min_px`; a panorama then is larger than need be.
    return reencoded(decode(data, size_px // 2, limits).image, size_px, quality=82)


def safe_stem(name: str) -> str:
    """What may stay of a stranger's file name: letters, digits, dashes; no path, no dots."""
    last = re.split(r"[\\/]", name)[-1]
    stem = last.rpartition(".")[0] or last
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem).strip("-")[:60]


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
    file = cast("IO[bytes]", tempfile.SpooledTemporaryFile(_IN_MEMORY))  # noqa: SIM115
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
