"""An indexer, a server, a command line and a check on one library at the same time."""

import random
import threading
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from server_parts import serving

import relook
from relook.core.errors import LibraryBusyError
from relook.library.check import check
from relook.library.repair import repair
from relook.testing import ColourEncoder

from .parts import assert_sound, killer, make_album, stored, told, whole_vectors

N_ROUNDS, N_EACH = 6, 12


def opened(library: Path) -> relook.Library:
    return relook.Library(library, encoder=ColourEncoder())


def test_everybody_at_once(tmp_path: Path) -> None:
    """Each round has new pictures; the check never finds fault with what a writer is at."""
    album, folder = make_album(tmp_path / "album", N_EACH), tmp_path / "library"
    with opened(folder) as library:
        library.add(album)
    n_checks = n_busy = 0
    with (
        killer(folder, album) as indexer,
        opened(folder) as served,
        serving(served, cache=tmp_path / "cache") as server,
    ):
        for number in range(1, N_ROUNDS + 1):
            make_album(album, N_EACH, start=number * N_EACH)
            thread = threading.Thread(target=indexer.run, args=("index",))
            thread.start()
            while True:
                assert told(check(folder)) == []
                n_checks += 1
                begun = server.post("/sessions", {"query": "red", "limit": 3}).json()
                mark = {"image_id": begun["page"]["hits"][0]["image_id"], "relevant": True}
                at = f"/sessions/{begun['session_id']}"
                assert server.post(f"{at}/judgements", mark).status_code == 201
                assert server.post(f"{at}/rounds", {"strategy": "rocchio"}).status_code == 200
                with opened(folder) as line:
                    assert len(line.search("blue", limit=5)) == 5
                    try:
                        line.add(album)
                    except LibraryBusyError:
                        n_busy += 1
                if not thread.is_alive():
                    break
            thread.join()
        sessions = server.http.get(f"{server.base}/sessions").json()["sessions"]
    assert_sound(folder)
    with opened(folder) as library:
        library.add(album)
        assert len(library) == (N_ROUNDS + 1) * N_EACH
        assert len(library.sessions()) == len(sessions) == n_checks
    vectors = whole_vectors(album)
    assert all(vectors[content] == vector for content, vector in stored(folder).values())
    assert_sound(folder)


def test_a_check_while_a_writer_is_killed_again_and_again(tmp_path: Path) -> None:
    """The check reads what is committed, whatever moment it meets."""
    album, rng = make_album(tmp_path / "album", 80), random.Random(3)
    with killer(tmp_path / "library", album) as one:
        assert not one.run("index")
        stop, wrong = threading.Event(), []

        def watch() -> None:
            while not stop.is_set():
                if (one.library / "manifest.json").exists():
                    wrong.extend(told(check(one.library)))

        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            for number in range(8):
                one.run("index" if number % 2 == 0 else "forget", rng.uniform(0.02, 0.3))
        finally:
            stop.set()
            watcher.join()
        assert wrong == []
        assert not one.run("index")
    assert len(stored(tmp_path / "library")) == 80
    assert_sound(tmp_path / "library")


def test_two_servers_that_refine_one_session(tmp_path: Path) -> None:
    """Every answer of either is one round or a clear error; the library stays sound."""
    album = make_album(tmp_path / "album", N_EACH)
    with opened(tmp_path / "library") as library:
        library.add(album)
        session_id = library.look("red", limit=3).session_id
    done: list[str] = []

    def refine() -> None:
        with opened(tmp_path / "library") as library:
            session = library.session(session_id)
            for _ in range(10):
                try:
                    session.judge(session.page[0], relevant=True)
                    session.again("rocchio", keep_shown=True, keep_judged=True)
                    done.append("round")
                except relook.RelookError as error:
                    done.append(error.code)

    threads = [threading.Thread(target=refine) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(done) == 20
    assert set(done) <= {"round", "session_busy"}
    with opened(tmp_path / "library") as library:
        rounds = library.session(session_id).rounds
        assert [row.number for row in rounds] == list(range(done.count("round") + 1))
    assert_sound(tmp_path / "library")


def test_a_round_that_another_process_was_faster_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    album = make_album(tmp_path / "album", N_EACH)
    with opened(tmp_path / "library") as one, opened(tmp_path / "library") as two:
        one.add(album)
        slow = one.look("red", limit=2)
        fast = two.session(slow.session_id)
        together = slow._table.together

        def late() -> AbstractContextManager[Any]:
            fast.again("rocchio")
            return together()

        monkeypatch.setattr(slow._table, "together", late)
        with pytest.raises(LibraryBusyError, match="has just added page 2") as raised:
            slow.again("rocchio")
        assert raised.value.code == "session_busy"
        monkeypatch.undo()
        slow.again("rocchio")
        assert [row.number for row in slow.rounds] == [0, 1, 2]
    assert_sound(tmp_path / "library")


def test_the_server_goes_on_after_a_repair_of_vectors(tmp_path: Path) -> None:
    album = make_album(tmp_path / "album", N_EACH)
    with opened(tmp_path / "library") as library:
        library.add(album)
    with opened(tmp_path / "library") as served, serving(served, cache=tmp_path / "c") as server:
        with open(tmp_path / "library" / "vectors.f16", "r+b") as file:
            file.write(b"\x3c\x11" * 8)
        assert told(repair(tmp_path / "library").after) == []
        assert server.post("/search", {"query": "red"}).json()["hits"] == []
        with opened(tmp_path / "library") as library:
            library.add()
        found = server.post("/search", {"query": "red", "limit": 50}).json()["hits"]
        assert len(found) == N_EACH
