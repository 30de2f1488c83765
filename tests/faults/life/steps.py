"""What people do with pictures and with a library, a step at a time.

A step is a name and plain values, so a sequence of steps reads as a script, and any part of
it can be run again: a step that cannot be done where it stands is left out.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import relook
from relook.app.upkeep import compact_library
from relook.core.errors import NotFoundError
from relook.core.images import decode
from relook.core.picture_paths import original_path
from relook.encoders.base import encode_images
from relook.library.check import check
from relook.library.repair import repair
from relook.library.snapshot import vectors_path
from relook.testing import ColourEncoder

from ..parts import Killer
from .album_steps import AlbumSteps
from .file_steps import FileSteps
from .model import Model
from .model_values import BrokenError, Image, SessionModel, Words
from .session_steps import Exported, SessionSteps, session_model
from .world import ROOTS, World, picture_bytes

INDEXING = ("index", "index_with_words")


@dataclass(frozen=True)
class Step:
    """One thing that somebody does; reads as a call."""

    name: str
    values: tuple[Any, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}({', '.join(map(repr, self.values))})"


@cache
def vector_of(picture: int) -> bytes:
    """The whole picture's vector, as a library keeps it, computed apart from one."""
    encoder = ColourEncoder()
    pixels = decode(picture_bytes(picture), encoder.input_px).image
    return encode_images(encoder, [pixels])[0].astype("<f2").tobytes()


@dataclass
class Life(AlbumSteps, FileSteps, SessionSteps):
    """A library, its folders, and the model of both.

    Args:
        base: An empty folder.
        process: Where commands run that are to be killed; they are run to their end when None.
    """

    base: Path
    process: Any = None
    model: Model = field(default_factory=Model)
    exported: dict[str, Exported] = field(default_factory=dict)  # by file

    def __post_init__(self) -> None:
        self.world = World(self.base / "pictures")
        self.folder = self.base / "library"
        self.library, self.reader = self._opened(), None
        self._is_quiet = False  # whether nothing has happened since everything was indexed

    def _opened(self) -> relook.Library:
        return relook.Library(self.folder, encoder=ColourEncoder())

    def close(self) -> None:
        """Closes the library; closing twice is fine."""
        self.library.close()
        if self.reader is not None:
            self.reader.close()

    def do(self, step: Step) -> bool:
        """Does a step, and looks at everything.

        Returns:
            Whether it could be done.

        Raises:
            BrokenError: when something is not as it must be.
        """
        action: Callable[..., bool] = getattr(self, step.name)
        if step.name not in INDEXING:
            self._is_quiet = False
        if action(*step.values) is False:
            return False
        if self.is_there:
            self.model.check_images(self.images())
            self.model.check_sessions(self.sessions())
            self.check_albums()
        return True

    @property
    def is_there(self) -> bool:
        """Whether there is a library yet."""
        return (self.folder / "manifest.json").exists()

    # What the library holds.

    def images(self) -> dict[int, Image]:
        """Every image that the library holds."""
        catalog = self.library.files.catalog
        return {
            image.image_id: Image(
                self.world.place(original_path(image.facts.path)),
                self.world.numbers[image.content],
                (image.title, image.caption),
            )
            for image in catalog.each_image()
        }

    def sessions(self) -> dict[str, SessionModel]:
        """Every session that the library holds."""
        return {
            row.session_id: session_model(self.library, row.session_id)
            for row in self.library.sessions()
        }

    def index(self, *roots: str) -> bool:
        """Brings the library up to date with everything, or with one root."""
        if not (self.is_there or any(self.world.has(root) for root in ROOTS)):
            return False
        if not all(self.world.has(root) for root in roots):
            return False
        self._add(roots)
        return True

    def index_with_words(self, rows: tuple[tuple[str, str, str], ...]) -> bool:
        """Indexes with a sidecar: place, title and caption of some pictures."""
        if not self.is_there:
            return False
        sidecar = self.base / "words.csv"
        rows = tuple(row for row in rows if self.world.has(row[0]))
        lines = [f"{self.world.at(place)},{title},{caption}" for place, title, caption in rows]
        sidecar.write_text("\n".join(["path,title,caption", *lines, ""]))
        self._add((), {place: (title, caption) for place, title, caption in rows}, sidecar)
        return True

    def _add(
        self,
        roots: tuple[str, ...],
        said: Mapping[str, Words] | None = None,
        sidecar: Path | None = None,
    ) -> None:
        given = roots if self.is_there else [r for r in ROOTS if self.world.has(r)]
        metadata = () if sidecar is None else sidecar
        self.library.add(*map(self.world.at, given), metadata=metadata)
        before, images = self.model.images, self.images()
        spoiled = self.world.spoiled()
        self.model.settle(self.world.pictures(), images, roots or ROOTS, spoiled=spoiled, said=said)
        self._check_library()
        if self._is_quiet and not said and self.model.images != before:
            now = self.model.images
            changed = sorted(i for i in {*before, *now} if before.get(i) != now.get(i))
            lines = [f"\n    {i}: {before.get(i)} -> {now.get(i)}" for i in changed]
            raise BrokenError(f"a second run changed images{''.join(lines)}")
        self._is_quiet = not roots

    def _check_library(self) -> None:
        """Nothing is damaged, and a search shows the pictures that are there, to everybody."""
        report = check(self.folder)
        if not report.sound:
            raise BrokenError(f"the library is damaged: {[f.message for f in report.findings]}")
        self._check_vectors()
        if not self.model.is_settled:
            return
        away = {i for i, image in self.model.images.items() if image.state == "away"}
        if self.library.info()["n_away"] != len(away):
            raise BrokenError(
                f"{self.library.info()['n_away']} images are away, and not {sorted(away)}"
            )
        here = set(self.model.here())
        if self.reader is None:
            self.reader = self._opened()
        for library in (self.library, self.reader):
            page = library.search("red", limit=1000, fold=False)
            shown = {self.world.place(os.fsencode(hit.path)) for hit in page}
            if shown != here:
                raise BrokenError(f"a search shows {sorted(shown)}, and not {sorted(here)}")

    def _check_vectors(self) -> None:
        """Each image has the vector of its own picture."""
        files = self.library.files
        for image in files.catalog.each_image():
            vector = files.vectors.block(image.first_row, image.first_row + 1)
            if vector.astype("<f2").tobytes() != vector_of(self.world.numbers[image.content]):
                raise BrokenError(f"image {image.image_id} of {image.path} has another's vector")

    def kill(self, command: str, at: int) -> bool:
        """`kill -9` at a step of a command, and nobody runs it again for now."""
        if not self.is_there or self.process is None:
            return False
        killer = Killer(self.process, self.folder, self.world.base)
        killer.run(command, step=at)
        disk = self.world.pictures()
        if command == "again":
            spoiled = self.world.spoiled()
            self.model.settle(disk, self.images(), ROOTS, spoiled=spoiled, whole=False)
        if not check(self.folder).sound:
            raise BrokenError("the library is damaged after a kill")
        return True

    def relabel(self, source: str, target: str) -> bool:
        """A folder is moved, and the library is told so: `relook move`."""
        if not self._is_known(source) or not self.move(source, target):
            return False
        try:
            self.library.move(self.world.at(source), self.world.at(target))
        except NotFoundError:
            if self.model.are_at(self.world.pictures(), source, target):
                raise
        self.model.relabel(self.world.pictures(), self.images(), source, target)
        return True

    def kill_relabel(self, source: str, target: str, at: int) -> bool:
        """`relook move` is killed: all images have the new place, or none has."""
        if self.process is None or not self._is_known(source) or not self.move(source, target):
            return False
        if self.model.are_at(self.world.pictures(), source, target):
            (self.base / "move").write_text(f"{self.world.at(source)}\n{self.world.at(target)}")
            Killer(self.process, self.folder, self.world.base).run("relabel", step=at)
        images = self.images()
        same = all(
            images[i].place == image.place for i, image in self.model.images.items() if i in images
        )
        if not same:
            self.model.relabel(self.world.pictures(), images, source, target)
        return True

    def _is_known(self, folder: str) -> bool:
        """Whether the library has images below a folder."""
        below = folder + "/"
        images = self.model.images.values()
        return self.is_there and any(i.place.startswith(below) for i in images if i.state != "gone")

    def compact(self) -> bool:
        """Rewrites the vectors."""
        if not self.is_there:
            return False
        compact_library(self.library)
        self._check_library()
        return True

    def damage(self, place: str) -> bool:
        """The disk loses a vector, and the library is mended."""
        image_id = self.model.here().get(place)
        if image_id is None:
            return False
        files = self.library.files
        [image] = files.catalog.images([image_id])
        path = vectors_path(self.folder, files.catalog.vectors_file())
        with open(path, "r+b") as file:
            file.seek(image.first_row * files.vectors.dim * 2)
            file.write(b"\xff" * files.vectors.dim * 2)
        repair(self.folder)
        files.refresh()
        if image_id in self.images():
            raise BrokenError(f"image {image_id} keeps a damaged vector")
        self.model.take_out(self.images())
        return True

    def reopen(self) -> bool:
        """The process ends, and another begins."""
        self.close()
        self.library, self.reader = self._opened(), None
        return True

    def forget(self, place: str) -> bool:
        """Takes a file or folder out of the library; the files stay."""
        if not self.is_there or not self.model.below(place):
            return False
        self.library.forget(self.world.at(place))
        self.model.forget(place, self.images())
        return True

    def remove_all(self) -> None:
        """Removes every file, also from folders that could not be read."""
        for folder, names, _ in os.walk(self.base):
            for name in names:
                if not os.path.islink(os.path.join(folder, name)):
                    os.chmod(os.path.join(folder, name), 0o755)
        shutil.rmtree(self.base)
