"""A shared library whose writer dies, whose Milvus goes, or whose collection is not its own."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from library_parts import names
from milvus_parts import MilvusProcess, free_port
from shared_parts import SMALL, N, Opener, address, album, milvus, opened, raw, vectors  # noqa: F401  (some are fixtures)

import relook
from relook.app.clusters import attach
from relook.cluster.milvus_log import Identity, Journal
from relook.core.errors import (
    EncoderMismatchError,
    InputError,
    LibraryFormatError,
    NotFoundError,
    StorageError,
    StoreError,
)
from relook.core.progress import Progress
from relook.library.report import Stop
from relook.testing import ColourEncoder, solid


def stop_after(n: int) -> Callable[[Progress], None]:
    def progress(now: Progress) -> None:
        if now.stage == "indexing" and now.done >= n:
            raise Stop

    return progress


class Died(BaseException):
    pass


def die(*_: object) -> None:
    raise Died


@pytest.mark.parametrize("moment", ["rows", "journal", "deletion"])
def test_a_writer_that_dies_in_a_commit_leaves_nothing_double(
    opened: Opener, album: Path, address: str, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dies behind the new rows, behind their record, or before it deletes what they replace."""
    first = opened("first", address)
    first.add(album, settings=SMALL, progress=stop_after(8))
    n_before = len(vectors(first))
    assert 0 < n_before < N
    solid("red").save(album / "0000.png")

    if moment == "rows":
        monkeypatch.setattr(Journal, "append", die)
    elif moment == "deletion":
        monkeypatch.setattr("relook.cluster.milvus_library.Shared._delete", die)
    else:
        appended = Journal.append
        monkeypatch.setattr(Journal, "append", lambda *a: die(appended(*a)))
    with pytest.raises(Died):
        first.add(album, settings=SMALL)
    monkeypatch.undo()
    files = first.files
    shared = files.shared
    assert shared is not None
    n_left = shared.milvus.count(shared.address.collection, "row >= 0")
    assert n_left > 5 * files.catalog.count("images"), "it left rows that nothing here names"
    first.close()
    second = opened("first")
    second.add(album, settings=SMALL)
    alone = opened("alone")
    alone.add(album)
    assert vectors(second) == vectors(alone)
    joined = opened("joined", encoder=None)
    attach(address, joined.folder)
    assert vectors(opened("joined")) == vectors(alone)
    shared = second.files.shared
    assert shared is not None
    assert shared.milvus.count(shared.address.collection, "row >= 0") == 5 * N


def test_rows_that_nobody_commits_go_when_the_next_writer_begins(
    opened: Opener, album: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = opened("first", address)
    first.add(album)
    solid("red").save(album / "new.png")

    monkeypatch.setattr(Journal, "append", die)
    with pytest.raises(Died):
        first.add(album)
    monkeypatch.undo()
    shared = first.files.shared
    assert shared is not None
    assert shared.milvus.count(shared.address.collection, "row >= 0") == 5 * (N + 1)
    assert names(first.search("red", limit=1)) != ["new.png"]
    (album / "new.png").unlink()
    first.add(album)
    assert shared.milvus.count(shared.address.collection, "row >= 0") == 5 * N


RUNNER = """
import sys, relook
from relook.core.settings import IndexSettings
from relook.testing import ColourEncoder
print("ready", flush=True)
with relook.Library(sys.argv[1], encoder=ColourEncoder(), store=sys.argv[3]) as library:
    tell = lambda now: print(now.stage, now.done, flush=True)
    library.add(sys.argv[2], settings=IndexSettings(batch=4, commit_every=4), progress=tell)
"""


def test_a_killed_writer_is_forgotten_at_once_and_another_server_goes_on(
    opened: Opener, album: Path, address: str, tmp_path: Path
) -> None:
    command = [sys.executable, "-c", RUNNER, str(tmp_path / "first"), str(album), address]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line == "indexing 12\n":
                process.kill()
    assert process.returncode == -signal.SIGKILL
    n_there = attach(address, tmp_path / "second")["n_images"]
    assert 4 <= n_there < N
    second, alone = opened("second"), opened("alone")
    assert second.add(album).n_added == N - n_there
    alone.add(album)
    assert vectors(second) == vectors(alone)
    second.close()
    assert vectors(opened("first")) == vectors(alone)


def test_milvus_is_down_at_the_start(opened: Opener, album: Path, tmp_path: Path) -> None:
    nobody = f"milvus://127.0.0.1:{free_port()}/pictures"
    with pytest.raises(StoreError, match="Milvus at http://127") as raised:
        opened("first", nobody).add(album)
    assert isinstance(raised.value, StorageError)
    assert "run the same command again" in raised.value.hint
    assert not (tmp_path / "first" / "manifest.json").exists()
    with pytest.raises(StoreError):
        attach(nobody, tmp_path / "second")


def wait_for(library: relook.Library) -> None:
    """A connection that was lost is tried again after a pause that grows."""
    deadline = time.monotonic() + 600
    while True:
        try:
            library.search("red", limit=1)
            return
        except StoreError:
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_milvus_goes_in_the_middle_and_comes_back(
    opened: Opener, album: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("relook.cluster.milvus_client._TIMEOUT_S", 1.0)
    server = MilvusProcess(tmp_path / "data")
    server.start()
    try:
        first = opened("first", server.address("pictures"))

        def progress(now: Progress) -> None:
            if now.stage == "indexing" and now.done == 12:
                server.kill()

        with pytest.raises(StoreError) as raised:
            first.add(album, settings=SMALL, progress=progress)
        assert "what was committed is kept" in raised.value.hint
        n_kept = first.files.catalog.count("images")
        assert 4 <= n_kept < N
        with pytest.raises(StoreError):
            first.search("red")
        server.start()
        wait_for(first)
        assert first.add(album, settings=SMALL).n_added == N - n_kept
        assert len(first.search("red", limit=2 * N)) == N
        alone = opened("alone")
        alone.add(album)
        assert vectors(first) == vectors(alone)
    finally:
        server.kill()


def test_a_collection_of_another_encoder_is_refused(
    opened: Opener, album: Path, address: str, tmp_path: Path
) -> None:
    with opened("first", address) as first:
        first.add(album)
    with pytest.raises(EncoderMismatchError, match="was made by colour 1") as raised:
        opened("second", address, encoder=ColourEncoder("2")).add(album)
    assert "relook attach" in raised.value.hint
    attach(address, tmp_path / "third")
    with pytest.raises(EncoderMismatchError, match="made by colour 1"):
        opened("third", encoder=ColourEncoder("2"))


def test_a_name_that_another_program_has_is_refused(
    opened: Opener, album: Path, address: str, tmp_path: Path
) -> None:
    milvus = raw(address)
    taken = milvus.address.collection
    milvus.create(taken, [("id", "INT64", {})], 16, "FLAT")
    with pytest.raises(InputError, match="was not made by Relook") as raised:
        opened("first", address).add(album)
    assert raised.value.code == "store_taken"
    milvus.create(f"{taken}2_journal", [("id", "INT64", {})], 16, "FLAT")
    with pytest.raises(InputError, match="was not made by Relook"):
        opened("second", address.replace(taken, taken + "2")).add(album)
    with pytest.raises(NotFoundError, match="there is no library in milvus://"):
        attach(address.replace(taken, "nothing"), tmp_path / "third")
    milvus.close()


def test_two_servers_that_begin_a_collection_at_once_both_have_it(
    opened: Opener, album: Path, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one makes journal and collection between two looks of this one."""
    read, is_first = Journal.identity, iter([True])

    def identity(journal: Journal) -> Identity | None:
        made = read(journal)
        if next(is_first, False):
            assert made is None
            with opened("other", address) as other:
                other.add(album)
        return made

    monkeypatch.setattr(Journal, "identity", identity)
    report = opened("first", address).add(album)
    assert (report.n_added, report.n_unchanged) == (0, N)


def test_a_collection_that_lost_rows_or_is_gone_is_told(
    opened: Opener, album: Path, address: str
) -> None:
    first = opened("first", address)
    first.add(album)
    milvus = raw(address)
    milvus.delete(milvus.address.collection, "row in [7]")
    with pytest.raises(LibraryFormatError, match="holds 119 rows; the images name 120"):
        first.add(album)
    with milvus._talking() as client:
        client.drop_collection(milvus.address.collection)
    first.close()
    with pytest.raises(LibraryFormatError, match="there is no library in the collection"):
        opened("first").search("red")
    milvus.close()


def test_a_library_says_when_its_store_is_another(
    opened: Opener, album: Path, address: str, tmp_path: Path
) -> None:
    with opened("first", address) as first:
        first.add(album)
    with opened("alone") as alone:
        alone.add(album)
    for name, has in (("first", "has its vectors in milvus://"), ("alone", "in its own folder")):
        with pytest.raises(InputError, match=has) as raised:
            opened(name, "milvus://localhost/others")
        assert raised.value.code == "other_store"
    with pytest.raises(InputError, match="in its own folder"):
        attach(address, tmp_path / "alone")
