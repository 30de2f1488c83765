"""The row table: read whole, in part, and from its file, it is always what the catalog says."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest

from relook.encoders.base import Fingerprint
from relook.library import row_table, snapshot
from relook.library.catalog import Catalog
from relook.library.manifest import Manifest
from relook.library.records import FileFacts, ImageRecord
from relook.library.row_table import ROWS_FILE, Snapshot, keep_rows, kept_rows
from relook.library.snapshot import Moment, read_moment
from relook.library.vector_file import VectorFile

MANIFEST = Manifest("colour", Fingerprint("colour", "1", "", "", 4, "float32"))


def put(catalog: Catalog, row: int, n_tiles: int = 2, image_id: int = 0) -> None:
    facts = FileFacts(b"/p/%d.jpg" % row, 1, 1)
    image = ImageRecord(facts, b"c", 1, 1, "PNG", 0, row, n_tiles, 1, image_id=image_id)
    with catalog.transaction() as db:
        catalog.put(db, image)
        catalog.bump(db, max(catalog.end_row(), row + n_tiles))


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog(tmp_path / "c.sqlite3", writable=True)
    with made.transaction() as db:
        db.execute("INSERT INTO tilings VALUES (1, '[]')")
    for row in (0, 2, 4):
        put(made, row)
    return made


def plain(catalog: Catalog) -> list[list[int]]:
    sql = "SELECT first_row, n_tiles, image_id FROM images ORDER BY first_row"
    return [list(row) for row in catalog.ask(sql)]  # type: ignore[arg-type]


def test_only_what_was_added_is_read_again(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = catalog.snapshot()
    assert catalog.snapshot(first) is first
    put(catalog, 6)
    starts = []
    real = row_table._rows

    def rows(db: sqlite3.Connection, start: int) -> np.ndarray:
        starts.append(start)
        return real(db, start)

    monkeypatch.setattr(row_table, "_rows", rows)
    second = catalog.snapshot(first)
    assert starts == [6]
    assert second.rows.tolist() == plain(catalog)
    assert len(first.rows) == 3


@pytest.mark.parametrize("change", ["removed", "changed", "between"])
def test_what_changed_before_is_seen(catalog: Catalog, change: str) -> None:
    first = catalog.snapshot()
    if change == "removed":
        with catalog.transaction() as db:
            db.execute("DELETE FROM images WHERE image_id = 2")
            catalog.bump(db)
    elif change == "changed":
        put(catalog, 6, 3, image_id=2)
    else:
        with catalog.transaction() as db:
            db.execute("DELETE FROM images WHERE image_id = 2")
            catalog.bump(db)
        first = catalog.snapshot()
        put(catalog, 2, 1)
    assert catalog.snapshot(first).rows.tolist() == plain(catalog)


def test_a_million_are_read_in_parts(catalog: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_table, "_PART", 2)
    for row in (6, 8):
        put(catalog, row)
        assert catalog.snapshot().rows.tolist() == plain(catalog)


def test_the_kept_file_is_checked(
    catalog: Catalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    now = catalog.snapshot()
    assert kept_rows(tmp_path) is None
    keep_rows(tmp_path, now)
    kept = kept_rows(tmp_path)
    assert kept is not None
    assert kept.rows.tolist() == now.rows.tolist()
    assert catalog.snapshot(kept).rows is kept.rows
    file = tmp_path / ROWS_FILE
    whole = file.read_bytes()
    for damaged in (whole[:-8], whole[:-1] + b"\xff", b"{" + whole, b"", b"[1]".ljust(600)):
        file.write_bytes(damaged)
        assert kept_rows(tmp_path) is None
        assert "is left aside" in caplog.text
        caplog.clear()


def test_a_file_of_another_history_is_not_believed(catalog: Catalog, tmp_path: Path) -> None:
    """As after a restored backup: as many changes, but others."""
    put(catalog, 6)
    keep_rows(tmp_path, catalog.snapshot())
    other = Catalog(tmp_path / "other.sqlite3", writable=True)
    with other.transaction() as db:
        db.execute("INSERT INTO tilings VALUES (1, '[]')")
    for row in (0, 1, 2, 3):
        put(other, row, 1)
    kept = kept_rows(tmp_path)
    assert kept is not None
    assert kept.generation == other.generation()
    assert other.snapshot(kept).rows.tolist() == plain(other)


def test_the_table_is_kept_for_large_libraries_only(
    catalog: Catalog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def vectors_of(now: Snapshot, _: Manifest) -> VectorFile:
        return VectorFile(tmp_path / "vectors.f16", 4, now.end_row)

    VectorFile(tmp_path / "vectors.f16", 4, 0).append(np.zeros((6, 4), np.float32))
    read_moment(tmp_path, catalog, MANIFEST, vectors_of, None)
    assert not (tmp_path / ROWS_FILE).exists()
    monkeypatch.setattr(snapshot, "KEPT_FROM", 2)
    read_moment(tmp_path, catalog, MANIFEST, vectors_of, None)
    kept = kept_rows(tmp_path)
    assert kept is not None
    now = read_moment(tmp_path, catalog, MANIFEST, vectors_of, None)
    assert now.snapshot.rows.tolist() == plain(catalog)


def test_an_older_catalog_gets_what_it_lacks(catalog: Catalog, tmp_path: Path) -> None:
    catalog.close()
    old = sqlite3.connect(tmp_path / "c.sqlite3")
    old.executescript(
        "DROP TRIGGER images_gone; DROP TRIGGER images_moved; DROP TRIGGER images_between;"
        "DROP INDEX images_rows; DELETE FROM counters WHERE name IN ('rewrites', 'stamp')"
    )
    old.close()
    reader = Catalog(tmp_path / "c.sqlite3", writable=False)
    assert reader.snapshot().rows.tolist() == plain(reader)
    reader.close()
    again = Catalog(tmp_path / "c.sqlite3", writable=True)
    first = again.snapshot()
    with again.transaction() as db:
        db.execute("DELETE FROM images WHERE image_id = 1")
        again.bump(db)
    assert again.snapshot(first).rows.tolist() == plain(again)


def test_a_moment_answers_of_rows_and_places(catalog: Catalog, tmp_path: Path) -> None:
    with catalog.transaction() as db:
        db.execute("DELETE FROM images WHERE image_id = 2")
        catalog.bump(db)
    file = VectorFile(tmp_path / "v", 4, 0)
    file.append(np.zeros((6, 4), np.float32))
    now = Moment(catalog.snapshot(), MANIFEST, file)
    alive = now.alive()
    assert alive is not None
    assert alive.tolist() == [True, True, False, False, True, True]
    assert (now.n_alive, now.most_tiles) == (4, 2)
    assert now.places(np.array([3, 2, 1, 99, -1])).tolist() == [1, -1, 0, -1, -1]
