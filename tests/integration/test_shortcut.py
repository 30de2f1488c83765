"""`relook shortcut`: what a double-click starts, and a port that is taken."""

import re
import socket
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from relook.cli import serve
from relook.cli.main import main
from relook.core.errors import InputError
from relook.gateway.server_settings import ServerSettings

ODD = "a $b\"c%d`e\\f 'g' é"


@pytest.fixture
def started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Runs the command for a platform; returns the only file that it made."""
    echo = tmp_path / "py thon"  # in place of Python: what it was started with
    echo.write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    echo.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(echo))
    (tmp_path / "place").mkdir()

    def start(platform: str, *arguments: str) -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(sys, "platform", platform)
            assert main(["shortcut", "--folder", str(tmp_path / "place"), *arguments]) == 0
        [path] = (tmp_path / "place").iterdir()
        return path

    return start


def words_of(entry: str) -> list[str]:
    """The command of a desktop entry, read as its specification says."""
    [line] = re.findall(r"^Exec=(.*)$", entry, re.MULTILINE)
    value = line.replace("\\\\", "\\")
    words = re.findall(r'"((?:[^"\\]|\\.)*)"', value)
    return [re.sub(r"\\(.)", r"\1", word).replace("%%", "%") for word in words]


@pytest.mark.parametrize("name", ["photos", ODD])
def test_a_desktop_entry_starts_the_page(
    started: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    entry = started("linux", "--library", str(tmp_path / name)).read_text("utf-8")

    command, *arguments = words_of(entry)
    assert command == sys.executable
    assert arguments == ["-m", "relook", "serve", "--open", "--library", str(tmp_path / name)]
    [icon] = re.findall(r"^Icon=(.*)$", entry, re.MULTILINE)
    assert Path(icon).read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["photos", ODD])
def test_a_double_click_on_a_mac_starts_the_page(
    started: Callable[..., Path], tmp_path: Path, name: str
) -> None:
    path = started("darwin", "--library", str(tmp_path / name))

    assert path.stat().st_mode & stat.S_IXUSR
    said = subprocess.run([path], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-2:] == ["--library", str(tmp_path / name)]


def test_windows_gets_a_batch_file(started: Callable[..., Path], tmp_path: Path) -> None:
    path = started("win32", "--library", str(tmp_path / "50%"))
    assert path.suffix == ".cmd"
    assert f'"{tmp_path / "50%%"}"' in path.read_text("utf-8")


def test_it_stands_among_the_programs_and_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "platform", "linux")
    for library in ("a/photos", "b/photos"):  # two of one name have an entry each
        assert main(["shortcut", "--library", str(tmp_path / library)]) == 0
    assert main(["shortcut"]) == 0
    assert len(list((tmp_path / "applications").glob("*.desktop"))) == 3

    assert main(["shortcut", "--remove"]) == 0
    assert not (tmp_path / "applications" / "relook.desktop").exists()
    assert len(list((tmp_path / "applications").glob("*.desktop"))) == 2
    assert main(["shortcut", "--remove"]) == 1
    assert "no_shortcut" in capsys.readouterr().err
    assert main(["shortcut", "--folder", str(tmp_path / "nowhere")]) == 1


def test_the_usual_port_may_be_taken_and_a_chosen_one_not(
    capsys: pytest.CaptureFixture[str],
) -> None:
    package = serve._server_package()
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        settings = ServerSettings(port=port)
        with serve._listening(package, settings, is_chosen=False) as sock:
            assert sock.getsockname()[1] != port
        assert "takes another port" in capsys.readouterr().err
        with pytest.raises(InputError, match="cannot listen"):
            serve._listening(package, settings, is_chosen=True)


@pytest.mark.parametrize(
    ("flags", "is_chosen"), [([], False), (["--port", "8765"], True), (["--config", "c"], True)]
)
def test_a_port_is_chosen_by_flag_or_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], is_chosen: bool
) -> None:
    (tmp_path / "c.toml").write_text("[serve]\nport = 8765\n")
    chosen = []

    def listening(*_: object, is_chosen: bool) -> None:
        chosen.append(is_chosen)
        raise InputError("enough", "for this test")

    monkeypatch.setattr(serve, "_listening", listening)
    flags = [str(tmp_path / "c.toml") if flag == "c" else flag for flag in flags]
    main(["serve", "--no-open", *flags])
    assert chosen == [is_chosen]
