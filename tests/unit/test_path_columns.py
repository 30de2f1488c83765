"""Filters by path in memory say what the catalog says, follow it, and survive damage."""

import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from relook.core.errors import InputError
from relook.core.types import WHOLE
from relook.encoders.base import Fingerprint
from relook.library import column_files, fact_columns, path_columns
from relook.library.catalog import Catalog
from relook.library.column_files import PATHS_FILE
from relook.library.files import LibraryFiles
from relook.library.path_columns import PathColumns, Paths, read_paths
from relook.library.records import FileFacts, ImageRecord
from relook.search.filtering import fitting_images

PRINT = Fingerprint("colour", "1", "none", "none", 4, "float32")
PATHS = [
    b"/p/Lake/one.jpg", b"/p/lake/two.JPG", b"/p/sea/lake.jpg", b"/p/sea/deep/a.jpg",
    b"/p/shard.tar!/sea/lake 1.jpg", b"/p/clip.mp4#t=12.5",
    "/p/Caf\u00e9/\u00c9t\u00e9.jpg".encode(),
    "/p/Cafe\u0301/hiver.jpg".encode(), b"/p/caf\xe9/odd\xff.jpg", b"s3://bucket/sea/lake.jpg",
    b"/p/sea/lake.jpg/.relook-away-7", b"/p/100%_[a]/x\\y.png", b"/p/two\nlines.jpg", b"bare.jpg",
    b"/p/sea/sea/sea.jpg", "/p/\u65e5\u672c/\u5199\u771f.jpg".encode(),
    "/\u03a3\u03a3/\u03a3.jpg".encode(),
    b"/p/nul\0end.jpg", b"a bare.jpg",
]  # fmt: skip
PATTERNS = (
    "lake", "LAKE", "*lake*", "*.jpg", "/p/*", "/p/lake/*", "sea/lake", "*sea/lake*", "*/lake.jpg",
    "sea/deep", "p/sea/deep/a", "*.tar!/*", "tar!/sea/lake 1", "#t=12.5", "*.mp4#t=*",
    "caf\u00e9", "cafe\u0301/", "\u00c9T\u00c9", "caf\ufffd", "odd\ufffd*", "*odd*", "s3://", "s3://*/lake*",
    "", "*", "**", "/", "*/", "away-7", "100%_", "[a]", "x\\y", "two\nlines", "bare*", "bar*",
    "*are.jpg", "b*.jpg", "/p/sea/sea/*sea*", "*sea*sea*sea*", "*sea*sea*sea*sea*",
    "*sea/sea*sea/*", "*e*a*", "/p/sea/lake*.jpg", "*/sea/*/a.jpg", "*a/*.*g",
    "\u65e5\u672c/\u5199", "\u03c3\u03c2", "*\u03c3.jpg", "nothing", "*e.jpg*",
    "/p/sea/lake.jpg*lake.jpg", "*/p/lake/one.jpg*", "*deep/a.jpg", "*/p/sea/*/p/*", "*/nul", "end",
    "*deep*jpg*", "*.*jpg*", "*x*.jpg", "/p/c*n*", "*c*/*x*", "b*",
)  # fmt: skip


def add(files: LibraryFiles, number: int, path: bytes) -> None:
    """One more image, whose row of vectors is the next."""
    files.writer_vectors().append(np.ones((1, 4), np.float32))
    with files.catalog.transaction() as db:
        put(files.catalog, db, number, path)
        files.catalog.bump(db, number + 1)


def put(catalog: Catalog, db: sqlite3.Connection, number: int, path: bytes) -> None:
    """An image with a path."""
    tiling = catalog.tiling_id(db, (WHOLE,))
    place = FileFacts(path, 1, 1)
    catalog.put(db, ImageRecord(place, b"%d" % number, 400, 300, "JPEG", 0, number, 1, tiling))


@pytest.fixture(scope="module", autouse=True)
def _small_parts() -> Iterator[None]:
    """Few texts are many."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(column_files, "KEPT_FROM", 2)
        for name, number in (("KEPT_FROM", 2), ("_PART", 3), ("_BLOCK", 4)):
            patched.setattr(path_columns, name, number)
        yield


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LibraryFiles]:
    with LibraryFiles.create(tmp_path / "library", "colour", PRINT) as opened:
        for number, path in enumerate(PATHS):
            add(opened, number, path)
        opened.refresh()
        yield opened


def ids(files: LibraryFiles, path: str) -> list[int]:
    return files.row_table[fitting_images(files, {}, path), 2].tolist()


def by_catalog(files: LibraryFiles, path: str) -> list[int]:
    return files.catalog.matching({}, path).tolist()


def test_memory_says_what_the_catalog_says(
    files: LibraryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = {pattern: by_catalog(files, pattern) for pattern in PATTERNS}
    assert sum(map(bool, expected.values())) > 45
    monkeypatch.setattr(files.catalog, "matching", None)  # it is not asked
    assert {pattern: ids(files, pattern) for pattern in PATTERNS} == expected


def test_a_pattern_with_a_single_letter_is_compared_by_the_catalog(files: LibraryFiles) -> None:
    assert ids(files, "/p/s?a/*") == by_catalog(files, "/p/s?a/*") == [3, 4, 11, 15]
    assert ids(files, "\u65e5?/") == by_catalog(files, "\u65e5?/") == [16]
    with pytest.raises(InputError, match="NUL"):
        ids(files, "a\0")


def test_every_odd_byte_of_a_name_is_the_same_letter(files: LibraryFiles) -> None:
    add(files, len(PATHS), b"/p/odd\x80.jpg")
    files.refresh()
    assert ids(files, "/odd\ufffd.jpg") == [9, len(PATHS) + 1]


def test_another_filter_narrows_it(files: LibraryFiles) -> None:
    assert files.row_table[fitting_images(files, {"format": "png"}, "sea"), 2].tolist() == []
    assert fitting_images(files, {"format": "jpeg"}, "sea").sum() == len(ids(files, "sea")) == 6


LETTERS = st.text("aAb.//\\*?[%_\u00e9\u00c9e\u0301\u03a3\u03c3\u0130\u212a\u5199\n", max_size=6)
WORDS = st.lists(st.sampled_from(["ab", "/", "a", "b/a", "\u00c9", ".", "aab"]), max_size=6)
RANDOM_PATHS = st.one_of(
    LETTERS.map(str.encode), WORDS.map("".join).map(str.encode),
    st.lists(st.sampled_from([b"a", b"/", b"\xe9", b"\xff", b"B"]), max_size=5).map(b"".join),
)  # fmt: skip
RANDOM_PATTERNS = st.one_of(
    LETTERS, st.lists(st.sampled_from(["a", "b", "/", "*", "\ufffd", "\u00e9", "."])).map("".join)
)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    opened = Catalog(tmp_path_factory.mktemp("paths") / "catalog.sqlite3", writable=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def known() -> dict[str, PathColumns]:
    """The paths of the example before: what changed since is taken in."""
    return {}


@settings(max_examples=150, deadline=None)
@given(
    st.lists(RANDOM_PATHS, min_size=1, max_size=9, unique=True),
    st.lists(RANDOM_PATTERNS, min_size=1, max_size=6),
    st.booleans(),
)
def test_random_paths_and_patterns(
    catalog: Catalog, known: dict[str, PathColumns], paths: list[bytes], patterns: list[str],
    anew: bool,
) -> None:  # fmt: skip
    with catalog.transaction() as db:
        db.execute("DELETE FROM images WHERE image_id % 2")
        kept = {row[0] for row in db.execute("SELECT path FROM images")}
        for path in set(paths) - kept:
            highest = db.execute("SELECT coalesce(max(first_row), 0) FROM images").fetchone()[0]
            put(catalog, db, highest + 1, path)
        db.execute("DELETE FROM images WHERE image_id NOT IN"
                   " (SELECT image_id FROM images ORDER BY image_id DESC LIMIT 30)")  # fmt: skip
    columns = known["paths"] = read_paths(catalog, None if anew else known.get("paths"))
    here = np.array([row[0] for row in catalog.ask("SELECT image_id FROM images")], np.int64)
    places = np.where(np.isin(columns.image_ids, here), 0, -1)
    places[places == 0] = np.searchsorted(np.sort(here), columns.image_ids[places == 0])
    memory = Paths(columns, places.astype(np.int32), len(here))
    for pattern in patterns:
        fitting = memory.fitting(pattern)
        if fitting is not None:
            expected = catalog.matching({}, pattern).tolist()
            assert np.sort(here)[fitting].tolist() == expected, pattern


def test_paths_follow_the_catalog(files: LibraryFiles) -> None:
    assert ids(files, "*sea/*") == by_catalog(files, "*sea/*")
    before = files.columns["paths"]
    with files.catalog.transaction() as db:
        db.execute("UPDATE images SET path = CAST('/new/sea/moved.jpg' AS BLOB) WHERE image_id = 1")
        db.execute("UPDATE images SET path = CAST('/p/land/a.jpg' AS BLOB) WHERE image_id = 4")
        db.execute("DELETE FROM images WHERE image_id = 3")
        files.catalog.bump(db)
    add(files, len(PATHS), b"/p/sea/new.jpg")
    files.refresh()

    for pattern in ("sea/", "new", "moved", "land/", "deep", "one", "*.jpg", "lake"):
        assert ids(files, pattern) == by_catalog(files, pattern)
    assert ids(files, "new") == [1, len(PATHS) + 1]
    assert files.columns["paths"] is not before
    assert len(files.columns["paths"].names) == len(PATHS) + 1  # the one that is gone stays

    of_another_history = replace(before, change=10**6)
    assert read_paths(files.catalog, of_another_history).names.data == (
        read_paths(files.catalog).names.data
    )


def test_what_is_kept_is_read_again_and_damage_is_seen(
    files: LibraryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ids(files, "sea/l")
    path = files.folder / PATHS_FILE
    assert path.is_file()
    assert expected

    def answer() -> list[int]:
        files.columns.clear()
        files.derived.clear()
        return ids(files, "sea/l")

    with monkeypatch.context() as patched:
        patched.setattr(path_columns, "_changed", None)  # nothing is read from the catalog
        assert answer() == expected
    for damage in (path.read_bytes()[:-3] + b"...", b"null".ljust(600), b""):
        path.write_bytes(damage)
        assert answer() == expected


def test_small_libraries_and_older_catalogs_are_asked_themselves(
    files: LibraryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ids(files, "lake")
    files.derived.clear()
    monkeypatch.setattr(path_columns, "read_paths", None)
    with monkeypatch.context() as patched:
        patched.setattr(path_columns, "KEPT_FROM", len(PATHS))
        assert ids(files, "lake") == expected
    with sqlite3.connect(files.folder / "catalog.sqlite3") as db:
        db.execute("DELETE FROM counters WHERE name = 'fact_rules'")
    monkeypatch.setattr(fact_columns, "read_columns", None)
    assert ids(files, "lake") == expected
