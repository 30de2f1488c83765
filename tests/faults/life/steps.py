"""What people do with pictures and with a library, a step at a time.

A step is a name and plain values, so a sequence of steps reads as a script, and any part of
it can be run again: a step that cannot be done where it stands is left out.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

import relook
from relook.app.upkeep import compact_library
from relook.core.errors import NotFoundError, RelookError
from relook.core.images import decode
from relook.core.picture_paths import original_path
from relook.encoders.base import encode_images
from relook.library.check import check
from relook.library.session_table import SessionTable
from relook.search.session import Session
from relook.search.transfer import export_session
from relook.testing import ColourEncoder

from ..parts import Killer
from .model import Broken, Image, Mark, Model, Round, SessionModel, Words
from .world import ROOTS, World, picture_bytes

__all__ = ["Life", "Step"]

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
class Life:
    """A library, its folders, and the model of both.

    Args:
        base: An empty folder.
        process: Where commands run that are to be killed; they are run to their end when None.
    """

    base: Path
    process: Any = None
    model: Model = field(default_factory=Model)

    def __post_init__(self) -> None:
        self.world = World(self.base / "pictures")
        self.folder = self.base / "library"
        self.library, self.reader = self._opened(), None
        self._shown: dict[str, dict[int, int]] = {}  # file -> image id -> picture
        self._is_quiet = False  # whether nothing has happened since everything was indexed
        self.exported: dict[str, SessionModel] = {}

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
            Broken: when something is not as it must be.
        """
        action: Callable[..., bool] = getattr(self, step.name)
        if step.name not in INDEXING:
            self._is_quiet = False
        if action(*step.values) is False:
            return False
        if self.is_there:
            self.model.check_images(self.images())
            self.model.check_sessions(self.sessions())
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
        return {row.session_id: self._session(row.session_id) for row in self.library.sessions()}

    def _session(self, session_id: str) -> SessionModel:
        table = SessionTable(self.library.files.catalog)
        rounds = [
            Round(row.number, row.parent, tuple(hit[0] for hit in row.hits))
            for row in table.rounds(session_id)
        ]
        marks = {}
        for row in table.judgements(session_id):
            box = None if row.box is None else tuple(row.box.as_list())
            marks[row.judgement_id] = Mark(
                row.judgement_id, row.image_id, row.relevant, box, row.caption, row.round,
                row.led_to,
            )  # fmt: skip
        return SessionModel(session_id, table.get(session_id).current_round, rounds, marks)

    # Pictures and folders.

    def add_picture(self, place: str, picture: int) -> bool:
        """A picture comes from a camera, or back from the bin."""
        if not self.world.at(place).parent.is_dir() or self.world.has(place):
            return False
        self.world.write(place, picture)
        return True

    def edit(self, place: str, picture: int) -> bool:
        """A picture becomes another, as a program that saves it does."""
        if not self.world.at(place).is_file():
            return False
        self.world.write(place, picture)
        return True

    def copy(self, source: str, target: str) -> bool:
        """A second file with the same picture."""
        if not self.world.at(source).is_file() or not self.world.is_free(target):
            return False
        self.world.copy(source, target)
        return True

    def move(self, source: str, target: str) -> bool:
        """A file or folder is renamed, or moved to another folder or disk."""
        inside = target.startswith(source + "/")
        if inside or not self.world.has(source) or not self.world.is_free(target):
            return False
        self.world.move(source, target)
        return True

    def move_over(self, source: str, target: str) -> bool:
        """A file takes the place of another."""
        if not self.world.at(source).is_file() or not self.world.at(target).is_file():
            return False
        self.world.move(source, target)
        return source != target

    def delete(self, place: str) -> bool:
        """A file is deleted: a picture, or an archive."""
        if not self.world.at(place).is_file():
            return False
        self.world.at(place).unlink()
        return True

    def swap(self, first: str, second: str) -> bool:
        """Two folders take each other's place, as two disks that mount in another order."""
        nested = first.startswith(second + "/") or second.startswith(first + "/")
        folders = self.world.folders()
        if nested or first == second or first not in folders or second not in folders:
            return False
        self.world.swap(first, second)
        return True

    def unplug(self, folder: str, leave: str, picture: int = 0) -> bool:
        """A disk goes; see `World.unplug` for what it leaves."""
        possible = folder in (*self.world.folders(), *ROOTS) and folder not in self.world.unplugged
        if not possible or not self.world.at(folder).is_dir():
            return False
        self.world.unplug(folder, leave, picture)
        return True

    def plug(self, folder: str, at: str) -> bool:
        """A disk comes back, at its place or at another."""
        if folder not in self.world.unplugged or not self.world.may_plug(folder, at):
            return False
        self.world.plug(folder, at)
        return True

    def lock(self, folder: str) -> bool:
        """A folder cannot be read any more; for root everything can."""
        if os.geteuid() == 0 or folder not in self.world.folders():
            return False
        self.world.at(folder).chmod(0)
        return True

    def unlock(self, folder: str) -> bool:
        """It can be read again."""
        if folder not in self.world.locked():
            return False
        self.world.at(folder).chmod(0o755)
        return True

    def pack(self, folder: str, archive: str, keep: bool) -> bool:
        """Pictures go into an archive."""
        if not any(self.world.at(folder).glob("*.png")) or not self.world.is_free(archive):
            return False
        self.world.pack(folder, archive, keep=keep)
        return True

    def unpack(self, archive: str, folder: str) -> bool:
        """Pictures come out of an archive."""
        if not self.world.at(archive).is_file() or not self.world.is_free(folder):
            return False
        self.world.unpack(archive, folder)
        return True

    # Indexing and upkeep.

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
        self.model.settle(self.world.pictures(), images, roots or ROOTS, said=said)
        self._check_library()
        if self._is_quiet and not said and self.model.images != before:
            now = self.model.images
            changed = sorted(i for i in {*before, *now} if before.get(i) != now.get(i))
            lines = [f"\n    {i}: {before.get(i)} -> {now.get(i)}" for i in changed]
            raise Broken(f"a second run changed images{''.join(lines)}")
        self._is_quiet = not roots

    def _check_library(self) -> None:
        """Nothing is damaged, and a search shows the pictures that are there, to everybody."""
        report = check(self.folder)
        if not report.sound:
            raise Broken(f"the library is damaged: {[f.message for f in report.findings]}")
        self._check_vectors()
        if not self.model.is_settled:
            return
        away = {i for i, image in self.model.images.items() if image.state == "away"}
        if self.library.info()["n_away"] != len(away):
            raise Broken(f"{self.library.info()['n_away']} images are away, and not {sorted(away)}")
        here = set(self.model.here())
        if self.reader is None:
            self.reader = self._opened()
        for library in (self.library, self.reader):
            page = library.search("red", limit=1000, fold=False)
            shown = {self.world.place(os.fsencode(hit.path)) for hit in page}
            if shown != here:
                raise Broken(f"a search shows {sorted(shown)}, and not {sorted(here)}")

    def _check_vectors(self) -> None:
        """Each image has the vector of its own picture."""
        files = self.library.files
        for image in files.catalog.each_image():
            vector = files.vectors.block(image.first_row, image.first_row + 1)
            if vector.astype("<f2").tobytes() != vector_of(self.world.numbers[image.content]):
                raise Broken(f"image {image.image_id} of {image.path} has another's vector")

    def kill(self, command: str, at: int) -> bool:
        """`kill -9` at a step of a command, and nobody runs it again for now."""
        if not self.is_there or self.process is None:
            return False
        killer = Killer(self.process, self.folder, self.world.base)
        killer.run(command, step=at)
        disk = self.world.pictures()
        if command == "again":
            self.model.settle(disk, self.images(), ROOTS, whole=False)
        if not check(self.folder).sound:
            raise Broken("the library is damaged after a kill")
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
        same = all(images[i].place == image.place for i, image in self.model.images.items() if i in images)
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

    # Looking again.

    def begin(self, name: str, words: str) -> bool:
        """Begins a session."""
        if name in self.model.sessions or not self.model.here():
            return False
        session = self.library.look(words, limit=4, captions=False)
        made = self._session(session.session_id)
        self._check_page(made.rounds[0].hits)
        self.model.sessions[name] = made
        return True

    def _check_page(self, hits: tuple[int, ...]) -> None:
        away = set(hits) - set(self.model.here().values())
        if away and self.model.is_settled:
            raise Broken(f"a page shows images {sorted(away)}, which are not there")

    def mark(
        self, name: str, place: str, relevant: bool, box: tuple[float, ...] | None, caption: str
    ) -> bool:
        """Marks an image, or a box on it with a caption."""
        image_id = self.model.here().get(place)
        session = self.model.sessions.get(name)
        if image_id is None or session is None:
            return False
        if self.world.pictures().get(place) != self.model.images[image_id].picture:
            return False
        words = caption if box else None
        judged = self._open(session).judge(image_id, relevant, box=box, caption=words)
        waits = (image_id, box, session.current, None)
        same = [m for m in session.marks.values() if (m.image_id, m.box, m.round, m.led_to) == waits]
        if same and same[0].judgement_id != judged.judgement_id:
            raise Broken(f"{place} is marked twice on a page")
        session.marks[judged.judgement_id] = Mark(
            judged.judgement_id, image_id, relevant, box, words, session.current
        )
        return True

    def _open(self, session: SessionModel) -> Session:
        return self.library.session(session.session_id, captions=False)

    def edit_caption(self, name: str, at: int, words: str) -> bool:
        """Changes the words of a mark."""
        session = self.model.sessions.get(name)
        if session is None or len(session.marks) <= at:
            return False
        mark = sorted(session.marks.values(), key=lambda m: m.judgement_id)[at]
        self._open(session).edit_caption(mark.judgement_id, words)
        session.marks[mark.judgement_id] = replace(mark, caption=words)
        return True

    def again(self, name: str) -> bool:
        """Looks again with what was marked."""
        session = self.model.sessions.get(name)
        if session is None or not self.model.here():
            return False
        self._open(session).again("rocchio")
        number = max(page.number for page in session.rounds) + 1
        for mark in session.marks.values():
            if mark.round == session.current and mark.led_to is None:
                session.marks[mark.judgement_id] = replace(mark, led_to=number)
        page = self._session(session.session_id).rounds[-1]
        self._check_page(page.hits)
        session.rounds.append(Round(number, session.current, page.hits))
        session.current = number
        return True

    def drop(self, name: str) -> bool:
        """Removes a session."""
        session = self.model.sessions.pop(name, None)
        if session is None:
            return False
        self._open(session).delete()
        return True

    def export(self, name: str, file: str) -> bool:
        """Writes a session to a file."""
        import json

        session = self.model.sessions.get(name)
        if session is None:
            return False
        values = export_session(self._open(session))
        (self.base / file).write_text(json.dumps(values))
        images = {i: o for i, o in self.model.images.items() if o.state != "gone"}
        kept = {mark.image_id for mark in session.marks.values()} & images.keys()
        if lost := kept - set(map(int, values["images"])):
            raise Broken(f"an exported session lacks images {sorted(lost)}")
        self.exported[file] = replace(session, marks=dict(session.marks))
        self._shown[file] = {i: images[i].picture for i in kept}
        return True

    def import_session(self, file: str, name: str) -> bool:
        """Reads a session from a file: its marks are on images that show what they did."""
        if file not in self.exported or name in self.model.sessions:
            return False
        try:
            session, _ = self.library.import_session(self.base / file)
        except RelookError:  # none of its pictures, or a box on one that cannot be read now
            return True
        made = self._session(session.session_id)
        pictures = {image.picture for image in self.model.images.values() if image.state != "gone"}
        expected = sorted(
            (self._shown[file][mark.image_id], mark.relevant, mark.box or (), mark.caption or "")
            for mark in self.exported[file].marks.values()
            if self._shown[file].get(mark.image_id) in pictures
        )
        marks = sorted(
            (self._picture(mark.image_id), mark.relevant, mark.box or (), mark.caption or "")
            for mark in made.marks.values()
        )
        if [m for m in expected if m not in marks]:
            raise Broken(f"an imported session has marks {marks}, and not {expected}")
        self.model.sessions[name] = made
        return True

    def _picture(self, image_id: int) -> int:
        image = self.model.images.get(image_id)
        return 0 if image is None else image.picture

    def remove_all(self) -> None:
        """Removes every file, also from folders that could not be read."""
        for folder, names, _ in os.walk(self.base):
            for name in names:
                if not os.path.islink(os.path.join(folder, name)):
                    os.chmod(os.path.join(folder, name), 0o755)
        shutil.rmtree(self.base)
