"""Catalogs with torn pages: marks that are in the backup are there afterwards, whatever is torn."""

import os
import random
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import relook
from relook.app.upkeep import compact_library
from relook.core.errors import LibraryFormatError
from relook.core.settings import IndexSettings
from relook.library import backup
from relook.library.check import check
from relook.library.repair import repair
from relook.testing import ColourEncoder

from .parts import assert_sound, make_album, stored, told

N, PAGE = 24, 4096
FULL = int(os.environ.get("RELOOK_KILLS", "12")) > 100
KEYS = {"sessions": 1, "rounds": 2, "judgements": 1}  # how many columns name a row
Rows = dict[tuple[Any, ...], tuple[Any, ...]]


def opened(library: Path) -> relook.Library:
    return relook.Library(library, encoder=ColourEncoder())


def rows(library: Path, name: str = "catalog.sqlite3") -> Rows:
    """Every row of the sessions, by table and key."""
    with closing(sqlite3.connect(library / name)) as db:
        return {
            (table, *row[:n]): row
            for table, n in KEYS.items()
            for row in db.execute(f"SELECT * FROM {table}")
        }


def ids(library: Path) -> dict[bytes, int]:
    with opened(library) as one:
        return {image.facts.path: image.image_id for image in one.files.catalog.each_image()}


def look(library: relook.Library, words: str) -> None:
    session = library.look(words, limit=3)
    for _ in range(3):
        session.judge(session.page[0], relevant=True, caption=f"{words} " * 40)
        session.again("rocchio")


@dataclass(frozen=True)
class Packed:
    """A library with a backup, after which people went on.

    Args:
        folder: Where.
        album: Its pictures.
        backed_up: Rows of sessions when the backup was made.
        now: Rows of sessions after that: more of them, one mark less, a caption changed.
    """

    folder: Path
    album: Path
    backed_up: Rows
    now: Rows

    @property
    def steady(self) -> Rows:
        """Rows that are in the backup and did not change since."""
        return {key: row for key, row in self.backed_up.items() if self.now.get(key) == row}


@pytest.fixture(scope="module")
def packed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packed]:
    """Its catalog has many pages, none of them in the log."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backup, "_LEAST_S", 1e9)  # no backup but those that are asked for
        yield pack(tmp_path_factory)


def pack(tmp_path_factory: pytest.TempPathFactory) -> Packed:
    folder = tmp_path_factory.mktemp("packed")
    library, album = folder / "library", make_album(folder / "album", N)
    with opened(library) as one:
        one.add(album, settings=IndexSettings(batch=4, commit_every=8, workers=1))
    with closing(sqlite3.connect(library / "catalog.sqlite3")) as db:
        db.execute("UPDATE images SET metadata = json_object('long', hex(randomblob(400)))")
        db.commit()
    with opened(library) as one:
        for words in ("red", "blue", "green", "grey"):
            look(one, words)
        assert one.files.backup.make() == ""
        before = rows(library)
        look(one, "orange")
        old = one.session(one.sessions()[1].session_id)
        first, second, *_ = old.all_judgements
        old.revise(first.judgement_id, caption="another")
        old.remove(second.judgement_id)
    with closing(sqlite3.connect(library / "catalog.sqlite3")) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    made = Packed(library, album, before, rows(library))
    assert rows(library, "backup.sqlite3") == before
    assert len(made.now) > len(before) > len(made.steady) > 20
    return made


def copied(packed: Packed, to: Path) -> Path:
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(packed.folder, to)
    return to


def n_pages(library: Path) -> int:
    return (library / "catalog.sqlite3").stat().st_size // PAGE


def tear(library: Path, page: int, rng: random.Random) -> None:
    with open(library / "catalog.sqlite3", "r+b") as file:
        file.seek(PAGE * page)
        file.write(rng.randbytes(PAGE))


def mend_and_index(library: Path, album: Path) -> None:
    """After this every picture is there again, and every session can be refined."""
    mended = repair(library)
    assert told(mended.after) == []
    with opened(library) as one:
        one.add(album)
        for row in one.sessions():
            one.session(row.session_id).again("rocchio")
    assert_sound(library)


@pytest.mark.parametrize("reads", [True, False])
def test_a_catalog_that_was_cut_to_nothing_never_reaches_the_backup(
    packed: Packed, tmp_path: Path, reads: bool
) -> None:
    """As a crash leaves a file; whoever opens the library before it is mended changes nothing."""
    library = copied(packed, tmp_path / "library")
    os.truncate(library / "catalog.sqlite3", 0)
    if reads:
        with pytest.raises(LibraryFormatError, match=r"catalog.sqlite3 is empty") as raised:
            opened(library).search("red")
        assert raised.value.code == "bad_catalog"
    assert [finding.code for finding in check(library).findings] == ["bad_catalog"]
    mend_and_index(library, packed.album)
    assert packed.backed_up.keys() <= rows(library).keys()


def test_any_torn_page_is_found_and_mended(packed: Packed, tmp_path: Path) -> None:
    """Each page in turn; `make test` takes the first ones and some others."""
    whole, given = stored(packed.folder), ids(packed.folder)
    pages = range(n_pages(packed.folder))
    assert len(pages) > 20
    n_lost, rng = [], random.Random(1)
    for page in [page for page in pages if FULL or page < 2 or page % 4 == 0]:
        library = copied(packed, tmp_path / "library")
        tear(library, page, rng)
        [finding] = check(library).findings
        assert finding.code == "bad_catalog", page
        assert finding.repair.startswith("restore the backup of "), page
        mended = repair(library)
        assert told(mended.after) == [], page
        assert mended.done[0].startswith("restored the catalog's backup of "), page
        assert len(mended.kept) == 1
        assert Path(mended.kept[0]).stat().st_size == PAGE * len(pages)
        assert (stored(library), ids(library)) == (whole, given), page
        left = rows(library)
        assert packed.steady.items() <= left.items(), page
        known = {*packed.backed_up.items(), *packed.now.items()}
        assert set(left.items()) <= known, page
        n_lost.append(len(packed.now.items() - left.items()))
        mend_and_index(library, packed.album)
    assert n_lost.count(0) > 0.7 * len(n_lost)  # most pages hold nothing that only they have
    assert max(n_lost) > 0  # the first page leads to all others


def damage(catalog: Path, rng: random.Random) -> None:
    """Garbage, zeros or ones over a few bytes or pages; now and then the end is missing."""
    n_bytes = catalog.stat().st_size
    with open(catalog, "r+b") as file:
        for _ in range(rng.choice([1, 1, 1, 2, 5])):
            n = rng.choice([8, 64, 512, PAGE, PAGE])
            at = rng.randrange(n_bytes - n)
            file.seek(at // PAGE * PAGE if n == PAGE else at)
            file.write(rng.choice([bytes(n), rng.randbytes(n), b"\xff" * n]))
        if rng.random() < 0.2:
            file.truncate(rng.randrange(n_bytes))


def test_damage_of_every_kind_ends_in_a_sound_library(packed: Packed, tmp_path: Path) -> None:
    """Every picture is there, and every row of a session that was in the backup."""
    whole, n_found = stored(packed.folder), 0
    n_tries = 300 if FULL else 16
    for seed in range(n_tries):
        library = copied(packed, tmp_path / "library")
        damage(library / "catalog.sqlite3", random.Random(seed))
        n_found += not check(library).sound
        mend_and_index(library, packed.album)
        assert stored(library) == whole, f"seed {seed}"
        assert packed.steady.keys() <= rows(library).keys(), f"seed {seed}"
    assert n_found > n_tries / 2


@pytest.mark.parametrize("table", KEYS)
@pytest.mark.parametrize("harm", ["text", "column"])
def test_rows_that_sqlite_calls_sound_and_nobody_can_read_are_not_taken_for_deleted(
    packed: Packed, tmp_path: Path, table: str, harm: str
) -> None:
    """Found by 300 damages: the backup's rows went with them, and all that was on their pages."""
    library = copied(packed, tmp_path / "library")
    column = {"sessions": "name", "rounds": "hits", "judgements": "caption"}[table]
    with closing(sqlite3.connect(library / "catalog.sqlite3")) as db:
        db.execute(f"UPDATE {table} SET {column} = CAST(x'ff' AS TEXT) WHERE rowid IN (3, 7)")
        if harm == "column":
            db.execute(f"ALTER TABLE {table} RENAME COLUMN {column} TO other")
        db.execute("UPDATE counters SET value = 'x'")  # so that it is restored
        db.commit()
    mend_and_index(library, packed.album)
    assert packed.steady.keys() <= rows(library).keys()


@pytest.mark.parametrize("harm", ["gone", "empty", "no database"])
def test_a_catalog_that_is_gone_comes_from_the_backup(
    packed: Packed, tmp_path: Path, harm: str
) -> None:
    library = copied(packed, tmp_path / "library")
    (library / "catalog.sqlite3").unlink()
    if harm != "gone":
        (library / "catalog.sqlite3").write_bytes(
            b"" if harm == "empty" else b"this is no \0" * 999
        )
    mend_and_index(library, packed.album)
    assert (stored(library), ids(library)) == (stored(packed.folder), ids(packed.folder))
    left = rows(library)
    assert all(left[key] == row for key, row in packed.backed_up.items() if key[0] == "judgements")
    assert packed.backed_up.keys() <= left.keys()


@pytest.mark.parametrize(
    "tables", [("images",), ("judgements",), ("rounds", "sessions", "tombstones"), ("facts",)]
)
def test_tables_that_are_gone_are_named_and_come_from_the_backup(
    packed: Packed, tmp_path: Path, tables: tuple[str, ...]
) -> None:
    """Whoever opened the library made them anew, empty, and that took the backup's place."""
    library = copied(packed, tmp_path / "library")
    with closing(sqlite3.connect(library / "catalog.sqlite3")) as db:
        for table in tables:
            db.execute(f"DROP TABLE {table}")
    with pytest.raises(LibraryFormatError, match=f"lacks .* it had: {', '.join(tables)}"):
        opened(library).search("red")
    [finding] = check(library).findings
    assert (finding.code, finding.where) == ("bad_catalog", tables)
    refused = backup.Backup(library / "catalog.sqlite3").make()
    assert refused.endswith(f"tables are gone: {', '.join(tables)}")
    mend_and_index(library, packed.album)
    assert (stored(library), ids(library)) == (stored(packed.folder), ids(packed.folder))
    assert packed.steady.keys() <= rows(library).keys()


def test_a_catalog_without_a_backup_lacks_what_every_version_had(
    packed: Packed, tmp_path: Path
) -> None:
    library = copied(packed, tmp_path / "library")
    (library / "backup.sqlite3").unlink()
    with closing(sqlite3.connect(library / "catalog.sqlite3")) as db:
        db.execute("DROP TABLE tilings")
    [finding] = check(library).findings
    assert (finding.code, finding.where) == ("bad_catalog", ("tilings",))
    mend_and_index(library, packed.album)
    assert ids(library) == ids(packed.folder)


def test_rows_that_make_no_sense_come_from_the_backup(packed: Packed, tmp_path: Path) -> None:
    """Damage that SQLite does not see, as it is in a value."""
    library = copied(packed, tmp_path / "library")
    with closing(sqlite3.connect(library / "catalog.sqlite3")) as db:
        db.execute("UPDATE judgements SET image_id = 'x', weight = 'y'")
        db.execute("UPDATE rounds SET number = -1 WHERE number = 1")
        db.execute("UPDATE sessions SET query = '{'")
        db.commit()
    assert {finding.code for finding in check(library).findings} == {"bad_session"}
    mended = repair(library)
    assert told(mended.after) == []
    assert mended.done[0].startswith("took ")
    assert packed.steady.items() <= rows(library).items()


@pytest.mark.parametrize("harm", ["none", "torn", "no database"])
def test_without_a_backup_what_can_be_read_is_kept(
    packed: Packed, tmp_path: Path, harm: str
) -> None:
    """A library of an older version, or whose backup the disk has damaged as well."""
    whole, given = stored(packed.folder), ids(packed.folder)
    library = copied(packed, tmp_path / "library")
    tear_leaf_of_images(library)
    backup = library / "backup.sqlite3"
    if harm == "none":
        backup.unlink()
    elif harm == "torn":
        with open(backup, "r+b") as file:
            file.seek(PAGE * 3)
            file.write(b"\xff" * PAGE)
    else:
        backup.write_text("this was a backup " * 999)
    assert [note.code for note in check(library).notes if note.code == "bad_backup"] == (
        [] if harm == "none" else ["bad_backup"]
    )
    mended = repair(library)
    assert told(mended.after) == []
    assert mended.done[0].startswith("began a new catalog (its backup: ")
    assert rows(library) == packed.now
    with opened(library) as one:
        assert len(one) == 0
        assert one.add().n_added == N
    assert (stored(library), ids(library)) == (whole, given)
    assert assert_sound(library).notes[0].code == "kept"


def tear_leaf_of_images(library: Path) -> None:
    """The page with the record of one picture, which is in no index."""
    data = (library / "catalog.sqlite3").read_bytes()
    with opened(library) as one:
        text = one.image(7).metadata["long"].encode()
    page = data.index(text) // PAGE
    tear(library, page, random.Random(3))


def test_images_of_after_the_backup_keep_their_ids(packed: Packed, tmp_path: Path) -> None:
    """A run of indexing that was killed made no backup; marks point at what it indexed."""
    library, album = copied(packed, tmp_path / "library"), tmp_path / "album"
    more = make_album(album, 6, start=500)
    backup = (library / "backup.sqlite3").read_bytes()
    with opened(library) as one:
        one.add(more)
        session = one.look("violet", limit=3)
        session.judge(N + 2, relevant=True)
    (library / "backup.sqlite3").write_bytes(backup)
    given, whole = ids(library), stored(library)
    tear_leaf_of_images(library)
    mended = repair(library)
    assert told(mended.after) == []
    assert mended.done[0].endswith("the ids of 6 newer images from the damaged one")
    with opened(library) as one:
        assert len(one) == N
        assert one.add().n_added == 6
        assert [mark.image_id for mark in one.session(session.session_id).all_judgements] == [N + 2]
    assert (ids(library), stored(library)) == (given, whole)


def test_a_backup_of_before_a_compaction_takes_no_vectors_of_others(
    packed: Packed, tmp_path: Path
) -> None:
    """A kill between the two leaves a backup that names rows of a file that is gone."""
    library = copied(packed, tmp_path / "library")
    backup = (library / "backup.sqlite3").read_bytes()
    whole, given = stored(library), ids(library)
    with opened(library) as one:
        one.forget(one.image(3).path)
        compact_library(one)
        assert one.files.vectors.path.name == "vectors-1.f16"
    (library / "backup.sqlite3").write_bytes(backup)
    tear_leaf_of_images(library)
    assert told(repair(library).after) == []
    with opened(library) as one:
        assert len(one) == 0
        one.add()
    assert (stored(library), ids(library)) == (whole, given)
    assert packed.steady.items() <= rows(library).items()


def test_deleted_rows_do_not_come_back(packed: Packed, tmp_path: Path) -> None:
    """Tables of which SQLite reads every row are as they were when the page was torn."""
    library = copied(packed, tmp_path / "library")
    with opened(library) as one:
        for row in one.sessions():
            one.session(row.session_id).delete()
        one.forget(one.image(5).path)
    tear_leaf_of_images(library)
    assert told(repair(library).after) == []
    with opened(library) as one:
        assert one.sessions() == []
        assert len(one) == N - 1
