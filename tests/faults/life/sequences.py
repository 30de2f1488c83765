"""Drawing sequences of steps, running them, and finding the shortest that still fails."""

import contextlib
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .steps import Life, Step
from .world import INSIDE

N_STEPS = 25
STATES = ("here", "away", "gone")
END = (Step("index"), Step("index"))
FOLDERS = ("a/trip", "a/usb", "b/old", "b/usb")
LEFT = ("nothing", "empty", "stray", "dangling")
ALBUMS = ("Trip", "2019/07")
COLOURS = ("red", "green", "blue", "white")
BOXES = ((0.0, 0.0, 0.5, 0.5), (0.25, 0.25, 1.0, 1.0))
WEIGHTS = {
    "index": 9, "mark": 5, "unplug": 5, "plug": 5, "rename": 3, "move_file": 3, "kill": 3,
    "edit": 2, "copy": 2, "delete": 3, "put_back": 3, "new": 2, "swap": 1, "move_over": 1,
    "pack": 2, "unpack": 2, "words": 2, "index_one": 1, "begin": 2, "again": 2, "caption": 3,
    "compact": 1, "forget": 1, "reopen": 1, "drop": 1, "export": 1, "import": 1, "lock": 1,
    "unlock": 1, "delete_archive": 1, "relabel": 2, "kill_relabel": 1, "mark_wrongly": 2,
    "rewrite_archive": 3, "spoil": 2, "unspoil": 3, "damage": 1,
    "put": 4, "take_out": 1, "delete_album": 1, "restore_album": 1,
}  # fmt: skip


@dataclass(frozen=True)
class Failure:
    """A sequence that ends with something that must not be."""

    steps: tuple[Step, ...]
    error: Exception


class Drawer:
    """Draws steps that can be done where a life stands.

    Args:
        rng: Where chance comes from.
        life: Looked at, not changed.
    """

    def __init__(self, rng: random.Random, life: Life) -> None:
        self._rng, self._life = rng, life
        self._n_pictures = self._n_names = 0

    def first(self) -> list[Step]:
        """Folders with pictures, a library, and a session with marks."""
        places = []
        for folder in FOLDERS:
            n = self._rng.randint(2, 3)
            places += [f"{folder}/{self._name('p')}.png" for _ in range(n)]
        places.append(f"a/{self._name('p')}.png")
        steps = [Step("add_picture", (place, self._picture())) for place in places]
        steps += [Step("index"), Step("begin", ("s1", "red"))]
        for place in self._rng.sample(places, 4):
            steps.append(Step("mark", ("s1", place, *self._judgement())))
        return steps

    def next(self) -> Step | None:
        """One more step; None when this one cannot be done now."""
        kind = self._rng.choices(list(WEIGHTS), list(WEIGHTS.values()))[0]
        try:
            return getattr(self, f"_{kind}")()  # type: ignore[no-any-return]
        except IndexError:  # there is nothing to choose from
            return None

    def _name(self, stem: str) -> str:
        self._n_names += 1
        return f"{stem}{self._n_names}"

    def _picture(self) -> int:
        self._n_pictures += 1
        return self._n_pictures

    def _judgement(self) -> tuple[bool, tuple[float, ...] | None, str]:
        box = self._rng.choice((None, *BOXES))
        return self._rng.random() < 0.7, box, self._name("caption ") if box else ""

    def _file(self) -> str:
        return self._rng.choice(self._life.world.files())

    def _folder(self) -> str:
        return self._rng.choice(self._life.world.folders())

    def _new_folder(self) -> str:
        above = [*("a", "b"), *self._life.world.folders()]
        return f"{self._rng.choice(above)}/{self._name('folder')}"

    def _new_file(self) -> str:
        return f"{self._folder()}/{self._name('p')}.png"

    def _session(self) -> str:
        return self._rng.choice(list(self._life.model.sessions))

    def _place(self) -> str:
        return self._rng.choice(list(self._life.model.here()))

    def _put(self) -> Step:
        return Step("put", (self._rng.choice(ALBUMS), self._place()))

    def _take_out(self) -> Step:
        return Step("take_out", (self._rng.choice(list(self._life.model.albums)), self._place()))

    def _delete_album(self) -> Step:
        return Step("delete_album", (self._rng.choice(list(self._life.model.albums)),))

    def _restore_album(self) -> Step:
        return Step("restore_album", (self._rng.choice(list(self._life.model.deleted_albums)),))

    def _index(self) -> Step:
        return Step("index")

    def _index_one(self) -> Step:
        return Step("index", (self._rng.choice("ab"),))

    def _words(self) -> Step:
        places = self._life.world.files()
        chosen = self._rng.sample(places, min(2, len(places)))
        rows = tuple((p, self._name("title "), self._name("about ")) for p in chosen)
        return Step("index_with_words", (rows,))

    def _kill(self) -> Step:
        command = self._rng.choice(("again", "again", "squeeze"))
        return Step("kill", (command, self._rng.randint(1, 40)))

    def _compact(self) -> Step:
        return Step("compact")

    def _reopen(self) -> Step:
        return Step("reopen")

    def _forget(self) -> Step:
        return Step("forget", (self._rng.choice([self._place(), self._folder()]),))

    def _mark(self) -> Step:
        return Step("mark", (self._session(), self._place(), *self._judgement()))

    def _mark_wrongly(self) -> Step:
        """On an image that has a mark, where a mark can be lost."""
        name = self._session()
        mark = self._rng.choice(list(self._life.model.sessions[name].marks.values())[-4:])
        place = {i: place for place, i in self._life.model.here().items()}.get(mark.image_id)
        return Step("mark_wrongly", (name, place or self._place(), not mark.relevant, mark.box))

    def _caption(self) -> Step:
        words = self._name("words ")
        return Step("edit_caption", (self._session(), self._rng.randrange(4), words))

    def _begin(self) -> Step:
        return Step("begin", (self._name("s"), self._rng.choice(COLOURS)))

    def _again(self) -> Step:
        return Step("again", (self._session(),))

    def _drop(self) -> Step:
        return Step("drop", (self._session(),))

    def _export(self) -> Step:
        return Step("export", (self._session(), f"{self._name('session')}.json"))

    def _import(self) -> Step:
        file = self._rng.choice(list(self._life.exported))
        return Step("import_session", (file, self._name("s")))

    def _new(self) -> Step:
        return Step("add_picture", (self._new_file(), self._picture()))

    def _edit(self) -> Step:
        return Step("edit", (self._file(), self._picture()))

    def _spoil(self) -> Step:
        """Half of the time a marked picture."""
        return Step("spoil", self._delete().values)

    def _unspoil(self) -> Step:
        """A file is whole again: as it was, or another picture."""
        place = self._rng.choice(self._life.world.spoiled())
        images = self._life.model.images.values()
        before = [o.picture for o in images if o.place == place and o.state != "gone"]
        return Step("edit", (place, self._rng.choice([*before, self._picture()])))

    def _damage(self) -> Step:
        return Step("damage", (self._place(),))

    def _copy(self) -> Step:
        return Step("copy", (self._file(), self._new_file()))

    def _move_file(self) -> Step:
        return Step("move", (self._file(), self._new_file()))

    def _move_over(self) -> Step:
        return Step("move_over", (self._file(), self._file()))

    def _rename(self) -> Step:
        return Step("move", (self._folder(), self._new_folder()))

    def _relabel(self) -> Step:
        return Step("relabel", (self._folder(), self._new_folder()))

    def _kill_relabel(self) -> Step:
        values = (self._folder(), self._new_folder(), self._rng.randint(1, 12))
        return Step("kill_relabel", values)

    def _delete(self) -> Step:
        """Half of the time a marked picture: the others nobody misses."""
        files, here = self._life.world.files(), self._life.model.here()
        marked = [place for place in files if here.get(place) in self._life.model.referred()]
        return Step("delete", (self._rng.choice(self._rng.choice((files, marked or files))),))

    def _delete_archive(self) -> Step:
        return Step("delete", (self._rng.choice(self._life.world.archives()),))

    def _put_back(self) -> Step:
        """A picture that is nowhere comes back, where it was or elsewhere."""
        there = set(self._life.world.pictures().values())
        images = self._life.model.images.values()
        lost = [o for o in images if o.picture not in there and INSIDE not in o.place]
        gone = [image for image in lost if image.state == "gone"]
        image = self._rng.choice(gone or lost)
        place = self._rng.choice((image.place, self._new_file()))
        return Step("add_picture", (place, image.picture))

    def _swap(self) -> Step:
        return Step("swap", (self._folder(), self._folder()))

    def _unplug(self) -> Step:
        folder = self._rng.choice([*self._life.world.folders(), "a"])
        leave = self._rng.choice(LEFT)
        return Step("unplug", (folder, leave, *([self._picture()] if leave == "stray" else [])))

    def _plug(self) -> Step:
        folder = self._rng.choice(list(self._life.world.unplugged))
        at = folder if self._rng.random() < 0.7 else self._new_folder()
        return Step("plug", (folder, at))

    def _lock(self) -> Step:
        return Step("lock", (self._folder(),))

    def _unlock(self) -> Step:
        return Step("unlock", (self._rng.choice(self._life.world.locked()),))

    def _pack(self) -> Step:
        above = self._rng.choice(["a", "b", *self._life.world.folders()])
        keep = self._rng.random() < 0.3
        return Step("pack", (self._folder(), f"{above}/{self._name('z')}.zip", keep))

    def _unpack(self) -> Step:
        archive = self._rng.choice(self._life.world.archives())
        return Step("unpack", (archive, self._new_folder()))

    def _rewrite_archive(self) -> Step:
        """An archive is written anew with one picture more, less, changed or renamed."""
        archive = self._rng.choice(self._life.world.archives())
        name = self._rng.choice(list(self._life.world.members(archive)))
        new = f"{self._name('p')}.png"
        steps = (
            Step("put_member", (archive, new, self._picture())),
            Step("put_member", (archive, name, self._picture())),
            Step("remove_member", (archive, name)),
            Step("move_member", (archive, name, new)),
        )
        return self._rng.choice(steps)


@contextlib.contextmanager
def lived(base: Path, process: Any) -> Iterator[Life]:
    """A life with empty folders, which are removed at its end."""
    life = Life(base, process)
    for folder in FOLDERS:
        life.world.at(folder).mkdir()
    try:
        yield life
    finally:
        life.close()
        life.remove_all()


def draw_and_run(seed: int, base: Path, process: Any = None) -> Failure | None:
    """Draws a sequence while it runs.

    Args:
        seed: Says which one.
        base: A folder to be made, and removed.
        process: Where commands are killed.

    Returns:
        What failed, with the steps up to there.
    """
    done: list[Step] = []

    def do(step: Step) -> None:
        done.append(step)
        if not life.do(step):
            done.pop()

    with lived(base, process) as life:
        drawer = Drawer(random.Random(seed), life)
        try:
            for step in drawer.first():
                do(step)
            n_first = len(done)
            while len(done) < n_first + N_STEPS:
                if (drawn := drawer.next()) is not None:
                    do(drawn)
            for step in END:
                do(step)
        except Exception as error:  # whatever it is, it ends the sequence, and is shown
            return Failure(tuple(done), error)
    return None


def run(steps: Sequence[Step], base: Path, process: Any = None) -> Failure | None:
    """Runs steps that were drawn before; those that cannot be done are left out."""
    done: list[Step] = []
    with lived(base, process) as life:
        for step in steps:
            done.append(step)
            try:
                if not life.do(step):
                    done.pop()
            except Exception as error:  # as above
                return Failure(tuple(done), error)
    return None


def shorten(failure: Failure, base: Path, process: Any = None, most: int = 150) -> Failure:
    """A sequence as short as can be found that fails in the same way.

    Args:
        failure: A sequence that fails.
        base: A folder to be made, and removed.
        process: Where commands are killed.
        most: How many sequences are tried.
    """
    size, n_tried = len(failure.steps) // 2, 0
    while size and n_tried < most:
        at, before = 0, len(failure.steps)
        while at < len(failure.steps) and n_tried < most:
            n_tried += 1
            fewer = failure.steps[:at] + failure.steps[at + size :]
            shorter = run(fewer, base, process)
            if shorter is not None and _kind(shorter.error) == _kind(failure.error):
                failure = shorter
            else:
                at += size
        if size == 1 and len(failure.steps) == before:
            break
        size = max(size // 2, 1)
    return failure


def _kind(error: Exception) -> tuple[type, str]:
    """What went wrong, without what it happened to."""
    words = [
        word for word in str(error).splitlines()[0].split() if word.isalpha() and word not in STATES
    ]
    return type(error), " ".join(words)


def script(failure: Failure) -> str:
    """The steps to read, and to run again with `run`."""
    lines = [f"    {step}" for step in failure.steps]
    return "\n".join([*lines, f"{type(failure.error).__name__}: {failure.error}"])
