"""Several servers, each with a library of its own, over one collection of Milvus."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from library_parts import ids, many, names
from milvus_parts import MilvusProcess
from PIL import Image
from shared_parts import SMALL, N, Opener, address, album, milvus, opened, raw, vectors  # noqa: F401  (some are fixtures)

import relook
from relook.app.clusters import attach
from relook.app.upkeep import compact_library, index_recall
from relook.cli.main import main
from relook.cluster.milvus_log import Journal
from relook.core.errors import InputError, LibraryBusyError
from relook.core.settings import SearchSettings
from relook.library.catalog import Catalog
from relook.library.check import check
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock
from relook.library.manifest import COMPACTED_VERSION
from relook.library.records import FileFacts
from relook.library.repair import repair
from relook.testing import solid


def told(page: relook.Page) -> list[tuple[object, ...]]:
    return [(hit.image_id, hit.path, hit.tile, round(hit.score, 5)) for hit in page]


def test_two_servers_find_what_a_library_on_one_machine_finds(
    opened: Opener, album: Path, address: str, tmp_path: Path
) -> None:
    alone, first = opened("alone"), opened("first", address)
    report = first.add(album, settings=SMALL)
    assert (report.n_added, report.n_images) == (N, N)
    alone.add(album)
    assert vectors(first) == vectors(alone)
    facts = attach(address, tmp_path / "second")
    assert (facts["n_images"], facts["n_new"], facts["encoder"]) == (N, N, "colour")
    second = opened("second")
    for query, only in (("red", {}), ("blue + green", {"path": "*1*"}), ("white", {})):
        expected = told(alone.search(query, limit=9, **only))
        assert len(expected) == 9
        assert told(first.search(query, limit=9, **only)) == expected
        assert told(second.search(query, limit=9, **only)) == expected
    assert not (tmp_path / "first" / "vectors.f16").exists()


def test_a_loop_of_marks_is_the_same_over_milvus(opened: Opener, album: Path, address: str) -> None:
    pages = []
    for library in (opened("alone"), opened("shared", address)):
        library.add(album)
        session = library.look("red", limit=5)
        session.judge(session.page[1], relevant=True)
        session.judge(session.page[0], relevant=False)
        session.again()
        pages.append(told(session.page))
        assert len(library.sessions()) == 1
    assert pages[0] == pages[1]
    assert len(opened("shared").sessions()) == 1
    assert len(opened("alone").sessions()) == 1


def test_changes_reach_the_other_server_and_sessions_stay_here(
    opened: Opener, album: Path, address: str, tmp_path: Path
) -> None:
    first = opened("first", address)
    first.add(album)
    attach(address, tmp_path / "second")
    second = opened("second")
    second.look("red", limit=3)
    before = ids(second)
    (album / "0001.png").unlink()
    (album / "0002.png").rename(album / "moved.png")
    solid("red").save(album / "0003.png")
    solid("red", 31).save(album / "new.png")
    sidecar = tmp_path / "words.jsonl"
    sidecar.write_text(json.dumps({"file": "0004.png", "title": "Named", "metadata": {"k": "v"}}))
    report = first.add(album, metadata=sidecar)
    assert (report.n_added, report.n_updated, report.n_moved, report.n_removed) == (1, 1, 1, 1)
    assert attach(address, tmp_path / "second")["n_new"] == 0
    assert vectors(second) == vectors(first)
    after = ids(second)
    assert after == ids(first)
    assert after["moved.png"] == before["0002.png"]
    assert after["0003.png"] == before["0003.png"]
    assert after["new.png"] > max(before.values())
    assert sorted(names(second.search("red", limit=2))) == ["0003.png", "new.png"]
    assert names(second.search("red", where={"title": "named"})) == ["0004.png"]
    assert (len(second.sessions()), len(first.sessions())) == (1, 0)
    shared = second.files.shared
    assert shared is not None
    assert shared.milvus.count(shared.address.collection, "row >= 0") == 5 * N


def test_a_search_takes_in_news_by_itself_but_does_not_ask_all_the_time(
    opened: Opener, album: Path, address: str, tmp_path: Path
) -> None:
    first = opened("first", address)
    first.add(album)
    attach(address, tmp_path / "second")
    second = opened("second")
    shared = second.files.shared
    assert shared is not None
    now_s = [100.0]
    shared._clock = lambda: now_s[0]
    assert len(second.search("red", limit=2 * N)) == N
    solid("red").save(album / "new.png")
    first.add(album)
    assert len(second.search("red", limit=2 * N)) == N
    now_s[0] += 2.5
    assert names(second.search("red", limit=2 * N))[0] == "new.png"


def test_the_other_server_may_write_too_but_not_at_once(
    opened: Opener, album: Path, address: str, tmp_path: Path
) -> None:
    first = opened("first", address)
    first.add(album)
    attach(address, tmp_path / "second")
    second = opened("second")
    with pytest.raises(LibraryBusyError, match="is writing to the collection") as raised:
        second.add(album)
    assert raised.value.code == "store_busy"
    first.close()
    many(album, 2, start=N)
    assert second.add(album).n_added == 2
    assert second.forget(album / "0000.png") == 1
    second.close()
    third = opened("first")
    assert vectors(third) == vectors(opened("second"))
    assert len(vectors(third)) == N + 1


def test_a_commit_of_another_writer_meanwhile_is_not_written_over(
    opened: Opener, album: Path, address: str
) -> None:
    first = opened("first", address)
    first.add(album)
    files = first.files
    expected = vectors(first)
    writer = files.writer_vectors()
    journal = Journal(raw(address), Path("elsewhere"))
    generation = files.catalog.counter("store_generation")
    commits = journal.after(0)
    journal.append(generation, [commits[-1]])  # what a writer whose turn ran out may still do
    image = next(files.catalog.each_image())
    change = "UPDATE images SET title = 'mine' WHERE image_id = ?"
    with (
        pytest.raises(LibraryBusyError, match="changed this collection meanwhile"),
        files.catalog.transaction() as db,
    ):
        db.execute(change, (image.image_id,))
    assert files.catalog.images([image.image_id]) == [image]
    assert len(writer) == 5 * N
    assert vectors(first) == expected


def test_an_id_is_given_once_whichever_server_gives_it(
    opened: Opener, album: Path, address: str, tmp_path: Path
) -> None:
    first = opened("first", address)
    first.add(album)
    last = max(ids(first).values())
    assert first.forget(first.image(last).path) == 1
    first.close()
    attach(address, tmp_path / "second")
    second = opened("second")
    solid("red").save(album / "new.png")
    second.add(album / "new.png")
    assert ids(second)["new.png"] == last + 1
    second.close()
    assert opened("first").forget(album / "new.png") == 1  # it knows of what it never asked for


def test_names_that_are_no_utf8_and_long_words_arrive(
    opened: Opener, tmp_path: Path, address: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    Image.new("RGB", (30, 30), "red").save(tmp_path / "plain.png")
    os.rename(tmp_path / "plain.png", os.path.join(folder, b"\xe9t\xe9 \xf0\x9f\x98\x80.png"))
    solid("blue").save(tmp_path / "odd" / "blue.png")
    words = {"file": "blue.png", "caption": "ä" * 40_000, "metadata": {"k": "x" * 70_000}}
    (tmp_path / "words.jsonl").write_text(json.dumps(words))
    first = opened("first", address)
    first.add(tmp_path / "odd", metadata=tmp_path / "words.jsonl")
    assert "other servers see less" in caplog.text
    attach(address, tmp_path / "second")
    second = opened("second")
    assert vectors(second) == vectors(first)
    there = {one.facts.path: one for one in second.files.catalog.each_image()}
    blue = there[os.fsencode(tmp_path / "odd" / "blue.png")]
    assert (blue.caption, blue.metadata) == ("ä" * 30_000, {})
    here = next(iter(first.files.catalog.images([blue.image_id])))
    assert len(here.caption) == 40_000


def test_the_commands(
    milvus: MilvusProcess, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    solid("red").save(tmp_path / "red.png")
    store = milvus.address("commands")
    index = ["index", str(tmp_path / "red.png"), "--library", str(tmp_path / "a"), "--json"]
    assert main([*index, "--store", store]) == 0
    assert json.loads(capsys.readouterr().out)["n_added"] == 1
    assert main(["attach", store, "--library", str(tmp_path / "b"), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["n_images"], facts["encoder"]) == (1, "builtin")
    assert facts["store"] == store.removesuffix("?index=FLAT")
    assert main(["search", "red", "--library", str(tmp_path / "b"), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["hits"]) == 1
    assert main(["index", "--library", str(tmp_path / "b"), "--store", "nonsense"]) == 1
    assert "error[bad_store]" in capsys.readouterr().err


def test_a_read_only_catalog_is_searched_as_it_is(
    opened: Opener, album: Path, address: str
) -> None:
    first = opened("first", address)
    first.add(album)
    files = first.files
    catalog = Catalog(files.catalog.path, writable=False)
    with LibraryFiles(files.folder, files.manifest, catalog) as reading:
        assert not reading.refresh()
        rows = np.arange(5, dtype=np.int64)
        assert np.array_equal(reading.vectors.rows(rows), files.vectors.rows(rows))
        found, _ = reading.store(SearchSettings()).search(files.vectors.rows(rows[:1]), 3)
        assert found.shape == (1, 3)


def test_what_is_said_of_images_meanwhile_leaves_rows_on_their_way_alone(
    opened: Opener, album: Path, address: str
) -> None:
    """A sidecar gives an image words while the next batch is between its rows and its commit."""
    first = opened("first", address)
    first.add(album)
    files = first.files
    known = files.catalog.images([1])[0]
    rows = np.eye(16, dtype=np.float32)[: known.n_tiles]
    with WriterLock(first.folder):
        start = files.writer_vectors().append(rows)
        with files.catalog.transaction() as db:
            files.catalog.put(db, replace(known, title="said meanwhile"))
            files.catalog.bump(db)
        path = os.fsencode(album / "next.png")
        added = replace(known, facts=FileFacts(path, 1, 1), image_id=0, first_row=start)
        with files.catalog.transaction() as db:
            files.catalog.put(db, added)
            files.catalog.bump(db, start + len(rows))
    assert vectors(first)[path] == rows.tobytes()
    attach(address, album.parent / "second")
    second = opened("second")
    assert vectors(second) == vectors(first)
    assert second.image(1).title == "said meanwhile"


def test_upkeep_of_a_shared_library_says_what_does_not_apply(
    opened: Opener, album: Path, address: str
) -> None:
    first = opened("first", address)
    first.add(album, settings=SMALL)
    first.forget(album / "0000.png")
    place = address.removesuffix("?index=FLAT")
    for upkeep in (lambda: compact_library(first), lambda: repair(first.folder)):
        with pytest.raises(InputError, match=re.escape(place)) as caught:
            upkeep()
        assert caught.value.code == "not_for_shared"
    report = check(first.folder)
    assert report.sound
    assert [(note.code, note.n) for note in report.notes] == [("shared", 1)]
    assert index_recall(first)["index"] == "milvus"
    assert not first.files.needs_index(SearchSettings(exact_rows=1))
    assert first.files.catalog.ask("SELECT * FROM sums") == []
    assert first.info()["format_version"] == COMPACTED_VERSION  # older ones must not open it


def test_an_open_library_forgets_the_rows_that_another_server_replaced(
    opened: Opener, album: Path, address: str
) -> None:
    first = opened("first", address)
    first.add(album)
    attach(address, album.parent / "second")
    files = opened("second").files
    files.refresh(now=True)
    assert len(files.row_table) == N
    solid("white").save(album / "0003.png")
    os.utime(album / "0003.png", ns=(7, 7))
    assert first.add(album).n_updated == 1
    files.refresh(now=True)
    assert len(files.row_table) == N
    assert files.row_table.tolist() == files.catalog.row_table().tolist()
