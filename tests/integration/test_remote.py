"""Pictures of remote stores: fsspec's own memory store, and a web server on 127.0.0.1."""

import functools
import http.server
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import fsspec
import pytest
from archive_parts import picture, write_tar, write_zip
from library_parts import CORNER, names
from server_parts import error_of, serving
from test_incremental import counts

import relook
from relook.core import remote, sources
from relook.core.errors import FetchError, ImageError, InputError, MissingExtraError, NotFoundError
from relook.core.images import load
from relook.core.picture_paths import Address
from relook.core.settings import ImageLimits
from relook.library import reading
from relook.serving.pictures import original
from relook.testing import noise, patched, solid

RED, BLUE = picture(solid("red")), picture(solid("blue"))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_BACKOFF_S", 0.0)


@pytest.fixture
def memory() -> Iterator[fsspec.AbstractFileSystem]:
    store = fsspec.filesystem("memory")
    store.store.clear()
    store.pipe({"/pics/red.png": RED, "/pics/sub/blue.png": BLUE, "/pics/notes.txt": b"text"})
    yield store
    store.store.clear()


def test_rules_in_a_store_hold_as_on_a_disk(
    library: relook.Library, memory: fsspec.AbstractFileSystem
) -> None:
    memory.pipe({
        "/pics/.relookignore": b"drafts/\n*.png\n!sub/*.png\n", "/pics/drafts/a.jpg": RED,
        "/pics/b.jpg": RED, "/pics/sub/.relookignore": b"", "/pics/deep/.relookignore": b"!*.png",
        "/pics/deep/c.png": BLUE, "/pics/none/.nomedia": b"", "/pics/none/d.jpg": RED,
    })  # fmt: skip
    library.add("memory://pics/")
    there = {f"memory://pics/{name}" for name in ("b.jpg", "sub/blue.png", "deep/c.png")}
    assert paths(library) == there
    memory.rm("/pics/.relookignore")
    library.add()
    rest = {f"memory://pics/{name}" for name in ("red.png", "drafts/a.jpg")}
    assert paths(library) == there | rest
    memory.pipe("/pics/.relookignore", b"drafts/")
    assert library.add().n_removed == 1
    assert paths(library) == there | {"memory://pics/red.png"}


def test_a_folder_of_a_store_whose_rules_cannot_be_read_is_not_looked_into(
    library: relook.Library, memory: fsspec.AbstractFileSystem
) -> None:
    library.add("memory://pics/")
    memory.pipe({"/pics/sub/.relookignore": b"\0\xff" * 9, "/pics/sub/new.png": RED})
    report = library.add()
    assert any(".relookignore holds no rules" in str(note) for note in report.as_dict().values())
    assert paths(library) == {"memory://pics/red.png", "memory://pics/sub/blue.png"}
    memory.pipe("/pics/sub/.relookignore", b"#" * (1024**2 + 1))
    library.add()
    assert len(library) == 2
    memory.rm("/pics/sub/.relookignore")
    assert library.add().n_added == 1


class Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder with its lists of files; `broken` paths answer with a status."""

    broken: ClassVar[dict[str, int]] = {}
    asked: ClassVar[list[str]] = []

    def log_message(self, *_: object) -> None:
        pass

    def send_head(self) -> object:
        self.asked.append(self.path)
        status = self.broken.get(self.path)
        if status is None:
            return super().send_head()
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/secret.png")
        self.send_header("Content-Length", "0")
        self.end_headers()
        return None


@pytest.fixture
def web(pictures: Path) -> Iterator[str]:
    """The address of a server of the test's pictures."""
    Handler.broken.clear()
    Handler.asked.clear()
    make = functools.partial(Handler, directory=str(pictures.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), make) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def paths(library: relook.Library) -> set[str]:
    return {os.fsdecode(image.facts.path) for image in library.files.catalog.each_image()}


def codes(report: object) -> dict[str, str]:
    found = report.skipped  # type: ignore[attr-defined]
    return {os.path.basename(os.fsdecode(one.facts.path)): one.code for one in found}


def test_a_store_is_indexed_by_address_and_kept_up_to_date(
    library: relook.Library, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert counts(library.add("memory://pics/")) == {"n_added": 2}
    assert paths(library) == {"memory://pics/red.png", "memory://pics/sub/blue.png"}
    [hit] = library.search("red", limit=1)
    assert (str(hit.path), hit.path.name) == ("memory://pics/red.png", "red.png")
    assert hit.as_dict()["path"] == "memory://pics/red.png"
    with monkeypatch.context() as patch:
        patch.setattr(reading, "read_bytes", None)
        assert counts(library.add()) == {"n_unchanged": 2}
    memory.pipe("/pics/red.png", picture(noise(1)))
    memory.mv("/pics/sub/blue.png", "/pics/moved.png")
    memory.pipe("/pics/new.png", RED)
    assert counts(library.add()) == {
        "n_added": 1, "n_moved": 2,  # red.png is new.png now, and another picture has its name
    }  # fmt: skip
    memory.rm("/pics/new.png")
    assert counts(library.add()) == {"n_removed": 1, "n_unchanged": 2}
    assert library.forget("memory://pics") == 2


def test_a_remote_picture_is_served_and_cut(
    library: relook.Library, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    white = picture(patched("white", "green", CORNER))
    memory.pipe("/pics/white.png", white)
    library.add("memory://pics")
    image = next(i for i in library.files.catalog.each_image() if i.path.name == "white.png")
    assert original(image, ImageLimits()) == white
    region = f"id:{image.image_id}@{','.join(map(str, CORNER.as_list()))}"
    assert library.search(region, limit=1)[0].image_id == image.image_id
    with serving(library, cache=tmp_path / "cache") as server:
        assert server.get(f"/images/{image.image_id}/file").content == white
        small = server.get(f"/images/{image.image_id}/thumbnail")
        assert small.headers["content-type"] == "image/jpeg"
        memory.pipe("/pics/white.png", RED)
        changed = error_of(server.get(f"/images/{image.image_id}/file"))
        assert changed == (404, "picture_changed")


def test_a_server_fetches_from_no_address_but_those_it_was_started_with(
    library: relook.Library, memory: fsspec.AbstractFileSystem, tmp_path: Path
) -> None:
    memory.pipe({"/secret/1.png": RED, "/pics2/1.png": RED})
    library.add("memory://pics")
    with serving(library, cache=tmp_path / "cache") as server:
        for asked in (
            "memory://secret", "memory://pics2", "memory://", "http://127.0.0.1:1/x",
            "MEMORY://secret", "s3://bucket", "file:///etc",
        ):  # fmt: skip
            status, code = error_of(server.post("/index", {"paths": [asked]}))
            assert (status, code) in ((403, "outside_folders"), (400, "bad_address")), asked
        for asked in (
            "memory://pics/../secret",
            "memory://pics/%2e%2e/secret",
            "zip://a::memory://pics",
        ):
            assert error_of(server.post("/index", {"paths": [asked]}))[1] == "bad_address"
        for asked in ("memory:/secret", "memory:secret"):
            assert server.post("/index", {"paths": [asked]}).status_code in (403, 404)
        job = server.post("/index", {"paths": ["memory://pics/sub"]}).json()
        told = list(server.client.progress(job["job_id"]))[-1]
        assert (told["state"], told["report"]["n_unchanged"]) == ("done", 1)
        assert "memory://pics" in server.http.get(server.base).json()["folders"]
    assert paths(library) == {"memory://pics/red.png", "memory://pics/sub/blue.png"}


def test_a_store_that_does_not_answer_keeps_its_images(
    library: relook.Library, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add("memory://pics")
    before = paths(library)
    real = memory.__class__.ls

    def refuse(self: object, path: str, **how: object) -> object:
        if path.rstrip("/").endswith("sub"):
            raise ConnectionError("reset by peer")
        return real(self, path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(memory.__class__, "ls", refuse)
    report = library.add()
    assert [note.partition(";")[0] for note in report.notes] == [
        "cannot list memory://pics/sub: no answer after 3 tries: reset by peer",
        "1 picture is away: memory://pics/sub cannot be read: no answer after 3 tries:"
        " reset by peer",
    ]
    assert counts(report) == {"n_unchanged": 1, "n_away": 1}
    monkeypatch.setattr(memory.__class__, "info", lambda *_: (_ for _ in ()).throw(OSError("dns")))
    report = library.add()
    assert report.notes[0] == (
        "cannot list memory://pics: memory://pics: no answer after 3 tries: dns"
    )
    assert counts(report) == {"n_away": 2}
    with pytest.raises(FetchError, match="no answer after 3 tries: dns"):
        library.add("memory://pics")
    assert paths(library) == before
    monkeypatch.undo()
    assert counts(library.add()) == {"n_unchanged": 2, "n_back": 2}
    memory.rm("/pics", recursive=True)  # the whole place is empty
    assert counts(library.add()) == {"n_away": 2}
    assert paths(library) == before
    with pytest.raises(NotFoundError, match="nothing is there"):
        library.add("memory://pics")


def test_a_passing_trouble_is_tried_again(
    library: relook.Library, memory: fsspec.AbstractFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = memory.__class__.cat_file
    left = {"/pics/red.png": 2, "/pics/sub/blue.png": 99}

    def cat_file(self: object, path: str, **how: object) -> bytes:
        left[path] -= 1
        if left[path] >= 0:
            raise TimeoutError("too slow")
        return real(self, path, **how)  # type: ignore[no-any-return]

    monkeypatch.setattr(memory.__class__, "cat_file", cat_file)
    report = library.add("memory://pics")
    assert report.n_added == 1
    [skip] = report.skipped
    assert (skip.code, skip.message) == (
        "unreadable", "cannot read it: no answer after 3 tries: too slow",
    )  # fmt: skip
    left["/pics/sub/blue.png"] = 0
    assert counts(library.add()) == {"n_added": 1, "n_unchanged": 1}


def test_a_web_folder_is_indexed(library: relook.Library, web: str) -> None:
    assert counts(library.add(f"{web}/pictures/")) == {"n_added": 3}
    assert paths(library) == {f"{web}/pictures/{n}.png" for n in ("red", "green", "sub/blue")}
    Handler.asked.clear()
    assert counts(library.add()) == {"n_unchanged": 3}
    assert names(library.search("red", limit=1)) == ["red.png"]


def test_a_web_server_in_trouble_is_told_and_loses_nothing(
    library: relook.Library, web: str, pictures: Path
) -> None:
    library.add(f"{web}/pictures")
    before = paths(library)
    Handler.broken.update({"/pictures/red.png": 503, "/pictures/sub/": 500})
    solid("yellow").save(pictures / "far.png")
    Handler.broken["/pictures/far.png"] = 302
    solid("black").save(pictures.parent / "secret.png")
    report = library.add()
    assert codes(report) == {"red.png": "unreadable", "far.png": "unreadable"}
    assert any("redirects" in skip.message for skip in report.skipped)
    assert report.notes[0].partition(": no answer")[0] == f"cannot list {web}/pictures/sub"
    assert (report.n_away, report.n_removed) == (2, 0)
    assert paths(library) == before
    assert "/secret.png" not in Handler.asked
    Handler.broken.clear()
    (pictures / "green.png").unlink()
    assert counts(library.add()) == {
        "n_added": 1, "n_removed": 1, "n_unchanged": 2, "n_back": 2,
    }  # fmt: skip


def test_a_picture_that_cannot_be_looked_at_just_now_was_not_moved(
    library: relook.Library, web: str, pictures: Path
) -> None:
    library.add(f"{web}/pictures")
    before = paths(library)
    shutil.copy(pictures / "red.png", pictures / "copy.png")
    Handler.broken["/pictures/red.png"] = 503
    report = library.add()
    assert (report.n_added, report.n_duplicates, report.n_moved) == (1, 1, 0)
    assert paths(library) == before | {f"{web}/pictures/copy.png"}


def test_typed_text_is_never_fetched(web: str) -> None:
    address = f"{web}/pictures/red.png"
    assert sources.read_bytes(Address(address)) == sources.read_bytes(address.encode())
    Handler.asked.clear()
    for typed in (address, Path(address)):
        with pytest.raises(ImageError, match="not there"):
            sources.read_bytes(typed)
        with pytest.raises(ImageError, match="not there"):
            load(typed)
    assert Handler.asked == []


def test_a_large_remote_file_is_not_taken_in(library: relook.Library, web: str) -> None:
    library.limits = ImageLimits(max_file_bytes=20)
    report = library.add(f"{web}/pictures")
    assert set(codes(report).values()) == {"file_too_large"}


@pytest.mark.parametrize("suffix", ["tar", "zip"])
def test_remote_archives(
    library: relook.Library, memory: fsspec.AbstractFileSystem, tmp_path: Path, suffix: str
) -> None:
    write = {"tar": write_tar, "zip": write_zip}[suffix]
    packed = write(tmp_path / "a", {"1.png": picture(noise(1)), "1.txt": "speckles"})
    memory.pipe(f"/pics/a.{suffix}", packed.read_bytes())
    assert counts(library.add("memory://pics")) == {"n_added": 3}
    assert f"memory://pics/a.{suffix}!/1.png" in paths(library)
    assert names(library.search("red", where={"caption": "speckles"})) == ["1.png"]
    assert counts(library.add()) == {"n_unchanged": 3}


@pytest.mark.parametrize(
    "address",
    ["s3://me:secret@host/x", "http://user:pw@host/", "zip://x::s3://y", "http://h/?a=1", "s3://"],
)
def test_addresses_that_are_refused(library: relook.Library, address: str) -> None:
    with pytest.raises((InputError, MissingExtraError)) as raised:
        library.add(address)
    assert raised.value.code == "bad_address"


def test_a_missing_package_is_named(
    library: relook.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise ImportError("Install s3fs to access S3")

    monkeypatch.setattr(fsspec.core, "url_to_fs", refuse)
    with pytest.raises(MissingExtraError) as raised:
        library.add("s3://bucket/pics")
    assert raised.value.hint == "pip install 'relook[remote]' s3fs"
    monkeypatch.undo()
    with pytest.raises(InputError, match="cannot read nosuch://x"):
        library.add("nosuch://x/y")
    assert not (library.folder / "manifest.json").exists()
