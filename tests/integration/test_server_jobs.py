"""Indexing over HTTP: progress, pause, stop, uploads, and the end of a server."""

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from library_parts import many
from server_parts import Running, serving, wait_for

import relook
from relook.core.errors import NotFoundError
from relook.core.progress import READING_TEXT, Progress
from relook.core.registry import Adapter
from relook.library.report import IndexReport
from relook.readers import READERS
from relook.server.jobs import Job
from relook.testing import ColourEncoder, ColourReader, noise


class SlowEncoder(ColourEncoder):
    """Waits for leave before each batch of pictures while a gate is closed."""

    def __init__(self) -> None:
        super().__init__()
        self.may_go = threading.Event()
        self.may_go.set()
        self.n_batches = 0

    def encode_prepared(self, prepared: list) -> list:
        if len(prepared) > 1:  # queries and crops go on
            self.n_batches += 1
            assert self.may_go.wait(600)
        return super().encode_prepared(prepared)


@pytest.fixture
def encoder() -> SlowEncoder:
    return SlowEncoder()


@pytest.fixture
def server(
    open_library: Callable[..., relook.Library], encoder: SlowEncoder, pictures: Path,
    tmp_path: Path,
) -> Iterator[Running]:  # fmt: skip
    library = open_library(encoder=encoder)
    library.add(pictures)
    with serving(library, cache=tmp_path / "cache") as running:
        yield running
        encoder.may_go.set()


def test_a_job_tells_its_progress_and_what_is_found_grows(server: Running, pictures: Path) -> None:
    many(pictures / "more", 40)
    job = server.client.index("library", [pictures / "more"])
    assert (job["state"], job["library_id"]) == ("running", "library")
    told = list(server.client.progress(job["job_id"]))
    assert told[-1]["state"] == "done"
    assert (told[-1]["done"], told[-1]["total"], told[-1]["left_s"]) == (40, 40, None)
    assert told[-1]["report"]["n_added"] == 40
    assert [one["done"] for one in told if one["stage"] == "indexing"] == sorted(
        one["done"] for one in told if one["stage"] == "indexing"
    )
    assert server.client.job(job["job_id"]) == told[-1]
    assert len(server.client.search("library", "red", limit=100, fold=False)["hits"]) == 43
    assert list(server.client.progress(job["job_id"])) == told[-1:]
    info = server.client.library("library")
    assert (info["n_images"], info["job_id"]) == (43, None)


class Reader(ColourReader):
    """What the default reader is replaced by."""

    @classmethod
    def open(cls, _spec: str) -> ColourReader:
        return cls({"red": ["Stop here"]})


def test_a_job_reads_words_when_it_is_asked_to_and_tells_how_long(
    server: Running, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(READERS.builtin, "rapidocr", Adapter(f"{__name__}:Reader", ""))  # type: ignore[index]
    last = list(server.client.progress(server.client.index("library", text=True)["job_id"]))[-1]
    assert (last["report"]["n_text_read"], last["report"]["n_text_found"]) == (3, 1)
    job = Job(
        next(iter(server.state.libraries)), "index", lambda _: IndexReport(), server.state.hub
    )
    job._on_progress(Progress("indexing", 90, 90))
    began_s = job._began_s
    job._on_progress(Progress(READING_TEXT, 0, 90))
    assert job._began_s > began_s  # the time of the stage before says nothing of this
    job._on_progress(Progress(READING_TEXT, 30, 90))
    answer = job.answer()
    assert (answer.stage, answer.done, answer.total) == ("reading words", 30, 90)
    assert answer.left_s == pytest.approx(60 / answer.rate_per_s, rel=0.5)
    info = server.client.library("library")
    assert (info["n_text_read"], info["n_text_found"]) == (3, 1)
    assert server.client.search("library", "text:stop")["hits"][0]["path"].endswith("red.png")
    assert server.client.index("library")["kind"] == "index"  # and not when it is not


def test_without_paths_everything_is_looked_over_again(server: Running, pictures: Path) -> None:
    (pictures / "red.png").unlink()
    (pictures / "broken.png").write_bytes(b"no picture")
    job = server.post("/index").json()
    *_, last = server.client.progress(job["job_id"])
    assert (last["report"]["n_removed"], last["report"]["n_skipped"]) == (1, 1)
    (skipped,) = server.get("/skipped").json()["skipped"]
    assert (skipped["path"], skipped["code"]) == (str(pictures / "broken.png"), "not_an_image")


def test_search_goes_on_while_a_job_runs_and_pauses(
    server: Running, pictures: Path, encoder: SlowEncoder
) -> None:
    many(pictures / "more", 64)
    encoder.may_go.clear()
    job_id = server.client.index("library", [pictures / "more"])["job_id"]
    wait_for(lambda: encoder.n_batches == 2)  # one was for the three pictures
    assert server.client.library("library")["job_id"] == job_id
    assert server.client.job(job_id, "pause")["state"] == "paused"
    assert len(server.client.search("library", "red", fold=False)["hits"]) == 3
    encoder.may_go.set()
    wait_for(lambda: server.client.job(job_id)["done"] == 16)
    for _ in range(10):
        assert server.client.job(job_id)["done"] == 16
    assert encoder.n_batches == 2
    assert server.client.job(job_id, "resume")["state"] == "running"
    *_, last = server.client.progress(job_id)
    assert (last["state"], last["report"]["n_added"]) == ("done", 64)
    assert server.client.job(job_id, "pause")["state"] == "done"


def test_searches_run_beside_a_job_each_on_one_moment(server: Running, pictures: Path) -> None:
    """While images come and go, every answer fits together."""
    many(pictures / "more", 300)
    job_id = server.client.index("library", [pictures / "more"])["job_id"]
    failures: list[object] = []
    over = threading.Event()

    def look() -> None:
        with relook.Client(server.address) as client:
            while not over.is_set():
                try:
                    page = client.search("library", "red", limit=1000, fold=False)
                    ids = [hit["image_id"] for hit in page["hits"]]
                    assert len(ids) == len(set(ids)) >= 3
                    client.again("library", client.begin("library", "red")["session_id"])
                except Exception as error:
                    failures.append(error)

    threads = [threading.Thread(target=look) for _ in range(4)]
    for thread in threads:
        thread.start()
    *_, last = server.client.progress(job_id)
    (pictures / "red.png").unlink()
    *_, last = server.client.progress(server.client.index("library")["job_id"])
    over.set()
    for thread in threads:
        thread.join(600)
    assert (failures, last["report"]["n_images"]) == ([], 302)


@pytest.mark.parametrize("paused", [False, True])
def test_a_stopped_job_keeps_what_it_did(
    server: Running, pictures: Path, encoder: SlowEncoder, paused: bool
) -> None:
    many(pictures / "more", 64)
    encoder.may_go.clear()
    job_id = server.client.index("library", [pictures / "more"])["job_id"]
    wait_for(lambda: encoder.n_batches == 2)
    if paused:
        server.client.job(job_id, "pause")
    server.client.job(job_id, "stop")
    encoder.may_go.set()
    *_, last = server.client.progress(job_id)
    assert (last["state"], last["report"]["interrupted"]) == ("stopped", True)
    assert last["report"]["n_added"] == 16
    *_, last = server.client.progress(server.client.index("library")["job_id"])
    assert (last["state"], last["report"]["n_added"]) == ("done", 48)
    assert server.client.library("library")["n_images"] == 67


def test_jobs_of_a_library_wait_for_each_other_and_are_bounded(
    server: Running, pictures: Path, encoder: SlowEncoder
) -> None:
    many(pictures / "more", 16)
    encoder.may_go.clear()
    jobs = [server.client.index("library")["job_id"] for _ in range(8)]
    answer = server.post("/index")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "too_busy")
    assert answer.headers["retry-after"] == "2"
    wait_for(lambda: encoder.n_batches == 2)
    waiting = server.client.job(jobs[-1])
    assert (waiting["state"], waiting["stage"]) == ("running", "waiting")
    assert server.client.job(jobs[-2], "stop")["state"] == "stopped"  # it need not wait for that
    encoder.may_go.set()
    *_, last = server.client.progress(jobs[-1])
    assert last["report"]["n_unchanged"] == 19
    assert server.client.job(jobs[-2])["report"] is None
    with pytest.raises(NotFoundError, match="no job"):
        server.client.job("nope")


def test_a_job_that_cannot_run_says_why(server: Running, pictures: Path) -> None:
    with relook.Library(server.state.libraries.get("library").files.folder) as other:
        from relook.library.lock import WriterLock

        with WriterLock(other.folder):
            job_id = server.client.index("library")["job_id"]
            *_, last = server.client.progress(job_id)
    assert (last["state"], last["report"]) == ("failed", None)
    assert last["error"]["code"] == "library_busy"


def test_uploads_are_found_at_once(server: Running, tmp_path: Path) -> None:
    files = [tmp_path / "a.png", tmp_path / "b.png"]
    for seed, file in enumerate(files):
        noise(seed).save(file)
    *_, last = server.client.progress(server.client.upload("library", files)["job_id"])
    assert last["report"]["n_added"] == 2
    stored = server.state.libraries.get("library").files.folder / "uploads"
    assert sorted(p.name.rsplit("-", 1)[0] for p in stored.glob("[!.]*")) == ["a", "b"]
    assert server.client.library("library")["roots"][-1] in (
        str(stored),
        str(tmp_path / "pictures"),
    )


def test_shutting_down_stops_the_job_and_keeps_its_work(
    open_library: Callable[..., relook.Library], encoder: SlowEncoder, pictures: Path,
    tmp_path: Path,
) -> None:  # fmt: skip
    library = open_library(encoder=encoder)
    library.add(pictures)
    many(pictures / "more", 64)
    with serving(library, cache=tmp_path / "cache") as server:
        encoder.may_go.clear()
        job = server.state.jobs.get(server.client.index("library")["job_id"])
        wait_for(lambda: encoder.n_batches == 2)

        def let_go() -> None:
            wait_for(lambda: job._stopped)
            encoder.may_go.set()

        threading.Thread(target=let_go).start()
    assert [t for t in threading.enumerate() if t.name.startswith("relook")] == []
    with open_library() as again:
        assert len(again) == 19


def test_a_path_in_letters_that_the_locale_lacks_is_not_there(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsencode", lambda path: os.fspath(path).encode("ascii"))
    answer = server.post("/index", {"paths": ["/\xe9t\xe9"]})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "no_path")
