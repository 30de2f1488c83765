"""`relook look`, `refine` and `session`, in process, over coloured pictures."""

import io
import json
import re
from pathlib import Path

import pytest

import relook
from relook.cli.main import main
from relook.cli.output import thumbnail_protocol, thumbnail_sequence
from relook.core.registry import Adapter
from relook.core.types import Box
from relook.encoders import ENCODERS
from relook.testing.fakes import patched


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of six pictures, red in part; `1.png` the least, `6.png` the most."""
    colour = Adapter("relook.testing.fakes:ColourEncoder", "for tests")
    monkeypatch.setitem(ENCODERS.builtin, "colour", colour)
    folder = tmp_path / "pictures"
    folder.mkdir()
    for number, ground in enumerate(("black", "blue", "blue", "green", "green", "yellow"), start=1):
        wide = 0.2 + number / 25
        bar = Box(0.0, 0.0, wide, 1.0) if number % 2 else Box(0.0, 0.0, 1.0, wide)
        patched(ground, "red", bar, 100, 100).save(folder / f"{number}.png")
    with relook.Library(tmp_path / "library", encoder="colour") as made:
        made.add(folder)
    return tmp_path / "library"


def run(capsys: pytest.CaptureFixture[str], *argv: str | Path) -> tuple[int, dict, str]:
    """Exit code, the object on stdout (or {}), and stderr."""
    code = main([str(word) for word in argv])
    told = capsys.readouterr()
    return code, json.loads(told.out) if told.out.startswith("{") else {"text": told.out}, told.err


def names(page: dict) -> list[str]:
    return [Path(hit["path"]).name for hit in page["hits"]]


def test_a_session_by_commands(library: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = ("--library", library)
    code, first, _ = run(capsys, "look", "red", *at, "--limit", 2, "--json")
    assert (code, names(first)) == (0, ["6.png", "5.png"])
    session = first["session_id"]
    code, page, _ = run(
        capsys, "refine", session, *at, "--irrelevant", 1, "--box", "2:0,0.3,1,1:relevant",
        "--caption", "green", "--strategy", "region", "--json",
    )  # fmt: skip
    assert code == 0
    assert page["session_id"] == session
    assert names(page)[0] == "4.png"
    told = [(j["image_id"], j["relevant"], j["box"], j["caption"]) for j in page["judgements"]]
    assert told == [(6, False, None, None), (5, True, [0.0, 0.3, 1.0, 1.0], "green")]
    code, shown, _ = run(capsys, "session", "show", session, *at, "--json")
    assert (code, names(shown)) == (0, names(page))
    code, page, _ = run(capsys, "refine", session, *at, "--keep-shown", "--json")
    assert code == 0
    assert "reason" in page["choice"]


def test_a_wrong_mark_leaves_the_session_as_it_was(
    library: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--library", library)
    session = run(capsys, "look", "red", *at, "-n", "2", "--json")[1]["session_id"]
    for marks, code in (
        (("--relevant", 1, "--irrelevant", 3), "no_hit"),
        (("--relevant", 1, "--irrelevant", 1), "bad_mark"),
        (("--relevant", 1, "--box", "2:0.5,0.5,0.5,0.6:relevant"), "bad_box"),
        (("--relevant", 1, "--box", "2:0,0,1,1:maybe"), "bad_mark"),
        (("--relevant", 1, "--caption", "words without a box"), "bad_mark"),
        (("--relevant", 1, "--strategy", "best"), "unknown_strategy"),
    ):
        exit_code, told, _ = run(capsys, "refine", session, *at, *marks, "--json")
        assert (exit_code, told["error"]["code"]) == (1, code)
        with relook.Library(library) as lib:
            assert lib.session(session).judgements == []
    assert run(capsys, "refine", "nope", *at, "--json")[1]["error"]["code"] == "no_session"


def test_sessions_are_listed_renamed_moved_and_deleted(
    library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    at = ("--library", library)
    session = run(capsys, "look", "red", *at, "-n", "2", "--json")[1]["session_id"]
    assert run(capsys, "session", "rename", session, "evening", *at)[0] == 0
    listed = run(capsys, "session", "list", *at, "--json")[1]["sessions"]
    assert [(row["session_id"], row["name"]) for row in listed] == [(session, "evening")]
    file = tmp_path / "session.json"
    assert run(capsys, "session", "export", session, *at, "--to", file)[0] == 0
    code, taken, _ = run(capsys, "session", "import", file, *at, "--json")
    assert code == 0
    assert taken["session_id"] != session
    assert run(capsys, "session", "delete", session, *at)[0] == 0
    listed = run(capsys, "session", "list", *at, "--json")[1]["sessions"]
    assert [row["session_id"] for row in listed] == [taken["session_id"]]
    file.write_text("{}")
    code, told, _ = run(capsys, "session", "import", file, *at, "--json")
    assert (code, told["error"]["code"]) == (1, "bad_session_file")


def test_the_loop(
    library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Marks, pages, reasons and mistakes, as typed at the prompt."""
    lines = (
        "+2 -1", "again", "why 1", "influence 1", "judged", "pages", "nonsense", "why 99",
        "caption 1 a green field", "strategy rocchio", "undo", "go 1", "go 0", "?", "quit", "+1",
    )  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(lines) + "\n"))
    code, told, errors = run(capsys, "look", "red", "-l", library, "-n", "2", "--no-thumbnails")
    assert code == 0
    text = told["text"]
    assert "mark 1: hit 2 relevant" in text
    assert "mark 2: hit 1 irrelevant" in text
    assert '"a green field"' in text
    assert "back on page 1" in text
    shown = re.findall("^(?:look> )?page ([0-9]+)$", text, re.MULTILINE)
    assert shown == ["1", "2", "1", "1"], "of the search, `again`, `undo` and `go 1`"
    assert re.findall(r"^ ([12])(?: <-)?  +(1?) +(\w+) +2 *$", text, re.MULTILINE) == [
        ("1", "", "none"), ("2", "1", "auto"),
    ]  # fmt: skip
    assert "error[no_round]: this session has no page 0\nhint: pages count from 1" in errors
    assert "strategy rocchio" in text
    assert "error[bad_mark]: 'nonsense' is no mark" in errors
    assert "error[no_hit]: there is no hit 99" in errors
    with relook.Library(library) as lib:
        row = lib.sessions()[0]
        assert f"session {row.session_id} is kept" in text
        kept = lib.session(row.session_id)
        assert [one.image_id for one in kept.judgements] == [5, 6], "nothing after quit is read"


def test_the_loop_resumes(
    library: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    session = run(capsys, "look", "red", "-l", library, "-n", "2", "--json")[1]["session_id"]
    monkeypatch.setattr("sys.stdin", io.StringIO("more\n"))
    assert run(capsys, "look", "--resume", session, "-l", library)[0] == 0
    with relook.Library(library) as lib:
        assert [hit.path.name for hit in lib.session(session).page] == ["4.png", "3.png"]


def test_thumbnail_protocols() -> None:
    assert thumbnail_protocol({"KITTY_WINDOW_ID": "1"}) == "kitty"
    assert thumbnail_protocol({"TERM_PROGRAM": "WezTerm"}) == "iterm"
    assert thumbnail_protocol({"TERM": "xterm-256color"}) is None
    drawn = thumbnail_sequence(b"x" * 4000, "kitty")
    assert drawn.count("\033_G") == 2
    assert drawn.startswith("\033_Ga=T,f=100,m=1;")
    assert "\033_Gm=0;" in drawn
    assert thumbnail_sequence(b"png", "iterm") == "\033]1337;File=inline=1;size=3:cG5n\a"
