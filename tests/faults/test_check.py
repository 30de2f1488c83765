"""`relook doctor --check` finds each kind of damage, and `--repair` mends it."""

import os
from pathlib import Path

import numpy as np
import pytest

from relook.library.check import check
from relook.library.repair import repair
from relook.testing import ColourEncoder, noise

from .check_parts import BATCH, ROW_BYTES, N, album, codes, flip, library, opened, sql  # noqa: F401  (some are fixtures)
from .parts import assert_sound, stored, told


def words_and_ids(library: Path) -> dict[bytes, tuple[int, str]]:
    with opened(library) as one:
        images = one.files.catalog.each_image()
        return {image.facts.path: (image.image_id, image.caption) for image in images}


def test_a_new_library_is_sound_and_the_check_writes_nothing(library: Path) -> None:
    facts = {path.name: path.stat().st_mtime_ns for path in library.iterdir()}
    report = assert_sound(library)
    assert report.notes == []
    assert report.counts == {
        "images": N, "sessions": 1, "rows": 5 * N, "sums": 3, "dead_rows": 0,
    }  # fmt: skip
    new = {path.name: path.stat().st_mtime_ns for path in library.iterdir()}
    for log in ("catalog.sqlite3-wal", "catalog.sqlite3-shm"):
        new.pop(log, None)
        facts.pop(log, None)
    assert new == facts


def test_a_flipped_byte_costs_its_batch_and_nothing_else(library: Path) -> None:
    before, whole = words_and_ids(library), stored(library)
    flip(library / "vectors.f16", 3 * ROW_BYTES)
    report = check(library)
    assert told(report) == [
        (
            "bad_sum",
            f"{library}/vectors.f16 holds other bytes than were written: 40 rows of 8 images",
        )
    ]
    assert report.findings[0].where == ("rows 0 to 39",)
    mended = repair(library)
    assert told(mended.after) == []
    assert mended.done == [
        "took out 8 images; index again what is missing: relook index",
        "cleared 40 damaged rows",
        "added the checksums of 40 rows",
    ]
    with opened(library) as one:
        assert len(one) == N - BATCH
        assert one.add().n_added == BATCH
        assert [hit.image_id for hit in one.session(one.sessions()[0].session_id).page]
        assert {mark.image_id for mark in one.session(one.sessions()[0].session_id).all_judgements}
    assert words_and_ids(library) == before  # ids and the sidecar's words are back
    assert stored(library) == whole
    assert [note.code for note in assert_sound(library).notes] == ["kept"]


def test_pictures_that_are_renamed_before_they_are_indexed_again_get_their_ids_back(
    library: Path, album: Path
) -> None:
    """A repair cannot know where a picture will be when somebody indexes again."""
    before = words_and_ids(library)
    flip(library / "vectors.f16", 3 * ROW_BYTES)
    repair(library)
    with opened(library) as one:
        other = album.rename(album.parent / "renamed")
        assert one.add(other).n_added == BATCH
    after = words_and_ids(library)
    renamed = {os.path.basename(path): facts for path, facts in after.items()}
    assert renamed == {os.path.basename(path): facts for path, facts in before.items()}
    other.rename(album)
    with opened(library) as one:
        assert one.add(album).n_moved == N
    assert words_and_ids(library) == before


def test_a_picture_that_was_taken_out_moved_and_edited_is_itself(
    library: Path, album: Path
) -> None:
    flip(library / "vectors.f16", 3 * ROW_BYTES)
    repair(library)
    other = album.rename(album.parent / "moved")
    noise(99).save(other / "0000.png")
    with opened(library) as one:
        assert one.move(album, other).n_moved == N - BATCH
        one.add()
    assert words_and_ids(library)[bytes(other / "0000.png")] == (1, "the first of all")


def test_a_picture_at_the_path_of_one_that_was_taken_out_and_deleted_is_another(
    library: Path, album: Path
) -> None:
    flip(library / "vectors.f16", 3 * ROW_BYTES)
    repair(library)
    first = album / "0000.png"  # which is marked
    whole = first.read_bytes()
    first.unlink()
    with opened(library) as one:
        one.add()
        noise(99).save(first)
        one.add()
    assert words_and_ids(library)[bytes(first)] == (N + 1, "")
    (album / "again.png").write_bytes(whole)
    with opened(library) as one:
        one.add()
    assert words_and_ids(library)[bytes(album / "again.png")] == (1, "the first of all")


@pytest.mark.parametrize("n_bytes", [0, 39 * ROW_BYTES, 41 * ROW_BYTES + 7, None])
def test_a_file_of_vectors_that_ends_early_or_is_gone(library: Path, n_bytes: int | None) -> None:
    before, whole = words_and_ids(library), stored(library)
    if n_bytes is None:
        (library / "vectors.f16").unlink()
    else:
        os.truncate(library / "vectors.f16", n_bytes)
    assert codes(library) == ["vectors_missing"]
    assert told(repair(library).after) == []
    with opened(library) as one:
        assert len(one) == N - BATCH * (3 - (n_bytes or 0) // (40 * ROW_BYTES))
        one.add()
    assert (words_and_ids(library), stored(library)) == (before, whole)
    assert_sound(library)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf, 0.5])
def test_a_vector_that_is_no_direction(library: Path, value: float) -> None:
    """As a library of an older version may hold one, without a sum."""
    sql(library, "DELETE FROM sums")
    row = np.full(ColourEncoder.dim, value, np.float16)
    flip(library / "vectors.f16", 7 * ROW_BYTES, row.tobytes())
    report = check(library)
    assert [(one.code, one.n, one.image_ids) for one in report.findings] == [("not_unit", 1, (2,))]
    assert report.findings[0].where[0].endswith("0001.png")
    assert told(repair(library).after) == []
    with opened(library) as one:
        assert one.add().n_added == 1
    assert_sound(library)


def test_a_library_of_an_older_version_gets_its_sums(library: Path, album: Path) -> None:
    sql(library, "DROP TABLE sums", "DROP TABLE dropped")
    (library / "backup.sqlite3").unlink()  # of that version, too
    report = assert_sound(library)
    assert [(note.code, note.n) for note in report.notes] == [("no_sum", 5 * N)]
    with opened(library) as one:
        assert len(one.search("red", limit=3)) == 3
        one.add()  # the next write adds them
    report = assert_sound(library)
    assert (report.notes, report.counts["sums"]) == ([], 1)
    flip(library / "vectors.f16", 3 * ROW_BYTES)
    assert codes(library) == ["bad_sum"]


def test_an_older_version_that_wrote_leaves_a_gap_that_is_filled(library: Path) -> None:
    sql(library, "DELETE FROM sums WHERE first_row = 40")
    assert [(note.code, note.n) for note in assert_sound(library).notes] == [("no_sum", 40)]
    assert repair(library).done == ["added the checksums of 40 rows"]
    assert assert_sound(library).notes == []


def test_what_a_stop_leaves_is_a_note_and_is_cleared(library: Path) -> None:
    with open(library / "vectors.f16", "ab") as file:
        file.write(b"half a batch")
    (library / "manifest.json.new").write_text("{")
    (library / "ann").mkdir()
    (library / "ann" / "tiles.faiss.new").write_text("half")
    report = assert_sound(library)
    assert [(note.code, note.n) for note in report.notes] == [("orphan_tail", 12), ("leftover", 2)]
    assert report.notes[1].where == ("manifest.json.new", "ann/tiles.faiss.new")
    mended = repair(library)
    assert (mended.after.findings, mended.after.notes, mended.kept) == ([], [], [])
    assert sorted(os.listdir(library / "ann")) == []
