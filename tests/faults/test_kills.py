"""kill -9 at random moments of every command that writes: nothing promised is lost.

`make faults` kills 200 times, `make test` a few times ($RELOOK_KILLS says how often).
"""

import os
import random
import shutil
import sys
import time
from collections import Counter
from pathlib import Path

import faiss
import numpy as np
import pytest
from PIL import Image

import relook
from relook.core.images import content_hash
from relook.library.check import check
from relook.library.files import LibraryFiles
from relook.library.repair import repair
from relook.library.session_table import SessionTable
from relook.library.text_table import TextTable
from relook.testing import ColourEncoder, noise

from .parts import Killer, assert_sound, killer, make_album, stored, told, whole_vectors
from .victims import word_of

N_PICTURES, N_KILLS = 100, int(os.environ.get("RELOOK_KILLS", "12"))
SEED = int(os.environ.get("RELOOK_SEED", "5"))
COMMANDS = ("index", "refine", "export", "forget", "compact")


class Ledger:
    """What a library must never lose, whatever is killed."""

    def __init__(self, one: Killer, rng: random.Random) -> None:
        self.one, self.rng = one, rng
        self.vectors = whole_vectors(one.pictures)
        self.rounds: dict[str, int] = {}
        self.judged: set[tuple[str, int]] = set()
        self.next_seed = N_PICTURES

    def change_pictures(self) -> None:
        """A new picture, one that is another now, and one that is gone: work for the indexer."""
        pictures = sorted(self.one.pictures.iterdir())
        for path in (self.one.pictures / f"new-{self.next_seed}.png", self.rng.choice(pictures)):
            noise(self.next_seed).save(path, compress_level=1)
            self.next_seed += 1
        self.rng.choice(pictures).unlink(missing_ok=True)
        self.vectors |= whole_vectors(self.one.pictures)

    def settle(self, command: str, before: dict[bytes, tuple[bytes, bytes]]) -> None:
        """Looks at the library after a kill."""
        library = self.one.library
        if not (library / "manifest.json").exists():
            assert not before, "a library is gone"
            return
        notes = {note.code for note in assert_sound(library).notes}
        assert notes <= {"orphan_tail", "leftover"}
        after = stored(library)
        for content, vector in after.values():
            assert vector == self.vectors[content], "an image has another picture's vector"
        if command in ("refine", "export"):
            assert after == before
        if command == "index":  # what was there stays, unless its file changed or went
            for path, image in before.items():
                file = Path(os.fsdecode(path))
                if file.exists() and content_hash(file.read_bytes()) == image[0]:
                    assert after[path] == image
        self._settle_sessions()
        self._settle_exports(after)

    def _settle_sessions(self) -> None:
        for kind, *words in self.one.acks():
            if kind == "round":
                self.rounds[words[0]] = int(words[1])
            if kind == "judged":
                self.judged.add((words[0], int(words[1])))
        with LibraryFiles.open(self.one.library) as files:
            table = SessionTable(files.catalog)
            for session_id, number in self.rounds.items():
                assert [row.number for row in table.rounds(session_id)][: number + 1] == list(
                    range(number + 1)
                )
            kept = {
                (session_id, one.judgement_id)
                for session_id in self.rounds
                for one in table.judgements(session_id)
            }
            assert self.judged <= kept
            deleted = {words[1] for words in self.one.acks() if words[0] == "deleted"}
            assert deleted.isdisjoint({row.session_id for row in table.all()})

    def _settle_exports(self, images: dict[bytes, tuple[bytes, bytes]]) -> None:
        """A file that has its name is whole."""
        done = {words[1] for words in self.one.acks() if words[0] == "exported"}
        flat, vectors = self.one.work / "faiss" / "image_index.faiss", self.one.work / "npy"
        assert flat.exists() or "faiss" not in done
        if flat.exists():
            assert faiss.read_index(str(flat)).ntotal == len(images)
        if (vectors / "vectors.npy").exists():
            assert len(np.load(vectors / "vectors.npy")) == len(images)


def test_kills_at_random_moments_lose_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    album = make_album(tmp_path / "album", N_PICTURES)
    rng = random.Random(SEED)
    kills: Counter[str] = Counter()
    sizes: set[int] = set()
    with killer(tmp_path / "library", album) as one:
        ledger = Ledger(one, rng)
        seconds = {command: timed(one, command) for command in COMMANDS}
        shutil.rmtree(one.library)
        while kills.total() < N_KILLS:
            fewest = min(COMMANDS, key=lambda name: kills[name])
            command = fewest if (one.library / "manifest.json").exists() else "index"
            if command == "index":
                ledger.change_pictures()
            before = stored(one.library) if (one.library / "manifest.json").exists() else {}
            kills[command] += one.run(command, rng.uniform(0.0, seconds[command]))
            ledger.settle(command, before)
            sizes.add(len(before))
        assert not one.run("index")
    found = stored(tmp_path / "library")
    expected = {os.fsencode(path): content_hash(path.read_bytes()) for path in album.iterdir()}
    assert {path: content for path, (content, _) in found.items()} == expected
    # A few kills may all come early or late; the test of every step meets the states between.
    assert N_KILLS <= 100 or len(sizes) >= 6, "the kills met different states"
    with capfd.disabled():
        each = ", ".join(f"{name} {n}" for name, n in kills.items())
        n_lost = len(expected.keys() - found.keys())
        sys.stdout.write(
            f"\n{kills.total()} kills ({each}): {len(expected)} pictures, {n_lost} lost,"
            f" {len(ledger.rounds)} sessions with {len(ledger.judged)} marks, 0 lost\n"
        )


def timed(one: Killer, command: str) -> float:
    """How long a command takes when nobody kills it, s."""
    began = time.monotonic()
    assert not one.run(command)
    return time.monotonic() - began


def test_a_kill_between_any_two_steps_of_indexing(tmp_path: Path) -> None:
    """Random moments seldom meet the gap between a commit and a write; here each is met."""
    album = make_album(tmp_path / "album", 10)
    expected, step = whole_vectors(album), 0
    with killer(tmp_path / "library", album) as one:
        while one.run("index", step=(step := step + 1)):
            if (one.library / "manifest.json").exists():
                assert not assert_sound(one.library).has("bad_backup")
                found = stored(one.library)
                assert all(expected[content] == vector for content, vector in found.values())
            assert not one.run("index")
            assert len(stored(one.library)) == len(expected)
            assert assert_sound(one.library).notes == []
            shutil.rmtree(one.library)
    assert step > 15


def test_a_kill_between_any_two_steps_of_an_upgrade(tmp_path: Path) -> None:
    """The library is the old one or the new one, whole, with its marks; the next run ends it."""
    album, step, dims = make_album(tmp_path / "album", 10), 0, set()
    old = whole_vectors(album)
    new = {content: (np.zeros(8, "<f2").tobytes() + vector) for content, vector in old.items()}
    with killer(tmp_path / "library", album) as one:
        assert not one.run("index")
        with relook.Library(one.library, encoder=ColourEncoder()) as library:
            session = library.look("red", captions=False)
            session.judge(1, True, box=(0.0, 0.0, 0.5, 0.5))
            session.again("rocchio")
        one.library.rename(tmp_path / "made")
        killed = True
        while killed:
            shutil.copytree(tmp_path / "made", one.library)
            killed = one.run("upgrade", step=(step := step + 1))
            assert_sound(one.library)
            dims.add(look_at_upgraded(one.library, old, new))
            assert not one.run("upgrade")
            assert assert_sound(one.library).notes == []
            assert look_at_upgraded(one.library, old, new) == 24
            assert not (one.library / "upgrade").exists()
            assert [file.name for file in one.library.glob("vectors*")] == ["vectors-1.f16"]
            shutil.rmtree(one.library)
    assert step > 20
    assert dims == {16, 24}


def test_a_kill_between_any_two_steps_of_reading_words(tmp_path: Path) -> None:
    """What was kept is whole and is not read again; the next run reads the rest."""
    album, step, n_kept = make_album(tmp_path / "album", 6), 0, set()
    right = {}
    for path in album.iterdir():
        with Image.open(path) as picture:
            right[content_hash(path.read_bytes())] = word_of(picture.convert("RGB"))
    with killer(tmp_path / "library", album) as one:
        assert not one.run("index")
        one.library.rename(tmp_path / "made")
        killed = True
        while killed:
            shutil.copytree(tmp_path / "made", one.library)
            killed = one.run("words", step=(step := step + 1))
            assert_sound(one.library)
            kept = texts_of(one.library)
            n_kept.add(len(kept))
            assert all(right[content] == word for content, word in kept.items())
            assert not one.run("words")
            read = {words[1] for words in one.acks() if words[0] == "read"}
            assert read == {right[content] for content in right.keys() - kept.keys()}
            assert texts_of(one.library) == right
            shutil.rmtree(one.library)
    assert n_kept == {0, 2, 4, 6}


def texts_of(library: Path) -> dict[bytes, str]:
    """Content -> the one word that stands in it."""
    with LibraryFiles.open(library) as files:
        each = TextTable(files.catalog).each()
        return {content: lines[0].words[0].text for content, _, lines in each}


def look_at_upgraded(library: Path, old: dict[bytes, bytes], new: dict[bytes, bytes]) -> int:
    """Checks that vectors and boxes are all of one encoder; returns the length of its vectors."""
    with LibraryFiles.open(library) as files:
        dim = files.manifest.fingerprint.dim
        assert files.vectors.dim == dim
        table = SessionTable(files.catalog)
        (row,) = table.all()
        (mark,) = table.judgements(row.session_id)
        assert mark.crop is not None
        assert mark.crop.shape == (dim,)
        assert len(table.rounds(row.session_id)) == 2
    found = stored(library)
    assert len(found) == len(old)
    expected = old if dim == 16 else new
    assert all(expected[content] == vector for content, vector in found.values())
    return dim


def test_a_kill_between_any_two_steps_of_a_repair(tmp_path: Path) -> None:
    album, step = make_album(tmp_path / "album", 10), 0
    stride = 1 if N_KILLS > 100 else 4
    with killer(tmp_path / "library", album) as one:
        assert not one.run("index")
        whole = stored(one.library)
        one.library.rename(tmp_path / "damaged")
        damage(tmp_path / "damaged", random.Random(7), catalog_too=True)
        killed = True
        while killed:
            shutil.copytree(tmp_path / "damaged", one.library)
            killed = one.run("mend", step=(step := step + stride))
            assert told(repair(one.library).after) == []
            assert not one.run("index")
            assert stored(one.library) == whole
            assert_sound(one.library)
            shutil.rmtree(one.library)
    assert step > 12


def test_a_repair_that_is_killed_is_done_by_the_next(tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", 40)
    rng = random.Random(6)
    with killer(tmp_path / "library", album) as one:
        assert not one.run("index")
        whole = stored(one.library)
        seconds = 0.0
        for n_kills in range(max(N_KILLS // 10, 3)):
            damage(one.library, rng, catalog_too=n_kills % 2 == 0)
            assert not check(one.library).sound
            began = time.monotonic()
            one.run("mend", rng.uniform(0.0, seconds) if seconds else 600.0)
            seconds = seconds or time.monotonic() - began
            assert told(repair(one.library).after) == []
            assert not one.run("index")
            assert stored(one.library) == whole
        assert_sound(one.library)


def damage(library: Path, rng: random.Random, *, catalog_too: bool) -> None:
    """Garbage over some vectors, and over a page of the catalog."""
    vectors = library / "vectors.f16"
    with open(vectors, "r+b") as file:
        file.seek(rng.randrange(vectors.stat().st_size - 64))
        file.write(rng.randbytes(64))
    if catalog_too:
        with open(library / "catalog.sqlite3", "r+b") as file:
            file.seek(4096)
            file.write(rng.randbytes(4096))
