"""Filters by columns in memory say what the catalog says, stay up to date, and survive damage."""

import itertools
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from relook.core.errors import InputError
from relook.core.types import WHOLE
from relook.encoders.base import Fingerprint
from relook.library.column_files import FACTS_FILE
from relook.library.fact_columns import (
    Facts,
    facts_of,
    keep_columns,
    kept_columns,
    period,
    read_columns,
)
from relook.library.files import LibraryFiles
from relook.library.records import FileFacts, ImageRecord
from relook.search.filtering import fitting_images

PRINT = Fingerprint("colour", "1", "none", "none", 4, "float32")
MAY_2015 = 1_430_784_000 * 10**9
METADATA: list[object] = [
    {"taken_at": "2019-07-14T12:30:00+02:00", "camera_make": "Canon", "camera": "Canon EOS R5",
     "rating": 5, "latitude": 48.8584, "longitude": 2.2945},
    {"taken_at": "2019-08-01T09:00:00", "camera_make": "SONY", "camera": "ILCE-7M3",
     "lens": "FE 55mm", "rating": 3, "latitude": 48.8606, "longitude": 2.3376},
    {"taken_at": "2021", "rating": "4", "latitude": -17.7, "longitude": 179.99},
    {"taken_at": "2018:12:31 23:59:59", "camera": "Élan 7"},
    {"taken_at": "2019-07", "rating": "good", "latitude": "48.86", "longitude": 2.3},
    {"taken_at": "0000:00:00 00:00:00", "latitude": 480.0, "longitude": 2.3, "rating": -1},
    {"taken_at": 2020, "latitude": 1e300, "longitude": None, "camera": 7},
    {},
    {"taken_at": "2019-02-31T25:61:61", "camera": ["a", "b"], "rating": {"a": 1}},
]  # fmt: skip


def add(files: LibraryFiles, number: int, metadata: str, path: bytes = b"") -> None:
    """One more image, whose row of vectors is the next."""
    place = path or b"/p/%d/x%d.jpg" % (number % 3, number)
    facts = FileFacts(place, 1, MAY_2015)
    files.writer_vectors().append(np.ones((1, 4), np.float32))
    with files.catalog.transaction() as db:
        tiling = files.catalog.tiling_id(db, (WHOLE,))
        content = b"%d" % number
        record = ImageRecord(facts, content, 400, 300, "JPEG", 0, number, 1, tiling)
        image_id = files.catalog.put(db, record)
        db.execute("UPDATE images SET metadata = ? WHERE image_id = ?", (metadata, image_id))
        files.catalog.bump(db, number + 1)


@pytest.fixture
def files(tmp_path: Path) -> Iterator[LibraryFiles]:
    with LibraryFiles.create(tmp_path / "library", "colour", PRINT) as opened:
        for number, metadata in enumerate(METADATA):
            add(opened, number, json.dumps(metadata))
        add(opened, len(METADATA), "{damaged")
        add(opened, len(METADATA) + 1, "{}", b"/p/a.zip!/in/\xff.jpg")
        opened.refresh()
        yield opened


def ids(files: LibraryFiles, where: dict[str, str]) -> list[int]:
    return files.row_table[fitting_images(files, where, None), 2].tolist()


def by_json(files: LibraryFiles, where: dict[str, str]) -> list[int]:
    """What the catalog finds without its columns; damaged JSON stops SQLite."""
    with files.catalog.transaction() as db:
        db.execute("UPDATE images SET metadata = '{}' WHERE metadata = '{damaged'")
    return files.catalog.matching(where, None).tolist()


DATES = ("2019", "2019-07", "2019-07-14", "2019-08-01T09", "2015-05", "2022")
WHERE = [
    *({f"taken_at{operator}": date} for operator, date in itertools.product(("<", ">="), DATES)),
    *({f"rating{operator}": number} for operator in ("<", "<=", ">", ">=") for number in "345"),
    {"place~": "48.86,2.3,6km"}, {"place~": "48.8606,2.3376,50m"}, {"place~": "-17.7,-179.99,5km"},
    {"camera": "*eos*"}, {"camera": "ÉLAN ?"}, {"camera": "7"}, {"camera!=": "*eos*"},
    {"lens": "fe*"}, {"lens!=": "*"}, {"rating": "good"}, {"rating": "5"},
]  # fmt: skip


@pytest.mark.parametrize("where", WHERE, ids=str)
def test_columns_say_what_the_catalog_says(files: LibraryFiles, where: dict[str, str]) -> None:
    clean = {1, 2, 3, 4, 5, 8, 10, 11}  # of odd values the columns make more
    expected = clean & set(by_json(files, where))
    assert clean & set(ids(files, where)) == expected


def test_odd_values_are_none(files: LibraryFiles) -> None:
    facts = facts_of(files)
    assert facts is not None
    times = facts.values["taken_s"].astype("datetime64[s]").astype("datetime64[Y]").astype(str)

    assert times[[5, 6, 8, 9]].tolist() == ["2015", "2020", "2019", "2015"]
    assert facts.values["is_own"].tolist() == [1, 1, 1, 1, 1, 0, 1, 0, 1, 0, 0]
    assert np.flatnonzero(~np.isnan(facts.values["latitude"])).tolist() == [0, 1, 2]
    assert np.flatnonzero(~np.isnan(facts.values["rating"])).tolist() == [0, 1, 2, 5]
    assert facts.values["taken_s"][10] < 0  # a member of an archive has no date of a file


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"camera": "sony*"}, [2]),
        ({"camera": "*canon canon*"}, [1]),
        ({"taken_at": "2019-07"}, [1, 5]),
        ({"taken_at": "2019-07*"}, [1, 5]),
        ({"taken_at": "2015*"}, []),
        ({"taken_at<=": "2018"}, [4, 6, 8, 10]),
        ({"folder": "/p/1"}, [2, 5, 8]),
        ({"folder": "*a.zip*"}, [11]),
        ({"orientation": "landscape", "rating>=": "4"}, [1, 3]),
        ({"orientation": "portrait"}, []),
        ({"orientation!=": "portrait", "camera": "*"}, [1, 2, 4, 7, 9]),
    ],
)
def test_what_only_columns_know(
    files: LibraryFiles, where: dict[str, str], expected: list[int]
) -> None:
    assert ids(files, where) == expected


def test_columns_follow_the_catalog(files: LibraryFiles) -> None:
    assert ids(files, {"rating": "5"}) == [1]
    before = files.columns.get("facts")
    with files.catalog.transaction() as db:
        db.execute("UPDATE images SET metadata = '{\"rating\": 5}' WHERE image_id = 8")
        db.execute("DELETE FROM images WHERE image_id = 1")
        files.catalog.bump(db)
    files.refresh()

    assert ids(files, {"rating": "5"}) == [8]
    fresh = Facts.of(read_columns(files.catalog), files.row_table[:, 2])
    grown = facts_of(files)
    assert before is not None
    assert grown is not None
    for name, values in fresh.values.items():
        assert np.array_equal(grown.values[name], values, equal_nan=values.dtype.kind == "f")


def test_kept_columns_are_the_same_and_damage_is_seen(files: LibraryFiles) -> None:
    columns = read_columns(files.catalog)
    keep_columns(files.folder, columns)
    kept = kept_columns(files.folder)

    assert kept is not None
    assert (kept.change, kept.names) == (columns.change, columns.names)
    assert all(np.array_equal(kept.values[key], value, equal_nan=value.dtype.kind == "f")
               for key, value in columns.values.items())  # fmt: skip
    path = files.folder / FACTS_FILE
    path.write_bytes(path.read_bytes()[:-3] + b"...")
    assert kept_columns(files.folder) is None
    path.write_bytes(b"null".ljust(600))
    assert kept_columns(files.folder) is None


def without_facts(folder: Path) -> None:
    """Makes the catalog one of an older version."""
    (folder / "backup.sqlite3").unlink(missing_ok=True)
    with sqlite3.connect(folder / "catalog.sqlite3") as db:
        for name in ("facts_new", "facts_changed", "facts_gone"):
            db.execute(f"DROP TRIGGER {name}")
        db.execute("DROP TABLE facts")
        db.execute("DROP TABLE names")
        db.execute("DELETE FROM counters WHERE name LIKE 'fact%'")
        db.execute("UPDATE counters SET value = value + 1 WHERE name = 'generation'")


def test_an_older_library_gets_columns_and_one_that_is_only_read_does_without(
    files: LibraryFiles,
) -> None:
    expected = ids(files, {"taken_at>=": "2019-07", "rating>=": "4"})
    by_json(files, {})
    without_facts(files.folder)
    files.refresh()
    assert facts_of(files) is None
    assert ids(files, {"taken_at>=": "2019-07", "rating>=": "4"}) == expected

    with LibraryFiles.open(files.folder) as again:
        facts = facts_of(again)
        assert facts is not None
        assert len(facts.values["rating"]) == len(METADATA) + 2
        assert ids(again, {"taken_at>=": "2019-07", "rating>=": "4"}) == expected


@pytest.mark.parametrize(
    ("key", "value"),
    [("taken_at>=", "July"), ("taken_at<", "2019-13"), ("rating>=", "inf"), ("place~", "95,0,1km"),
     ("camera", "a\0b")],
)  # fmt: skip
def test_what_compares_nothing(files: LibraryFiles, key: str, value: str) -> None:
    with pytest.raises(InputError) as raised:
        ids(files, {key: value})
    assert raised.value.code == "bad_filter"


@pytest.mark.parametrize(
    ("text", "n_days"), [("2020", 366), ("2019-02", 28), ("2019-07-14*", 1), ("1969-12", 31)]
)
def test_a_date_is_a_period(text: str, n_days: int) -> None:
    start, end = period(text)
    assert start is not None
    assert end is not None
    assert end - start == n_days * 86_400
