"""A picture's folder in the file manager of the machine on which the server runs."""

from __future__ import annotations

import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from server_parts import Running, error_of, serving, small_library, wait_for

from relook.core.errors import AccessError, NotFoundError
from relook.server.folders import FileManager, ShownFolder

SCREEN = {"DISPLAY": ":0"}


class Opener:
    """In place of the program that shows folders."""

    def __init__(self) -> None:
        self.started: list[list[str]] = []

    def __call__(self, command: Sequence[str]) -> None:
        self.started.append(list(command))


def manager(
    opener: Opener,
    host: str = "127.0.0.1",
    platform: str = "linux",
    screen: dict[str, str] = SCREEN,
    program: str | None = "/usr/bin/xdg-open",
) -> FileManager:
    return FileManager(host, platform, screen, opener, lambda _: program)


@pytest.fixture
def opener() -> Opener:
    return Opener()


@pytest.fixture
def server(tmp_path: Path, opener: Opener) -> Iterator[Running]:
    with serving(small_library(tmp_path), cache=tmp_path / "cache") as running:
        running.state.file_manager = manager(opener)
        yield running


def test_the_folder_of_a_picture_is_shown_and_nothing_else_is_started(
    server: Running, opener: Opener
) -> None:
    assert server.get("").json()["shows_folders"] is True
    hit = server.client.search("library", "red")["hits"][0]
    path = Path(hit["path"])
    answer = server.post(f"/images/{hit['image_id']}/show-in-folder")
    assert answer.json() == {"folder": str(path.parent), "name": path.name}
    assert opener.started == [["xdg-open", str(path.parent)]]
    for image_id, code in (("4711", "no_image"), ("../1", "no_route"), ("x", "bad_request")):
        assert error_of(server.post(f"/images/{image_id}/show-in-folder"))[1] == code
    foreign = {"Origin": "http://evil.example"}
    for refused in (
        server.http.post(f"{server.base}/images/1/show-in-folder", headers=foreign),
        server.get(f"/images/{hit['image_id']}/show-in-folder"),  # a link must not do it
    ):
        assert refused.status_code in (403, 405)
    path.unlink()
    gone = server.post(f"/images/{hit['image_id']}/show-in-folder")
    assert error_of(gone) == (404, "vanished")
    assert len(opener.started) == 1


@pytest.mark.parametrize(
    ("how", "why"),
    [
        ({"host": "0.0.0.0"}, "on the machine of the server only"),
        ({"host": "192.168.1.7", "platform": "darwin"}, "on the machine of the server only"),
        ({"screen": {}}, "without a screen"),
        ({"program": None}, "no xdg-open is installed"),
    ],
)
def test_where_no_folder_can_be_shown_it_is_said(
    tmp_path: Path, opener: Opener, how: dict[str, object], why: str
) -> None:
    files = manager(opener, **how)  # type: ignore[arg-type]
    assert not files.is_here
    with pytest.raises(AccessError, match=why) as refused:
        files.show(bytes(tmp_path))
    assert (refused.value.code, refused.value.hint) == ("no_file_manager", "copy the path instead")
    assert opener.started == []


@pytest.mark.parametrize(
    ("platform", "command"),
    [
        ("darwin", ["open", "-R", "{path}"]),
        ("win32", ["explorer", "/select,{path}"]),
        ("linux", ["xdg-open", "{folder}"]),
    ],
)
def test_each_platform_has_its_own_way(
    tmp_path: Path, opener: Opener, platform: str, command: list[str]
) -> None:
    path = tmp_path / "-a picture; with $signs.png"
    path.touch()
    manager(opener, platform=platform, screen=SCREEN).show(bytes(path))
    assert opener.started == [[part.format(path=path, folder=tmp_path) for part in command]]


def test_members_scenes_and_addresses(tmp_path: Path, opener: Opener) -> None:
    pack, clip = tmp_path / "pack.zip", tmp_path / "clip.mp4"
    zipfile.ZipFile(pack, "w").close()
    clip.touch()
    files = manager(opener)
    assert files.show(bytes(pack) + b"!/in/red.png") == ShownFolder(tmp_path, "pack.zip")
    assert files.show(bytes(clip) + b"#t=2.500") == ShownFolder(tmp_path, "clip.mp4")
    with pytest.raises(NotFoundError, match="lies in no folder here"):
        files.show(b"s3://bucket/red.png")
    assert opener.started == [["xdg-open", str(tmp_path)]] * 2


def test_a_program_is_started_and_not_waited_for(tmp_path: Path) -> None:
    """The real start: what the program writes goes nowhere, and its end is nobody's matter."""
    done = tmp_path / "done"
    FileManager("127.0.0.1").start([sys.executable, "-c", f"open({str(done)!r}, 'w')"])
    wait_for(done.exists)
