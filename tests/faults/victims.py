"""Commands that the kill suite runs in a process of their own, and kills. Tests run it.

    python -m faults.victims

For each line `NAME LIBRARY PICTURES WORK` on its standard input it runs a victim in a forked
process that has everything imported: prints its number, and its exit code when it has ended.
A victim says what it was promised by a line in WORK/acks, after the promise was given.
"""

import hashlib
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import relook
from relook.app import exchange, texts, upkeep
from relook.core.errors import LibraryBusyError
from relook.core.settings import IndexSettings
from relook.core.types import Box, WrittenWord
from relook.core.vectors import Floats
from relook.encoders.base import Fingerprint
from relook.library import build, check, repair  # noqa: F401  (imported before a fork)
from relook.library import upgrade as upgrade_module
from relook.library.catalog import Catalog
from relook.library.lock import WriterLock
from relook.library.report import IndexReport
from relook.library.vector_file import VectorFile
from relook.readers.base import TextLine
from relook.testing import ColourEncoder


def main() -> None:
    relook.Library  # noqa: B018  (imported before a fork)
    say("ready")
    for line in sys.stdin:
        name, *folders = line.split()
        number = os.fork()
        if number == 0:
            step = Path(folders[-1]) / "step"
            if step.exists():
                die_at(int(step.read_text()))
            VICTIMS[name](*map(Path, folders))
            os._exit(0)
        say(str(number))
        say(str(os.waitstatus_to_exitcode(os.waitpid(number, 0)[1])))


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def die_at(step: int) -> None:
    """Makes this process end with SIGKILL at the n-th step that changes a file."""
    n_steps = 0

    def before_and_after(owner: Any, name: str) -> None:
        real = getattr(owner, name)

        def stepping(*given: Any, **named: Any) -> Any:
            count()
            done = real(*given, **named)
            count()
            return done

        setattr(owner, name, stepping)

    def count() -> None:
        nonlocal n_steps
        n_steps += 1
        if n_steps == step:
            os.kill(os.getpid(), signal.SIGKILL)

    @contextmanager
    def transaction(catalog: Catalog) -> Iterator[Any]:
        count()
        with real_transaction(catalog) as db:
            yield db
            count()
        count()

    real_transaction = Catalog.transaction
    Catalog.transaction = transaction
    before_and_after(VectorFile, "append")
    for name in ("fsync", "ftruncate", "link", "pwrite", "replace", "truncate", "unlink"):
        before_and_after(os, name)


def acknowledge(work: Path, *words: object) -> None:
    """Notes a promise; a kill of this process does not take it back."""
    with open(work / "acks", "ab", buffering=0) as file:
        file.write(" ".join(map(str, words)).encode() + b"\n")


def opened(library: Path) -> relook.Library:
    return relook.Library(library, encoder=ColourEncoder())


def index(library: Path, pictures: Path, work: Path) -> None:
    """A few pictures at a time, so that a kill meets it in every state."""
    settings = IndexSettings(batch=4, commit_every=8, workers=2)
    with opened(library) as one:
        while True:  # a test may be writing just now, too
            try:
                one.add(pictures, settings=settings)
                break
            except LibraryBusyError:
                continue
    acknowledge(work, "indexed")


def refine(library: Path, pictures: Path, work: Path) -> None:
    """A session of six rounds with judgements; one is taken back, and one session deleted."""
    with opened(library) as one:
        session = one.look("red", limit=4)
        acknowledge(work, "round", session.session_id, 0)
        for _ in range(6):
            shown = list(session.page)
            for hit, relevant in zip(shown[:2], (True, False), strict=False):
                judged = session.judge(hit.image_id, relevant=relevant)
                acknowledge(work, "judged", session.session_id, judged.judgement_id)
            session.again("rocchio")
            acknowledge(work, "round", session.session_id, session.round.number)
        gone = one.look("blue", limit=2)
        gone.delete()
        acknowledge(work, "deleted", gone.session_id)


def export(library: Path, pictures: Path, work: Path) -> None:
    """Every kind of export, into a folder of its own."""
    with opened(library) as one:
        for kind in ("faiss", "npy", "webdataset"):
            exchange.export(one, kind, work / kind)
            acknowledge(work, "exported", kind)


def forget(library: Path, pictures: Path, work: Path) -> None:
    """Takes pictures out one by one; the next run of indexing brings them back."""
    with opened(library) as one:
        for path in sorted(pictures.iterdir())[:20]:
            if any(image.path == path for image in one.files.catalog.each_image()):
                one.forget(path)


def compact(library: Path, pictures: Path, work: Path) -> None:
    """Takes a few pictures out, and frees their rows, a few times."""
    with opened(library) as one:
        for path in sorted(pictures.iterdir())[:6]:
            if any(image.path == path for image in one.files.catalog.each_image()):
                one.forget(path)
                upkeep.compact_library(one)
    acknowledge(work, "compacted")


def again(library: Path, pictures: Path, work: Path) -> None:
    """Indexes everything that was added before, a few pictures at a time."""
    with opened(library) as one:
        one.add(settings=IndexSettings(batch=2, commit_every=4, workers=1))


class Other(ColourEncoder):
    """Vectors of another length, for an upgrade."""

    dim = 24

    @property
    def fingerprint(self) -> Fingerprint:
        return replace(super().fingerprint, name="other", dim=self.dim)

    def encode_prepared(self, prepared: Sequence[Any]) -> list[Floats]:
        encoded = ColourEncoder().encode_prepared(prepared)
        return [np.pad(rows, ((0, 0), (8, 0))) for rows in encoded]


def upgrade(library: Path, pictures: Path, work: Path) -> None:
    """Makes all vectors again, a few pictures at a time."""
    with relook.Library(library) as one:
        upgrade_module._COMMIT_EVERY = 3
        one.upgrade(Other())
    acknowledge(work, "upgraded")


def squeeze(library: Path, pictures: Path, work: Path) -> None:
    """Frees the rows that no image names."""
    with opened(library) as one:
        upkeep.compact_library(one)


def relabel(library: Path, pictures: Path, work: Path) -> None:
    """Says that a folder is another now; a file beside the library names both."""
    old, new = (library.parent / "move").read_text().split("\n")
    with opened(library) as one:
        one.move(old, new)


class Reader:
    """In every picture stands one word, the digest of its pixels. Says what it reads."""

    name = "victim 1"

    def __init__(self, work: Path) -> None:
        self.work = work

    def read(self, image: Image.Image) -> list[TextLine]:
        acknowledge(self.work, "read", word_of(image))
        return [TextLine((WrittenWord(word_of(image), Box(0, 0, 1, 1)),))]

    def close(self) -> None:
        pass


def word_of(image: Image.Image) -> str:
    """The word that `Reader` sees in a picture."""
    return hashlib.sha256(image.tobytes()).hexdigest()


def words(library: Path, pictures: Path, work: Path) -> None:
    """Reads the words in all pictures, and keeps them two at a time."""
    texts._KEEP_N, texts._KEEP_S = 2, 600.0
    with opened(library) as one:
        reader, tell = Reader(work), lambda _: None
        with WriterLock(library):
            texts.read_texts(one.files, reader, one.limits, 1, IndexReport(), tell)
    acknowledge(work, "words")


def mend(library: Path, pictures: Path, work: Path) -> None:
    """A repair; see the test that damages a library first."""
    repair.repair(library)
    acknowledge(work, "mended")


# A new command to be killed is one line here; its name goes into the list of a test.
VICTIMS: dict[str, Callable[[Path, Path, Path], None]] = {
    "index": index,
    "refine": refine,
    "export": export,
    "forget": forget,
    "compact": compact,
    "mend": mend,
    "again": again,
    "squeeze": squeeze,
    "upgrade": upgrade,
    "relabel": relabel,
    "words": words,
}

if __name__ == "__main__":
    main()
