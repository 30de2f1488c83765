"""Catalogs with torn pages: what can be read is kept as it was, and the rest is indexed again."""

import os
import random
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

import relook
from relook.core.settings import IndexSettings
from relook.library.check import check
from relook.library.repair import repair
from relook.testing import ColourEncoder

from .parts import assert_sound, make_album, stored, told

N, PAGE = 24, 4096
FULL = int(os.environ.get("RELOOK_KILLS", "12")) > 100


def opened(library: Path) -> relook.Library:
    return relook.Library(library, encoder=ColourEncoder())


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library whose catalog has many pages, none of them in the log, and two sessions."""
    folder = tmp_path_factory.mktemp("packed")
    with opened(folder / "library") as one:
        album = make_album(folder / "album", N)
        one.add(album, settings=IndexSettings(batch=4, commit_every=8, workers=1))
        for words in ("red", "blue"):
            session = one.look(words, limit=3)
            for _ in range(3):
                session.judge(session.page[0], relevant=True)
                session.again("rocchio")
    with closing(sqlite3.connect(folder / "library" / "catalog.sqlite3")) as db:
        db.execute("UPDATE images SET metadata = json_object('long', hex(randomblob(400)))")
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "library"


def ids(library: Path) -> dict[bytes, int]:
    with opened(library) as one:
        return {image.facts.path: image.image_id for image in one.files.catalog.each_image()}


def n_pages(library: Path) -> int:
    return (library / "catalog.sqlite3").stat().st_size // PAGE


def mend_and_index(library: Path, album: Path) -> None:
    """After this every picture is there again, and every session can be refined."""
    mended = repair(library)
    assert told(mended.after) == []
    with opened(library) as one:
        one.add(album)
        for row in one.sessions():
            one.session(row.session_id).again("rocchio")
    assert_sound(library)


def test_any_torn_page_is_found_and_mended(packed: Path, tmp_path: Path) -> None:
    """Each page in turn; `make test` takes the first ones and some others."""
    whole, given = stored(packed), ids(packed)
    pages = range(n_pages(packed))
    assert len(pages) > 20
    n_lost, rng = [], random.Random(1)
    for page in [page for page in pages if FULL or page < 2 or page % 4 == 0]:
        library = tmp_path / f"torn-{page}"
        shutil.copytree(packed, library)
        with open(library / "catalog.sqlite3", "r+b") as file:
            file.seek(PAGE * page)
            file.write(rng.randbytes(PAGE))
        assert [one.code for one in check(library).findings] == ["bad_catalog"], page
        mended = repair(library)
        assert told(mended.after) == [], page
        assert len(mended.kept) == 1
        assert Path(mended.kept[0]).stat().st_size == PAGE * len(pages)
        left = stored(library)
        assert all(whole[path] == image for path, image in left.items())
        n_lost.append(N - len(left))
        mend_and_index(library, packed.parent / "album")
        assert (stored(library), ids(library)) == (whole, given), page
    assert n_lost.count(0) > len(n_lost) / 2
    assert max(n_lost) < N


def damage(catalog: Path, rng: random.Random) -> None:
    """Garbage, zeros or ones over a few bytes or pages; now and then the end is missing."""
    n_bytes = catalog.stat().st_size
    with open(catalog, "r+b") as file:
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            n = rng.choice([8, 64, 512, PAGE, PAGE])
            # Half of what is hit is in a page's middle. The first page tells free pages and
            # indexes from others: `test_any_torn_page_is_found_and_mended` tears it alone.
            at = rng.randrange(PAGE, n_bytes - n)
            file.seek(at // PAGE * PAGE if n == PAGE else at)
            file.write(rng.choice([bytes(n), rng.randbytes(n), b"\xff" * n]))
        if rng.random() < 0.2:
            file.truncate(rng.randrange(n_bytes))


def test_damage_of_every_kind_ends_in_a_sound_library(packed: Path, tmp_path: Path) -> None:
    whole, album = stored(packed), packed.parent / "album"
    n_found = 0
    n_tries = 300 if FULL else 16
    for seed in range(n_tries):
        library = tmp_path / "library"
        shutil.rmtree(library, ignore_errors=True)
        shutil.copytree(packed, library)
        damage(library / "catalog.sqlite3", random.Random(seed))
        n_found += not check(library).sound
        mend_and_index(library, album)
        assert stored(library) == whole, f"seed {seed}"
    assert n_found > n_tries / 2


def test_deleted_rows_do_not_come_back(packed: Path, tmp_path: Path) -> None:
    """Free pages still hold them; a repair of another table does not take them from there."""
    library = tmp_path / "library"
    shutil.copytree(packed, library)
    with closing(sqlite3.connect(library / "catalog.sqlite3")) as db:
        db.execute("PRAGMA secure_delete = OFF")  # some builds of SQLite wipe what is deleted
        db.execute("DELETE FROM images WHERE image_id > 1")
        for table in ("sessions", "rounds", "judgements"):
            db.execute(f"DELETE FROM {table}")
        db.commit()
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        (n_free,) = db.execute("PRAGMA freelist_count").fetchone()
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'images'").fetchone()
    assert n_free > 5
    data = (library / "catalog.sqlite3").read_bytes()
    assert data.count(b"0007.png") > 0, "the free pages were wiped: this test shows nothing"
    with open(library / "catalog.sqlite3", "r+b") as file:
        file.seek((root - 1) * PAGE)
        file.write(b"\xff" * PAGE)
    assert told(repair(library).after) == []
    with opened(library) as one:
        assert len(one) <= 1
        assert one.sessions() == []
