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
import re
import shutil
import threading
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, ClassVar

from relook.core.errors import ImageError, NotFoundError, OverloadError, disk_error
from relook.core.images import content_of, decode
from relook.core.json_form import HIDDEN, JsonShape
from relook.core.leftovers import NEW, OwnFolder, new_file, sweep_folders
from relook.core.picture import Picture, reencoded
from relook.core.picture_paths import printable, split_scene
from relook.core.settings import ImageLimits
from relook.core.sources import read_bytes
from relook.core.types import Query
from relook.core.untrusted import TEMPORARY, limits_at, mark
from relook.library.records import ImageRecord

EXTENSIONS = {
    "JPEG": ".jpg", "MPO": ".jpg", "PNG": ".png", "WEBP": ".webp", "GIF": ".gif", "BMP": ".bmp",
    "TIFF": ".tif", "AVIF": ".avif", "JPEG2000": ".jp2", "PPM": ".ppm", "ICO": ".ico",
}  # fmt: skip
_ID = re.compile(r"[0-9a-f]{32}")
_MIN_PX = 256


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
