"""Originals are never written to: every command, on pictures that nobody may write."""

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_parts import with_colour_encoder
from PIL import Image
from server_parts import serving

import relook
from relook.cli.main import main
from relook.core.types import Box
from relook.testing import ColourEncoder, noise, patched, solid

Facts = dict[str, tuple[object, ...]]


def facts_of(folder: Path) -> Facts:
    """Everything about a folder and what is in it that a write, a touch or a move changes."""
    found = {}
    for path in [folder, *sorted(folder.rglob("*"))]:
        told = path.lstat()
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path)] = (
            content, told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino, told.st_dev,
            stat.filemode(told.st_mode), told.st_uid, told.st_gid, told.st_nlink,
        )  # fmt: skip
    return found


@pytest.fixture
def originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Read-only pictures of several formats, with EXIF, a sidecar and a file that is none."""
    with_colour_encoder(tmp_path, monkeypatch)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in ("XDG_DATA_HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    folder = tmp_path / "originals"
    (folder / "sub").mkdir(parents=True)
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "turned"
    solid("red", 80, 40).save(folder / "red.jpg", exif=exif)
    solid("blue").save(folder / "sub" / "blue.png")
    patched("white", "green", Box(0.5, 0.5, 1.0, 1.0)).save(folder / "sub" / "green.webp")
    noise(1, 600, 400).save(folder / "noise.tif")
    shutil.copy(folder / "red.jpg", folder / "copy.jpg")
    (folder / "broken.png").write_bytes((folder / "sub" / "blue.png").read_bytes()[:60])
    (folder / "titles.csv").write_text("path,title\nred.jpg,A red square\n")
    for path in sorted(folder.rglob("*"), reverse=True):
        os.chmod(path, 0o555 if path.is_dir() else 0o444)
    os.chmod(folder, 0o555)
    yield folder
    for path in [folder, folder / "sub"]:  # so that the test's folder can be removed
        os.chmod(path, 0o755)


def test_no_command_writes_to_the_originals(
    originals: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = facts_of(originals)
    assert len(before) == 9

    def ask(*words: object, codes: tuple[int, ...] = (0,), form: str = "--json") -> Any:
        code = main([*map(str, words), *([form] if form else [])])
        out = capsys.readouterr().out
        assert code in codes, out
        changed = {path for path, now in facts_of(originals).items() if before.get(path) != now}
        assert not changed, f"relook {words[0]} changed {changed}"
        assert facts_of(originals) == before, f"relook {words[0]} added or removed a file"
        return json.loads(out) if out.startswith("{") else {}

    sidecar = ("--metadata", originals / "titles.csv")
    told = ask("index", "--encoder", "colour", originals, *sidecar, codes=(3,))
    assert (told["n_added"], told["n_skipped"]) == (5, 1)
    ask("index", "--retry-skipped", codes=(3,))
    ask("search", "red", "--limit", 3)
    ask("search", "red", "--image", originals / "red.jpg")
    ask("similar", originals / "noise.tif")
    session = ask("look", "red", "--limit", 2)["session_id"]
    ask("refine", session, "--box", "1:0,0,0.5,0.5:relevant", "--irrelevant", 2)
    ask("session", "show", session)
    ask("session", "list")
    ask("session", "export", session, "--to", tmp_path / "session.json", form="")
    ask("session", "import", tmp_path / "session.json")
    ask("ask", originals / "red.jpg", "Which colour?")
    ask("info", "--skipped")
    for kind in ("faiss", "npy", "parquet", "webdataset"):
        ask("export", kind, tmp_path / "library", tmp_path / f"export-{kind}")
    ask("doctor")
    ask("doctor", "--check")
    with open(tmp_path / "library" / "vectors.f16", "r+b") as file:
        file.write(b"\x3c\x11" * 8)
    ask("doctor", "--check", codes=(1,))
    ask("doctor", "--repair")
    assert ask("index", codes=(3,))["n_added"] == 5
    with open(tmp_path / "library" / "catalog.sqlite3", "r+b") as file:
        file.write(b"garbage!" * 512)
    ask("doctor", "--repair")
    ask("index", originals, codes=(3,))
    ask("forget", originals / "sub")
    ask("forget", originals)
    assert ask("info")["n_images"] == 0


def test_no_request_to_a_server_writes_to_the_originals(originals: Path, tmp_path: Path) -> None:
    before = facts_of(originals)
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        library.add(originals)
        with serving(library, cache=tmp_path / "cache") as server:
            client = server.client
            solid("yellow").save(tmp_path / "new.png")
            for files in ([tmp_path / "new.png"], [originals / "red.jpg"]):
                *_, last = client.progress(client.upload(server.library_id, files)["job_id"])
                assert last["report"]["n_added"] == 1
            hits = client.search(server.library_id, "red", limit=3)["hits"]
            for hit in hits:
                assert server.http.get(hit["file"]).status_code == 200
                assert server.http.get(hit["thumbnail"]).status_code == 200
            begun = server.post("/sessions", {"query": "red", "limit": 3}).json()
            at = f"/sessions/{begun['session_id']}"
            image_id = begun["page"]["hits"][0]["image_id"]
            mark = {"image_id": image_id, "relevant": True, "box": [0, 0, 0.5, 0.5]}
            assert server.post(f"{at}/judgements", mark).status_code == 201
            assert server.post(f"{at}/rounds", {}).status_code == 200
            assert server.post("/index", {}).status_code in (202, 409)
            body = {"image_id": image_id, "question": "What?", "stream": False}
            assert server.http.post("/api/v1/ask", json=body).status_code == 200
    assert facts_of(originals) == before


def test_the_facts_tell_a_write_a_touch_and_a_move(originals: Path) -> None:
    """The test above can fail."""
    before = facts_of(originals)
    os.chmod(originals / "red.jpg", 0o644)
    assert facts_of(originals) != before
    os.chmod(originals / "red.jpg", 0o444)
    assert facts_of(originals) != before, "the time of the change tells"
    before = facts_of(originals)
    os.utime(originals / "red.jpg", ns=(1, before[str(originals / "red.jpg")][2]))  # type: ignore[arg-type]
    assert facts_of(originals) != before
