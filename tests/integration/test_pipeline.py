"""The stages of a run overlap, within bounds; each picture's content is encoded once."""

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from library_parts import ids, many
from test_incremental import counts

import relook
from relook.core.progress import Progress
from relook.core.settings import ImageLimits, IndexSettings
from relook.library import known, reading, survey
from relook.library.known import Contents, KnownFiles
from relook.library.reading import PictureReader, Read
from relook.library.records import FileFacts, SkippedFile
from relook.library.report import STAGES, Clock
from relook.library.scan import Scan
from relook.library.vector_file import VectorFile
from relook.testing import ColourEncoder, solid

WAIT_S = 20.0


class Counting(ColourEncoder):
    """Counts what it encodes, and calls somebody before each batch."""

    def __init__(self, before: Callable[[], None] = lambda: None) -> None:
        super().__init__()
        self.sizes: list[int] = []
        self.encoded = threading.Condition()
        self._before = before

    def encode_prepared(self, prepared: list) -> list:
        self._before()
        if prepared:
            with self.encoded:
                self.sizes.append(len(prepared))
                self.encoded.notify_all()
        return super().encode_prepared(prepared)

    def wait_for(self, n_batches: int) -> bool:
        with self.encoded:
            return self.encoded.wait_for(lambda: len(self.sizes) >= n_batches, WAIT_S)


def test_encoding_goes_on_while_a_batch_is_written(
    open_library: Callable[..., relook.Library], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(pictures / "many", 40)
    encoder = Counting()
    library = open_library(encoder=encoder)
    real, went_on = VectorFile.append, []

    def append(self: VectorFile, vectors: object) -> int:
        if not went_on:
            went_on.append(encoder.wait_for(len(encoder.sizes) + 1))
        return real(self, vectors)  # type: ignore[arg-type]

    monkeypatch.setattr(VectorFile, "append", append)
    library.add(pictures, settings=IndexSettings(batch=4, commit_every=8))
    assert went_on == [True]
    assert len(library) == 43


def test_reading_and_encoding_begin_while_the_listing_goes_on(
    open_library: Callable[..., relook.Library], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(pictures / "a", 12)
    encoder = Counting()
    library = open_library(encoder=encoder)
    real, went_on, last = os.scandir, [], os.fsencode(pictures / "sub")
    told: list[Progress] = []
    was_told = threading.Event()

    def tell(now: Progress) -> None:
        told.append(now)
        if now.stage == "indexing":
            was_told.set()

    def scandir(folder: bytes) -> object:
        if folder == last:
            went_on.append(encoder.wait_for(1) and was_told.wait(600))
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    library.add(pictures, settings=IndexSettings(batch=2), progress=tell)
    assert went_on == [True]
    assert len(library) == 15
    assert next(now.total for now in told if now.stage == "indexing") == 0  # nobody knows yet
    assert (told[-1].done, told[-1].total) == (15, 15)


def test_no_more_is_read_ahead_than_a_few_batches(
    open_library: Callable[..., relook.Library], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(pictures / "many", 100)
    read: list[bytes] = []
    ahead: list[int] = []
    encoder = Counting(lambda: ahead.append(len(read) - sum(encoder.sizes)))
    library = open_library(encoder=encoder)
    real = reading.read_bytes
    monkeypatch.setattr(
        reading, "read_bytes", lambda path, limits: read.append(path) or real(path, limits)
    )
    library.add(pictures, settings=IndexSettings(batch=3, workers=2))
    assert len(read) == 103
    # The batch itself, two more, one a thread, and one that tells whether there is more.
    assert max(ahead) <= 3 + 2 * 3 + 2 + 1


@pytest.mark.parametrize("commit_every", [2, 256])
def test_equal_files_are_encoded_once(
    open_library: Callable[..., relook.Library], tmp_path: Path, commit_every: int
) -> None:
    folder = tmp_path / "pictures"
    many(folder, 5)
    for number in range(30):
        solid("red", 60, 40).save(folder / f"00{number:02}-copy.png")
    encoder = Counting()
    library = open_library(encoder=encoder)
    settings = IndexSettings(batch=4, commit_every=commit_every)
    assert counts(library.add(folder, settings=settings)) == {"n_added": 35, "n_duplicates": 29}
    assert sum(encoder.sizes) == 6
    scores = [hit.score for hit in library.search("red", limit=31, fold=False)]
    assert scores == [1.0] * 30 + [scores[-1]]
    assert counts(library.add(folder)) == {"n_unchanged": 35}


def test_equal_files_keep_what_is_said_about_each(library: relook.Library, pictures: Path) -> None:
    for name in ("red1.png", "red2.png"):
        shutil.copy(pictures / "red.png", pictures / name)
    (pictures / "m.csv").write_text("path,title\nred.png,First\nred2.png,Third\n")
    library.add(pictures, metadata=pictures / "m.csv")
    found = {name: library.image(one).title for name, one in ids(library).items()}
    assert [found[f"red{n}.png"] for n in ("", "1", "2")] == ["First", "", "Third"]


def test_each_stage_tells_its_rate(library: relook.Library, pictures: Path) -> None:
    told: list[Progress] = []
    report = library.add(pictures, progress=told.append)
    stages = report.as_dict()["stages"]
    assert tuple(stages) == STAGES
    assert [stages[name]["n"] for name in STAGES] == [3, 3, 3, 3, 3]
    assert all(stages[name]["busy_s"] >= 0 < stages[name]["rate_per_s"] for name in STAGES)
    assert [stage.n_items for stage in told[-1].stages][:3] == [3, 3, 3]


def test_a_stage_is_busy_while_any_thread_is() -> None:
    clock = Clock("read")
    with clock.work(), clock.work(2):
        first = clock.rate()
        assert (first.n_items, first.rate_per_s) == (0, 0.0)
        assert first.busy_s > 0
    assert clock.rate().n_items == 3
    assert clock.rate().busy_s == clock.rate().busy_s >= first.busy_s


def test_what_ends_the_listing_ends_the_run(
    library: relook.Library, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Scan) -> Iterator[list[FileFacts]]:
        yield [FileFacts(os.fsencode(pictures / "red.png"), 1, 1)]
        raise RuntimeError("the listing broke")

    monkeypatch.setattr(Scan, "__iter__", broken)
    with pytest.raises(RuntimeError, match="the listing broke"):
        library.add(pictures)
    monkeypatch.undo()
    assert sum(counts(library.add(pictures)).values()) == 3


def test_roots_within_roots_are_listed_once(library: relook.Library, pictures: Path) -> None:
    paths = (pictures, pictures / "sub", pictures / "red.png", pictures)
    assert counts(library.add(*paths)) == {"n_added": 3}
    assert counts(library.add()) == {"n_unchanged": 3}
    (pictures / "sub" / "blue.png").rename(pictures / "blue.png")
    assert counts(library.add()) == {"n_moved": 1, "n_unchanged": 2}


def test_a_folder_whose_name_ends_like_a_member_is_no_part_of_another(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    beside = tmp_path / "pictures!"
    beside.mkdir()
    solid("yellow").save(beside / "y.png")
    library.add(pictures, beside)
    assert counts(library.add(pictures)) == {"n_unchanged": 3}
    assert library.forget(pictures) == 3
    assert len(library) == 1


def test_pictures_are_read_outside_of_a_run(pictures: Path) -> None:
    reader = PictureReader(ColourEncoder(), ImageLimits())
    facts = FileFacts(os.fsencode(pictures / "red.png"), 0, 0)
    read = reader.read(facts)
    assert isinstance(read, Read)
    assert read.record is not None
    assert (read.record.width_px, read.record.height_px) == (60, 40)
    gone = reader.read(FileFacts(b"/no/such.png", 0, 0))
    assert isinstance(gone, SkippedFile)
    assert gone.code == "vanished"


def test_files_that_wait_are_packed_whole() -> None:
    odd = [b"/a\n.jpg", b"/\xff.jpg", b"/a b!/c", b"s3://b/\xc3\xa9.png"]
    files = [FileFacts(path, n, n - 2**62) for n, path in enumerate(odd)]
    assert list(survey._unpacked(survey._packed(files))) == files


def test_contents_are_claimed_once_by_any_number_of_threads(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(known, "_RECENT", 7)
    contents = Contents(np.array([Contents.key(b"old-content")], np.int64))
    assert not contents.claim(b"old-content")
    digests = [bytes([n]) * 16 for n in range(200)]
    won: list[bytes] = []

    def claim() -> None:
        won.extend(one for one in digests if contents.claim(one))

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(won) == sorted(digests)


def test_a_claim_can_be_taken_back() -> None:
    contents = Contents(np.zeros(0, np.int64))
    assert contents.claim(b"f" * 16)
    assert not contents.claim(b"f" * 16)
    contents.release(b"f" * 16)
    assert contents.claim(b"f" * 16)


def test_known_files_tell_unchanged_from_changed_and_new() -> None:
    rows = [(hash(b"/%d" % n), n + 1, 10 * n, 100 * n) for n in range(5)]
    table = KnownFiles(np.array(rows, np.int64))
    listed = [FileFacts(b"/1", 10, 100), FileFacts(b"/2", 20, 999), FileFacts(b"/new", 1, 1)]
    same, image_ids = table.compare(listed)
    assert (same.tolist(), image_ids.tolist()) == ([True, False, False], [2, 3, 0])
    assert set(table.not_met().tolist()) == {1, 4, 5}
    table.meet(np.array([4]))
    assert set(table.not_met().tolist()) == {1, 5}
    none = KnownFiles(np.zeros((0, 4), np.int64))
    assert none.compare(listed)[0].tolist() == [False] * 3
