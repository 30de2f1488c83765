"""A run that is watched, stopped, refused or searched meanwhile loses nothing."""

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from library_parts import many
from test_incremental import counts

import relook
from relook.core.progress import Progress
from relook.core.settings import IndexSettings, SearchSettings
from relook.library.catalog import Catalog
from relook.testing import noise


def test_progress_counts_to_the_end(library: relook.Library, pictures: Path) -> None:
    seen: list[Progress] = []
    library.add(pictures, progress=seen.append, settings=IndexSettings(batch=1))
    assert [(now.stage, now.done, now.total) for now in seen] == [
        ("indexing", 1, 3), ("indexing", 2, 3), ("indexing", 3, 3),
    ]  # fmt: skip
    assert seen[-1].left_s == 0.0
    assert Progress("listing").left_s is None


def test_stopping_keeps_what_is_done_and_the_next_run_goes_on(
    library: relook.Library, pictures: Path
) -> None:
    many(pictures / "many", 40)

    def stop(now: Progress) -> None:
        if now.done >= 20:
            raise KeyboardInterrupt

    settings = IndexSettings(batch=4, commit_every=8)
    report = library.add(pictures, settings=settings, progress=stop)
    assert report.interrupted
    assert report.n_images == report.n_added == len(library) == 20
    again = library.add(pictures, settings=settings)
    assert counts(again) == {"n_added": 23, "n_unchanged": 20}
    assert len(library) == 43


def test_a_stop_right_after_a_commit_loses_nothing(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C can arrive while SQLite commits: the rows are named then, and must stay."""
    real = Catalog.bump
    real_transaction = Catalog.transaction
    armed = []

    def bump(self: Catalog, db: object, end_row: int | None = None) -> None:
        real(self, db, end_row)  # type: ignore[arg-type]
        if end_row is not None:
            armed.append(end_row)

    @contextmanager
    def transaction(self: Catalog) -> Iterator[sqlite3.Connection]:
        with real_transaction(self) as db:
            yield db
        if armed:
            armed.clear()
            raise KeyboardInterrupt

    monkeypatch.setattr(Catalog, "bump", bump)
    monkeypatch.setattr(Catalog, "transaction", transaction)
    assert library.add(pictures).interrupted
    monkeypatch.undo()
    assert counts(library.add(pictures)) == {"n_unchanged": 3}
    assert [hit.score for hit in library.search("red", limit=3)] == [1.0, 0.0, 0.0]


def test_a_catalog_that_refuses_a_batch_takes_its_vectors_back(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(pictures)
    vectors = library.folder / "vectors.f16"
    before = vectors.read_bytes()
    noise(7).save(pictures / "new.png")

    def refuse(*_: object) -> None:
        raise RuntimeError("no room")

    monkeypatch.setattr(Catalog, "put", refuse)
    with pytest.raises(RuntimeError, match="no room"):
        library.add(pictures)
    assert vectors.read_bytes() == before
    monkeypatch.undo()
    assert counts(library.add(pictures)) == {"n_added": 1, "n_unchanged": 3}


def test_searching_in_another_thread_while_indexing_disturbs_neither(
    open_library: Callable[..., relook.Library], pictures: Path
) -> None:
    library = open_library(search=SearchSettings(fold=False))
    library.add(pictures)
    many(pictures / "many", 120)
    done = threading.Event()
    found: list[tuple[str, float]] = []

    def look() -> None:
        while not done.is_set():
            hit = library.search("red", limit=1)[0]
            found.append((hit.path.name, hit.score))

    thread = threading.Thread(target=look)
    thread.start()
    try:
        library.add(pictures, settings=IndexSettings(batch=2, commit_every=4))
    finally:
        done.set()
        thread.join()
    assert set(found) == {("red.png", 1.0)}
    table = library.files.row_table
    assert len(table) == 123
    assert np.array_equal(table[:, 0], np.arange(123) * 5)
    for seed in (0, 60, 119):
        [hit] = library.search(
            relook.Query((relook.Part(image=pictures / "many" / f"{seed:04}.png"),)), limit=1
        )
        assert (hit.path.name, round(hit.score, 3)) == (f"{seed:04}.png", 1.0)
