"""Vector file, manifest, catalog and lock: each keeps its promise when things go wrong."""

import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from relook.core.errors import (
    InputError,
    LibraryBusyError,
    LibraryFormatError,
    NotFoundError,
    StorageError,
)
from relook.core.picture_paths import displaced_path, printable
from relook.core.types import WHOLE, Box
from relook.encoders.base import Fingerprint
from relook.library.catalog import Catalog
from relook.library.files import LibraryFiles
from relook.library.lock import WriterLock
from relook.library.manifest import FORMAT_VERSION, Manifest
from relook.library.records import FileFacts, ImageRecord, SkippedFile
from relook.library.vector_file import VectorFile

PRINT = Fingerprint("colour", "1", "none", "none", 4, "float32")


def rows(n: int, start: int = 0) -> np.ndarray:
    return (np.arange(n * 4, dtype=np.float32).reshape(n, 4) + start) / 64


def test_vectors_come_back_as_they_were_appended(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "v", 4, 0)
    assert file.block(0, 0).shape == (0, 4)
    assert file.append(rows(3)) == 0
    assert file.append(rows(2, 100)) == 3
    assert len(file) == 5
    assert file.block(1, 4).tolist() == [*rows(3)[1:].tolist(), rows(2, 100)[0].tolist()]
    assert file.rows(np.array([4, 0])).tolist() == [rows(2, 100)[1].tolist(), rows(3)[0].tolist()]
    again = VectorFile(tmp_path / "v", 4, 5)
    assert again.block(0, 5).tolist() == file.block(0, 5).tolist()


def test_rows_that_no_catalog_names_are_cut_and_never_read(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "v", 4, 0)
    file.append(rows(5))
    with open(tmp_path / "v", "ab") as raw:
        raw.write(b"half a row")
    behind_a_kill = VectorFile(tmp_path / "v", 4, 3)
    assert len(behind_a_kill) == 3
    assert behind_a_kill.block(0, 9).tolist() == rows(3).tolist()
    assert (tmp_path / "v").stat().st_size == 5 * 8 + 10
    behind_a_kill.cut_tail()
    assert (tmp_path / "v").stat().st_size == 3 * 8
    assert behind_a_kill.append(rows(1, 200)) == 3
    assert VectorFile(tmp_path / "v", 4, 4).block(3, 4).tolist() == rows(1, 200).tolist()


def test_a_vector_file_that_is_too_short_is_refused(tmp_path: Path) -> None:
    VectorFile(tmp_path / "v", 4, 0).append(rows(2))
    with pytest.raises(LibraryFormatError, match="holds 2 rows; the catalog names 3") as raised:
        VectorFile(tmp_path / "v", 4, 3)
    assert raised.value.code == "vectors_missing"


def test_an_append_that_fails_leaves_the_file_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = VectorFile(tmp_path / "v", 4, 0)
    file.append(rows(2))
    before = (tmp_path / "v").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left on device") as raised:
        file.append(rows(3))
    assert raised.value.code == "disk_refused"
    assert (tmp_path / "v").read_bytes() == before
    monkeypatch.undo()
    assert file.append(rows(1, 50)) == 2
    assert file.block(0, 3).tolist() == [*rows(2).tolist(), *rows(1, 50).tolist()]


def test_an_append_waits_for_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    real = os.fsync

    def fsync(descriptor: int) -> None:
        synced.append(os.fstat(descriptor).st_size)
        real(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    VectorFile(tmp_path / "v", 4, 0).append(rows(3))
    assert synced == [24]


def test_rows_can_be_taken_back(tmp_path: Path) -> None:
    file = VectorFile(tmp_path / "v", 4, 0)
    file.append(rows(4))
    file.take_back(1)
    assert file.block(0, 9).tolist() == rows(1).tolist()
    assert (tmp_path / "v").stat().st_size == 8
    file.close()
    file.close()


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    Manifest("colour", PRINT).write(tmp_path)
    assert Manifest.read(tmp_path) == Manifest("colour", PRINT, 1)
    assert os.listdir(tmp_path) == ["manifest.json"]


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"format_version": "x"}', '{"format_version": 1}', "\udcff"]
)
def test_a_broken_manifest_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(LibraryFormatError) as raised:
        Manifest.read(tmp_path)
    assert raised.value.code == "bad_manifest"
    assert str(tmp_path) in raised.value.message


def test_a_newer_format_is_refused_with_both_numbers(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text(json.dumps({"format_version": FORMAT_VERSION + 6}))
    with pytest.raises(
        LibraryFormatError, match="has format 9; this Relook reads up to 3"
    ) as raised:
        Manifest.read(tmp_path)
    assert raised.value.code == "newer_format"
    assert raised.value.hint.startswith("upgrade relook")


def test_a_fingerprint_ignores_fields_of_newer_versions() -> None:
    assert Fingerprint.from_dict({**PRINT.as_dict(), "colour_space": "new"}) == PRINT


def test_a_manifest_that_cannot_be_written_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Manifest("colour", PRINT).write(tmp_path)
    before = (tmp_path / "manifest.json").read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageError, match="No space left"):
        Manifest("other", PRINT).write(tmp_path)
    assert (tmp_path / "manifest.json").read_bytes() == before
    assert os.listdir(tmp_path) == ["manifest.json"]


def record(path: bytes, row: int, **fields: object) -> ImageRecord:
    facts = FileFacts(path, 10, 20)
    values = {"content": path[:16], "width_px": 3, "height_px": 4, "format": "PNG", "dhash": -5}
    values |= {"first_row": row, "n_tiles": 2, "tiling_id": 1}
    return ImageRecord(facts, **{**values, **fields})  # type: ignore[arg-type]


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    made = Catalog(tmp_path / "c.sqlite3", writable=True)
    with made.transaction() as db:
        assert made.tiling_id(db, (WHOLE, Box(0, 0, 0.5, 0.5))) == 1
        made.put(db, record(b"/p/a.jpg", 0, title="École", metadata={"year": 1999, "who": "Ann"}))
        made.put(db, record(b"/p/b [1].jpg", 2, caption="100%", metadata={"who": "anna"}))
        made.put(db, record(b"/q/odd\xff.jpg", 4, metadata={"ÉTAT": "Été"}))
        made.bump(db, 6)
    return made


def test_records_come_back_in_the_order_asked_for(catalog: Catalog) -> None:
    found = catalog.images([3, 1])
    assert [image.facts.path for image in found] == [b"/q/odd\xff.jpg", b"/p/a.jpg"]
    assert found[1] == record(
        b"/p/a.jpg", 0, title="École", metadata={"year": 1999, "who": "Ann"}, image_id=1
    )
    assert os.fsencode(found[0].path) == b"/q/odd\xff.jpg"
    assert catalog.tiling(1) == (WHOLE, Box(0, 0, 0.5, 0.5))
    assert catalog.row_table().tolist() == [[0, 2, 1], [2, 2, 2], [4, 2, 3]]
    assert (catalog.end_row(), catalog.n_tiles(), catalog.generation()) == (6, 6, 1)
    now = catalog.snapshot()
    assert (now.generation, now.end_row, now.rows.tolist()) == (1, 6, catalog.row_table().tolist())


@pytest.mark.parametrize("image_id", [0, -1, 4, 2**63, 10**30])
def test_an_image_that_is_not_there_is_named(catalog: Catalog, image_id: int) -> None:
    with pytest.raises(NotFoundError, match=f"no image {image_id}$|no image {image_id} ") as raised:
        catalog.images([1, image_id])
    assert raised.value.code == "no_image"
    assert [r.image_id for r in catalog.images([2, image_id, 1], missing_ok=True)] == [2, 1]


def test_a_transaction_that_fails_changes_nothing(catalog: Catalog) -> None:
    def half(error: BaseException) -> None:
        with catalog.transaction() as db:
            catalog.put(db, record(b"/p/new.jpg", 6))
            catalog.bump(db, 8)
            raise error

    for error in (RuntimeError("stop"), KeyboardInterrupt()):
        with pytest.raises(type(error)):
            half(error)
    assert (catalog.count("images"), catalog.end_row()) == (3, 6)


def test_two_images_never_share_a_path_or_a_row(catalog: Catalog) -> None:
    def put(image: ImageRecord) -> None:
        with catalog.transaction() as db:
            catalog.put(db, image)

    for image in (record(b"/p/a.jpg", 9), record(b"/p/z.jpg", 2)):
        with pytest.raises(LibraryFormatError):
            put(image)
    assert catalog.count("images") == 3


@pytest.mark.parametrize(
    ("where", "path", "ids"),
    [
        ({}, None, [1, 2, 3]),
        ({"who": "ann"}, None, [1]),
        ({"who": "ANN*"}, None, [1, 2]),
        ({"who": "?nna"}, None, [2]),
        ({"who": "[a]nn"}, None, []),
        ({"year": "1999"}, None, [1]),
        ({"year": "*"}, None, [1]),
        ({"title": "École"}, None, [1]),
        ({"title": "éCOLE"}, None, [1]),
        ({"ÉTAT": "ÉTÉ"}, None, [3]),
        ({"caption": "100%"}, None, [2]),
        ({"format": "png", "who": "anna"}, None, [2]),
        ({"who": "ann", "year": "2000"}, None, []),
        ({}, "/P/", [1, 2]),
        ({}, "b [1]", [2]),
        ({}, "*.jpg", [1, 2, 3]),
        ({}, "/p/*", [1, 2]),
        ({}, "odd\udcff", [3]),
        ({}, "x?y", []),
        ({"who": "*"}, "a.jpg", [1]),
        ({"back\\slash": "x"}, None, []),
        ({"dot.ted": "x"}, None, []),
    ],
)
def test_filters(catalog: Catalog, where: dict[str, str], path: str | None, ids: list[int]) -> None:
    assert catalog.matching(where, path).tolist() == ids


@pytest.mark.parametrize("key", ["", 'a"b'])
def test_a_key_that_cannot_be_one_is_refused(catalog: Catalog, key: str) -> None:
    with pytest.raises(InputError) as raised:
        catalog.matching({key: "x"}, None)
    assert raised.value.code == "bad_filter"


def test_a_skipped_file_is_forgotten_once_it_is_an_image(catalog: Catalog) -> None:
    skipped = SkippedFile(FileFacts(b"/p/new.jpg", 1, 2), "truncated", "it ends")
    with catalog.transaction() as db:
        catalog.put_skipped(db, skipped)
    assert catalog.skipped() == [skipped]
    with catalog.transaction() as db:
        catalog.put(db, record(b"/p/new.jpg", 6))
    assert catalog.skipped() == []


def test_ids_are_never_given_twice(catalog: Catalog) -> None:
    with catalog.transaction() as db:
        db.execute("DELETE FROM images WHERE image_id = 3")
        assert catalog.put(db, record(b"/p/new.jpg", 6)) == 4


def test_a_file_that_is_no_catalog_is_refused(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"this is not a database, it is text" * 100)
    with pytest.raises(LibraryFormatError) as raised:
        Catalog(tmp_path / "c", writable=True)
    assert raised.value.code == "bad_catalog"
    sqlite3.connect(tmp_path / "other").execute("CREATE TABLE other (x)").connection.close()
    with pytest.raises(LibraryFormatError):
        Catalog(tmp_path / "other", writable=False)


def test_a_catalog_can_be_read_while_another_process_could_write(catalog: Catalog) -> None:
    reader = Catalog(catalog.path, writable=False)
    with catalog.transaction() as db:
        catalog.bump(db, 8)
    assert reader.end_row() == 8
    with pytest.raises(StorageError), reader.transaction() as db:
        reader.bump(db)
    reader.close()
    reader.close()


def test_the_second_lock_is_told_who_has_it(tmp_path: Path) -> None:
    with WriterLock(tmp_path):
        with pytest.raises(LibraryBusyError, match=f"process {os.getpid()} is writing") as raised:
            WriterLock(tmp_path).__enter__()
        assert raised.value.code == "library_busy"
    with WriterLock(tmp_path):
        pass
    assert not (tmp_path / "writer.pid").exists()


def test_a_lock_that_cannot_say_its_number_is_let_go(tmp_path: Path) -> None:
    (tmp_path / "writer.pid").mkdir()
    lock = WriterLock(tmp_path)
    with pytest.raises(StorageError):
        lock.__enter__()
    (tmp_path / "writer.pid").rmdir()
    with WriterLock(tmp_path):
        pass


def test_a_library_without_its_catalog_or_its_manifest_is_not_taken_for_an_empty_one(
    tmp_path: Path,
) -> None:
    files = LibraryFiles.create(tmp_path, "colour", PRINT)
    with files.catalog.transaction() as db:
        files.catalog.bump(db, 0)
    files.close()
    manifest = (tmp_path / "manifest.json").read_bytes()
    (tmp_path / "manifest.json").unlink()
    LibraryFiles.create(tmp_path, "colour", PRINT).close()  # nothing was in it
    (tmp_path / "catalog.sqlite3").unlink()
    with pytest.raises(LibraryFormatError) as raised:
        LibraryFiles.open(tmp_path)
    assert raised.value.code == "bad_catalog"
    assert (tmp_path / "manifest.json").read_bytes() == manifest


def test_a_catalog_of_images_without_a_manifest_is_refused(tmp_path: Path) -> None:
    files = LibraryFiles.create(tmp_path, "colour", PRINT)
    with files.catalog.transaction() as db:
        files.catalog.bump(db, 5)
    files.close()
    (tmp_path / "manifest.json").unlink()
    with pytest.raises(LibraryFormatError) as raised:
        LibraryFiles.create(tmp_path, "other", PRINT)
    assert raised.value.code == "bad_manifest"


def test_a_folder_with_other_files_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "holiday.jpg").touch()
    with pytest.raises(InputError, match=r"holds other files \('holiday.jpg', for one\)") as raised:
        LibraryFiles.create(tmp_path, "colour", PRINT)
    assert raised.value.code == "folder_in_use"
    assert os.listdir(tmp_path) == ["holiday.jpg"]


def test_odd_bytes_of_a_path_become_one_mark_each() -> None:
    assert printable(b"a\xff\xfe.jpg") == "a\ufffd\ufffd.jpg" == printable("a\udcff\udcfe.jpg")
    away = displaced_path(b"/p/a.jpg", 12)
    assert printable(away) == "/p/a.jpg" == printable(away.decode())


def test_text_is_printable_in_an_old_locale() -> None:
    code = r"from relook.core.picture_paths import printable; print(ascii(printable('\xc9\udcff')))"
    env = {**os.environ, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "'\\xc9\\ufffd'\n"
