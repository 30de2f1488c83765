"""Filters by keywords in memory say what the catalog says, follow it, and survive damage."""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from relook.core.errors import InputError
from relook.core.types import WHOLE
from relook.encoders.base import Fingerprint
from relook.library import column_files, fact_columns, keyword_columns
from relook.library.column_files import KEYWORDS_FILE
from relook.library.files import LibraryFiles
from relook.library.keyword_columns import keywords_of, read_keywords
from relook.library.records import FileFacts, ImageRecord
from relook.search.filtering import fitting_images

PRINT = Fingerprint("colour", "1", "none", "none", 4, "float32")
KEYWORDS: list[object] = [
    "lake, boat", "Lake", "lakeside, Boat house", ["Lake house", "Café"], "CAFÉ", "a [b], 50%, c_d",
    "", [], None, 7, "boat,lake", "lake, LAKE", ["lake", "lake"], {"lake": 1}, "*star*, what?",
    'say "lake"', "back\\slash", "cafe\u0301",
]  # fmt: skip
PATTERNS = (
    "lake", "LAKE", "lake*", "*lake", "*lake*", "boat", "boat house", "*house", "café", "caf*",
    "a [b]", "50%", "c_d", "7", "*", "", "?oat", "l*e", "lake, boat", "lake,*", "*, boat",
    "*star*", "what?", "*lake\"", "back\\slash", " lake", "lake ", "oat", "nothing",
)  # fmt: skip


def add(files: LibraryFiles, number: int, metadata: str) -> None:
    """One more image, whose row of vectors is the next."""
    files.writer_vectors().append(np.ones((1, 4), np.float32))
    with files.catalog.transaction() as db:
        tiling = files.catalog.tiling_id(db, (WHOLE,))
        place = FileFacts(b"/p/%d.jpg" % number, 1, 1)
        record = ImageRecord(place, b"%d" % number, 400, 300, "JPEG", 0, number, 1, tiling)
        image_id = files.catalog.put(db, record)
        db.execute("UPDATE images SET metadata = ? WHERE image_id = ?", (metadata, image_id))
        files.catalog.bump(db, number + 1)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LibraryFiles]:
    with LibraryFiles.create(tmp_path / "library", "colour", PRINT) as opened:
        for number, keywords in enumerate(KEYWORDS):
            add(opened, number, json.dumps({"keywords": keywords}, ensure_ascii=False))
        opened.refresh()
        yield opened


def ids(files: LibraryFiles, where: dict[str, str]) -> list[int]:
    return files.row_table[fitting_images(files, where, None), 2].tolist()


@pytest.mark.parametrize("key", ["keywords", "keywords!="])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_memory_says_what_the_catalog_says(files: LibraryFiles, key: str, pattern: str) -> None:
    by_catalog = set(files.catalog.matching({key: pattern}, None).tolist())
    odd = {10, 14}  # a number and an object are no keywords of a camera's
    assert set(ids(files, {key: pattern})) - odd == by_catalog - odd


def test_most_patterns_do_not_read_the_catalog(files: LibraryFiles) -> None:
    keywords = keywords_of(files)
    assert keywords is not None
    in_memory = [p for p in PATTERNS if keywords.fitting(p, len(KEYWORDS)) is not None]
    assert in_memory == [
        "lake", "LAKE", "lake*", "*lake", "*lake*", "boat", "boat house", "*house", "café", "caf*",
        "50%", "c_d", "7", "*star*", "oat", "nothing",
    ]  # fmt: skip
    with pytest.raises(InputError, match="NUL"):
        keywords.fitting("a\0", len(KEYWORDS))


def test_keywords_follow_the_catalog(files: LibraryFiles) -> None:
    assert ids(files, {"keywords": "boat"}) == [1]
    before = files.columns["keywords"]
    with files.catalog.transaction() as db:
        db.execute('UPDATE images SET metadata = \'{"keywords": "Boat"}\' WHERE image_id = 8')
        db.execute("UPDATE images SET metadata = '{}' WHERE image_id = 1")
        db.execute("DELETE FROM images WHERE image_id = 2")
        files.catalog.bump(db)
    add(files, len(KEYWORDS), '{"keywords": "boat, new"}')
    files.refresh()

    assert ids(files, {"keywords": "boat"}) == [8, len(KEYWORDS) + 1]
    assert files.columns["keywords"] is not before
    grown, fresh = files.columns["keywords"], read_keywords(files.catalog)
    named = [
        {(image_id, columns.names[number].lower())
         for image_id, number in zip(np.repeat(columns.image_ids, columns.counts).tolist(),
                                     columns.which.tolist(), strict=True)}
        for columns in (grown, fresh)
    ]  # fmt: skip
    here = set(files.row_table[:, 2].tolist())
    assert {pair for pair in named[0] if pair[0] in here} == named[1]


def test_damaged_metadata_has_no_keywords(files: LibraryFiles) -> None:
    add(files, len(KEYWORDS), "{damaged")
    files.refresh()
    assert ids(files, {"keywords": "boat"}) == [1]


def test_what_is_kept_is_read_again_and_damage_is_seen(
    files: LibraryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(column_files, "KEPT_FROM", 2)
    expected = ids(files, {"keywords": "lake"})
    path = files.folder / KEYWORDS_FILE
    assert path.is_file()

    def answer() -> list[int]:
        files.columns.clear()
        files.derived.clear()
        return ids(files, {"keywords": "lake"})

    with monkeypatch.context() as patched:
        patched.setattr(keyword_columns, "_with", None)  # nothing is read from the catalog
        assert answer() == expected
    for damage in (path.read_bytes()[:-3] + b"...", b"null".ljust(600), b""):
        path.write_bytes(damage)
        assert answer() == expected


def test_an_older_catalog_is_asked_itself(
    files: LibraryFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = ids(files, {"keywords": "lake"})
    with sqlite3.connect(files.folder / "catalog.sqlite3") as db:
        db.execute("DELETE FROM counters WHERE name = 'fact_rules'")
    files.derived.clear()
    monkeypatch.setattr(fact_columns, "read_columns", None)
    monkeypatch.setattr(keyword_columns, "read_keywords", None)
    assert ids(files, {"keywords": "lake"}) == expected
