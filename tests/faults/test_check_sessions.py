"""The check and the repair of catalogs, sessions and indexes."""

import json
import os
from pathlib import Path

import pytest

from relook.cli.main import main
from relook.core.errors import LibraryBusyError, NotFoundError, StorageError
from relook.core.settings import SearchSettings
from relook.library.check import check
from relook.library.lock import WriterLock
from relook.library.repair import repair
from relook.library.session_table import SessionTable
from relook.search.transfer import export_session

from .check_parts import ROW_BYTES, N, album, codes, flip, library, opened, sql  # noqa: F401  (some are fixtures)
from .parts import assert_sound, stored, told

KEPT = "(77, x'00', x'01', 'title', '', '%s', 0)"  # a row of `tombstones`, with some metadata


@pytest.mark.parametrize(
    ("statement", "code", "n_left"),
    [
        ("UPDATE images SET n_tiles = 4 WHERE image_id = 3", "bad_tiling", N - 1),
        ("UPDATE images SET tiling_id = 9 WHERE image_id = 3", "bad_tiling", N - 1),
        ("UPDATE tilings SET boxes = '[[0, 0, 2]]'", "bad_tiling", 0),
        ("UPDATE images SET first_row = -7 WHERE image_id = 3", "bad_rows", N - 1),
        ("UPDATE images SET first_row = 3 WHERE image_id = 9", "shared_rows", N - 3),
        ("UPDATE images SET metadata = '{half' WHERE image_id = 3", "bad_record", N - 1),
        ("UPDATE images SET path = 'text' WHERE image_id = 3", "bad_record", N - 1),
        ("UPDATE counters SET value = 30 WHERE name = 'end_row'", "bad_counter", N),
        ("DELETE FROM counters", "bad_counter", N),
        ("UPDATE counters SET value = 999999999 WHERE name = 'end_row'", "bad_counter", N),
    ],
)
def test_images_that_do_not_fit_together(
    library: Path, statement: str, code: str, n_left: int
) -> None:
    whole = stored(library)
    sql(library, statement)
    assert codes(library) == [code]
    mended = repair(library)
    assert told(mended.after) == []
    assert len(mended.kept) == 1
    with opened(library) as one:
        assert len(one) == n_left
        one.add()
    assert stored(library) == whole
    assert_sound(library)


@pytest.mark.parametrize(
    ("statement", "code", "done"),
    [
        ("INSERT INTO roots VALUES (NULL)", "bad_row", "took out 1 row of roots"),
        ("UPDATE home SET path = NULL", "bad_row", "took out 1 row of home"),
        ("UPDATE places SET device = 'x'", "bad_row", "took out 1 row of places"),
        ("UPDATE whereabouts SET place_id = 'x'", "bad_row", "emptied 24 rows of whereabouts"),
        ("UPDATE sums SET crc32 = 'x'", "bad_row", "took out 3 rows of sums"),
        ("UPDATE sums SET n_rows = 'x'", "bad_row", "took out 3 rows of sums"),
        ("INSERT INTO skipped VALUES (NULL, 0, 0, 'a', 'b')", "bad_row", "took out 1 row of sk"),
        ("INSERT INTO archives VALUES (x'00', 'a', 1, 1)", "bad_row", "took out 1 row of arch"),
        (f"INSERT INTO tombstones VALUES {KEPT % 'x'}", "bad_row", "emptied 1 row of tombstones"),
        (f"INSERT INTO tombstones VALUES {KEPT % '[]'}", "bad_row", "emptied 1 row of tombstones"),
        ("INSERT INTO dropped VALUES (x'00', 77, '', '', '{')", "bad_row", "emptied 1 row of dro"),
        ("UPDATE counters SET value = 'x'", "bad_catalog", "restored the catalog's backup"),
        ("INSERT INTO counters VALUES (NULL, 5)", "bad_catalog", "restored the catalog's backup"),
    ],
)
def test_values_of_another_kind_than_their_column(
    library: Path, statement: str, code: str, done: str
) -> None:
    """SQLite takes them as they are, and reading them would end in a traceback."""
    whole = stored(library)
    sql(library, statement)
    assert codes(library) == [code]
    mended = repair(library)
    assert told(mended.after) == []
    assert mended.done[0].startswith(done)
    with opened(library) as one:
        one.add()
        one.session(one.sessions()[0].session_id).again("rocchio")
    assert stored(library) == whole
    assert_sound(library)


@pytest.mark.parametrize(
    ("statement", "n_rounds", "n_marks"),
    [
        ("DELETE FROM sessions", 0, 0),
        ("DELETE FROM rounds WHERE number = 0", 0, 0),
        ("DELETE FROM rounds WHERE number = 1", 1, 2),
        ("UPDATE rounds SET hits = '[[' WHERE number = 1", 2, 2),
        ("UPDATE rounds SET parent = 7 WHERE number = 1", 1, 2),
        ("UPDATE sessions SET current_round = 5", 2, 2),
        ("UPDATE judgements SET round = 5 WHERE image_id = 1", 2, 1),
        ("UPDATE judgements SET led_to = 5 WHERE image_id = 1", 2, 2),
        ("UPDATE judgements SET crop = x'00' WHERE image_id = 1", 2, 2),
        ("UPDATE rounds SET parent = 1", 0, 0),
        ("UPDATE rounds SET number = -1 WHERE number = 1", 1, 2),
        ("UPDATE rounds SET hits = '[[1, 0.5, 0], [1, \"x\", 0]]'", 2, 2),
        ("UPDATE rounds SET hits = '[[1, Infinity, 0]]'", 2, 2),
        ("UPDATE rounds SET record = '{\"notes\": 1.5}'", 2, 2),
        ("UPDATE rounds SET record = '[]'", 2, 2),
        ("UPDATE rounds SET record = CAST(x'ff' AS TEXT)", 2, 2),
        ("UPDATE rounds SET strategy = 'other'", 2, 2),
        ("UPDATE sessions SET name = CAST(x'ff' AS TEXT)", 2, 2),
        ("UPDATE sessions SET created_s = 'x'", 2, 2),
        ("UPDATE sessions SET query = '{}'", 0, 0),
        ('UPDATE sessions SET query = \'{"parts": [{"text": "red", "weight": 1e9}]}\'', 2, 2),
        ("UPDATE judgements SET weight = 1e300 WHERE image_id = 1", 2, 1),
        ("UPDATE judgements SET weight = 'x' WHERE image_id = 1", 2, 1),
        ("UPDATE judgements SET box = '[0.8, 0, 0.3, 1]' WHERE image_id = 1", 2, 1),
        ("UPDATE judgements SET image_id = 'x' WHERE image_id = 1", 2, 1),
        ("UPDATE judgements SET image_id = -4 WHERE image_id = 1", 2, 1),
        ("UPDATE judgements SET relevant = 7 WHERE image_id = 1", 2, 2),
        ("UPDATE judgements SET caption = CAST(x'ff' AS TEXT) WHERE image_id = 1", 2, 2),
        ("UPDATE judgements SET caption = hex(zeroblob(9999)) WHERE image_id = 1", 2, 2),
        ("UPDATE judgements SET caption_by = 'x' WHERE image_id = 1", 2, 2),
        ("UPDATE judgements SET led_to = 'x' WHERE image_id = 1", 2, 2),
    ],
)
def test_sessions_that_do_not_fit_together(
    library: Path, statement: str, n_rounds: int, n_marks: int
) -> None:
    sql(library, statement)
    assert set(codes(library)) <= {"bad_session", "foreign_key"}
    assert not check(library).sound
    assert told(repair(library).after) == []
    with opened(library) as one:
        sessions = [one.session(row.session_id) for row in one.sessions()]
        assert sum(len(session.rounds) for session in sessions) == n_rounds
        assert sum(len(session.all_judgements) for session in sessions) == n_marks
        for session in sessions:
            data = json.dumps(export_session(session))
            (library.parent / "session.json").write_text(data)
            assert one.import_session(library.parent / "session.json")[1] == ()
            session.again("rocchio")


def test_marks_of_images_that_are_nowhere_are_told_and_kept(library: Path) -> None:
    """A tombstone is somewhere; an image that left no trace is not."""
    with opened(library) as one:
        one.forget(one.image(1).path)
    assert assert_sound(library).notes == []
    sql(library, "UPDATE judgements SET image_id = 999 WHERE image_id = 20")
    [note] = assert_sound(library).notes
    assert (note.code, note.n) == ("lost_image", 1)
    assert "1 judgement of images that are not there" in note.message
    assert repair(library).done == []


def test_a_session_without_a_page_as_an_older_version_could_leave_it(library: Path) -> None:
    sql(
        library,
        "INSERT INTO sessions VALUES ('x', 'red', '{\"parts\": [{\"text\": \"red\"}]}', 0, 1.0)",
    )
    assert [note.code for note in assert_sound(library).notes] == ["empty_session"]
    assert repair(library).done == ["took out 1 session without a page"]
    with opened(library) as one:
        assert len(one.sessions()) == 1


def test_a_session_is_there_with_its_page_or_not_at_all(
    library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stop between the two leaves nothing; the same for a session that is imported."""
    with opened(library) as one:
        known = [row.session_id for row in one.sessions()]
        told_of = export_session(one.session(known[0]))
        (tmp_path / "session.json").write_text(json.dumps(told_of))

        def stopped(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(SessionTable, "add_round", stopped)
        for begin in (
            lambda: one.look("red"),
            lambda: one.import_session(tmp_path / "session.json"),
        ):
            with pytest.raises(KeyboardInterrupt):
                begin()
        assert [row.session_id for row in one.sessions()] == known
    assert assert_sound(library).notes == []


@pytest.mark.parametrize("harm", ["garbage", "other vectors", "no card", "older version"])
def test_the_index(library: Path, harm: str) -> None:
    settings = SearchSettings(exact_rows=50)
    assert [note.code for note in check(library, settings).notes] == ["no_index"]
    assert repair(library, settings).done == ["built the index anew"]
    assert check(library, settings).notes == []
    card = library / "ann" / "index-0.json"
    if harm == "garbage":
        flip(next((library / "ann").glob("*.faiss")), 300)
    elif harm == "no card":
        card.unlink()
    elif harm == "older version":
        card.write_text(json.dumps({**json.loads(card.read_text()), "format": 3}))
    else:
        told_of = json.loads(card.read_text())
        told_of["segments"][0]["rows_crc32"] = 1
        card.write_text(json.dumps(told_of))
    report = check(library, settings)
    if harm == "no card":  # as a stop leaves it: no damage
        assert (report.sound, [note.code for note in report.notes]) == (True, ["no_index"])
    elif harm == "older version":
        assert (report.sound, [note.code for note in report.notes]) == (True, ["other_index"])
    else:
        assert [one.code for one in report.findings] == ["bad_index"]
    assert repair(library, settings).done == ["built the index anew"]
    assert check(library, settings).notes == []


@pytest.mark.parametrize(("card", "code"), [("{", "bad_index"), ("", "other_index")])
def test_an_index_of_a_library_that_needs_none_goes(library: Path, card: str, code: str) -> None:
    """And the check says so, not that it would build it, nor that searches are slow."""
    repair(library, SearchSettings(exact_rows=50))
    path = library / "ann" / "index-0.json"
    path.write_text(card or json.dumps({**json.loads(path.read_text()), "format": 3}))
    report = check(library)
    [finding] = [*report.findings, *report.notes]
    assert (finding.code, report.sound) == (code, code == "other_index")
    assert "slow" not in finding.message
    assert finding.repair == "remove it; so few tiles need none, and searches are exact"
    mended = repair(library)
    assert mended.done == ["removed the index; so few tiles need none, and searches are exact"]
    assert mended.after.notes == []
    assert os.listdir(library / "ann") == []
    assert_sound(library)


def test_there_is_nothing_to_check(tmp_path: Path) -> None:
    for look in (check, repair):
        with pytest.raises(NotFoundError, match="there is no library"):
            look(tmp_path / "nowhere")


def test_a_repair_waits_for_the_writer(library: Path) -> None:
    with WriterLock(library):
        assert_sound(library)  # a check does not
        with pytest.raises(LibraryBusyError):
            repair(library)


def test_a_damaged_catalog_is_not_replaced_under_a_server(library: Path) -> None:
    with opened(library) as one:
        one.search("red")
        flip(library / "catalog.sqlite3", 4096, b"\xff" * 4096)
        with pytest.raises(LibraryBusyError, match=r"has .* open, which must be replaced"):
            repair(library)
    assert told(repair(library).after) == []


def test_the_command(library: Path, album: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def ask(*words: str) -> tuple[int, str]:
        code = main(["doctor", *words, "--library", str(library)])
        return code, capsys.readouterr().out

    code, out = ask("--check", "--json")
    assert (code, json.loads(out)["sound"], json.loads(out)["findings"]) == (0, True, [])
    flip(library / "vectors.f16", 3 * ROW_BYTES)
    code, out = ask("--check")
    assert code == 1
    assert out.startswith(f"damaged, 1 finding: {library} (24 images, 1 sessions, 120 rows")
    assert "finding[bad_sum]: " in out
    assert "  --repair would: take them out, keep their words and ids" in out
    code, out = ask("--check", "--json")
    assert (code, [one["code"] for one in json.loads(out)["findings"]]) == (1, ["bad_sum"])
    assert json.loads(out)["findings"][0]["where"] == ["rows 0 to 39"]
    code, out = ask("--repair")
    assert (code, out.splitlines()[0]) == (
        0, "took out 8 images; index again what is missing: relook index",
    )  # fmt: skip
    code, out = ask("--repair", "--json")
    assert (code, json.loads(out)["done"], json.loads(out)["sound"]) == (0, [], True)
    (library / "manifest.json").write_text('{"format_version": 99}')
    assert ask("--repair")[0] == 1


def test_a_catalog_that_is_gone_or_not_one(library: Path, album: Path) -> None:
    """The backup of the run of indexing has every picture; without one they are indexed again."""
    whole = stored(library)
    for harm, n_added in (("gone", 0), ("text", 0), ("no backup", N)):
        for log in ("-wal", "-shm", ""):
            (library / f"catalog.sqlite3{log}").unlink(missing_ok=True)
        if harm == "text":
            (library / "catalog.sqlite3").write_text("this was a catalog " * 999)
        if harm == "no backup":
            (library / "backup.sqlite3").unlink()
        assert codes(library) == ["bad_catalog"]
        assert told(repair(library).after) == []
        with opened(library) as one:
            assert one.add(album).n_added == n_added
        assert stored(library) == whole
        assert_sound(library)


def test_damage_that_cannot_be_cleared_is_said(
    library: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk does not take the zeros: the command says so, and running it again goes on."""
    flip(library / "vectors.f16", 3 * ROW_BYTES)

    def failing(*_: object) -> int:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "pwrite", failing)
    with pytest.raises(StorageError, match=r"cannot write .*vectors.f16: Input/output error"):
        repair(library)
    monkeypatch.undo()
    assert told(repair(library).after) == []
