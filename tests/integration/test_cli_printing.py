"""What the command line prints: errors, help, tables, odd names; exit codes."""

import base64
import json
import os
import re
from pathlib import Path

import pytest
from cli_parts import INDEX, Ask, Run, ask, plugin, run  # noqa: F401  (some are fixtures)
from library_parts import many
from PIL import Image

import relook
from relook.cli.main import main
from relook.library.report import IndexReport
from relook.testing import noise, solid

ODD = b"odd\xff \x1b[31mred\x07\n.png"


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["search", ""], "empty_query"),
        (["search"], "empty_query"),
        (["search", "red - red"], "cancelled_query"),
        (["search", "--not", "red"], "empty_query"),
        (["search", "image:none.jpg"], "vanished"),
        (["similar", "none.jpg"], "vanished"),
        (["index", "none"], "no_path"),
        (["index", ".", "--encoder", "builtin"], "other_encoder"),
        (["index", "--metadata", "none.csv"], "bad_sidecar"),
        (["info", "--library", "none"], "no_library"),
        (["search", "red", "--library", "~nobody_of_this_name"], "no_library"),
        (["forget", "none"], "no_image"),
        (["bench", "retrieval", "--captions", "none.tsv"], "bad_captions"),
    ],
)
def test_errors_are_the_error_object_or_two_lines(
    ask: Ask, run: Run, pictures: Path, arguments: list[str], code: str
) -> None:
    ask(*INDEX, pictures)
    exit_code, told = ask(*arguments)
    assert (exit_code, set(told), set(told["error"])) == (1, {"error"}, {"code", "message", "hint"})
    assert told["error"]["code"] == code
    exit_code, out, err = run(*arguments)
    assert (exit_code, out) == (1, "")
    expected = f"error[{code}]: {told['error']['message']}\n"
    hint = told["error"]["hint"]
    assert err == expected + (f"hint: {hint}\n" if hint else "")


@pytest.mark.parametrize(
    "arguments",
    [
        ["serch", "red"], ["search", "red", "--limit", "0"], ["search", "red", "--limit", "many"],
        ["search", "red", "--where", "place"], ["search", "red", "--where", "=x"],
        ["similar"], ["search", "--no-such-option"],
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_2_with_nothing_on_stdout(
    ask: Ask, run: Run, pictures: Path, arguments: list[str]
) -> None:
    ask(*INDEX, pictures)
    code, out, err = run(*arguments)
    assert (code, out) == (2, "")
    assert "Usage" in err


def test_relook_alone_says_what_to_do_next(run: Run, ask: Ask, pictures: Path) -> None:
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out.startswith("There is no library yet at ")
    assert "  relook demo " in out
    ask(*INDEX, pictures)
    code, out, err = run()
    assert (code, err) == (0, "")
    assert out.startswith("Your library is ")
    assert "  relook search " in out


def test_the_help_begins_with_what_to_do_first(run: Run) -> None:
    _, out, _ = run("--help")
    first = out.index("Start here")
    for name in ("demo", "index", "search"):
        assert first < out.index(f" {name} ") < out.index("Look after a library")
    assert "relook demo" in out


def test_a_shell_completes_commands(monkeypatch: pytest.MonkeyPatch, run: Run) -> None:
    for name, value in (("_RELOOK_COMPLETE", "complete_bash"), ("COMP_WORDS", "relook se")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COMP_CWORD", "1")
    assert run()[1].split() == ["search", "serve", "session"]


def test_help_and_version(run: Run) -> None:
    assert run("--version") == (0, f"relook {relook.__version__}\n", "")
    code, out, err = run("--help")
    assert (code, err) == (0, "")
    for name in ("index", "search", "similar", "info", "doctor", "demo", "bench", "forget"):
        assert name in out


def test_tables_show_hits_and_where_they_are(run: Run, pictures: Path) -> None:
    run(*INDEX, pictures)
    code, out, err = run("search", "green", "--limit", 1)
    assert (code, err) == (0, "")
    assert re.search(r"1\s+\d+\.\d{3}\s+pictures/green\.png\s+bottom right", out)
    code, out, err = run("search", " ".join(["red"] * 20))
    assert err == "note: the query is long: its last 4 tokens were not read\n"


def test_control_characters_never_reach_the_terminal(run: Run, ask: Ask, tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    with open(folder + b"/" + ODD, "wb") as file:
        noise(1).save(file, "PNG")
    with open(folder + b"/bad" + ODD, "wb") as file:
        file.write(b"text")
    (tmp_path / "m.jsonl").write_text(
        json.dumps({"path": os.fsdecode(folder + b"/" + ODD), "title": "a\x1b]0;b\x07\u202ec"})
    )
    code, out, err = run(*INDEX, tmp_path / "odd", "--metadata", tmp_path / "m.jsonl")
    assert code == 3
    shown = out + err
    for arguments in (["search", "red"], ["info", "--skipped"], ["forget", "x\x1b[31m\n"]):
        _, out, err = run(*arguments)
        shown += out + err
    assert "[31mred" in shown
    assert all(char.isprintable() or char == "\n" for char in shown)
    assert "\\x1b" in shown
    assert "\\u202e" in shown


def test_files_are_printed_as_bytes(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    with open(folder + b"/" + ODD, "wb") as file:
        solid("red").save(file, "PNG")
    assert main([*INDEX, str(tmp_path / "odd")]) == 0
    capfdbinary.readouterr()
    assert main(["search", "red", "--files"]) == 0
    assert capfdbinary.readouterr() == (folder + b"/" + ODD + b"\n", b"")


def test_json_with_odd_names_is_read_by_any_program(
    capfdbinary: pytest.CaptureFixture[bytes], tmp_path: Path
) -> None:
    """Strict readers refuse halves of characters; the bytes stand beside."""
    folder = os.fsencode(tmp_path / "odd")
    os.mkdir(folder)
    for name in (ODD, "é.png".encode()):
        with open(folder + b"/" + name, "wb") as file:
            noise(len(name)).save(file, "PNG")
    assert main([*INDEX, str(tmp_path / "odd")]) == 0
    capfdbinary.readouterr()
    assert main(["search", "red", "--json"]) == 0
    hits = json.loads(capfdbinary.readouterr().out)["hits"]
    json.dumps(hits, ensure_ascii=False).encode("utf-8")
    names = {
        base64.b64decode(hit["path_base64"]) if "path_base64" in hit else hit["path"].encode()
        for hit in hits
    }
    assert names == {folder + b"/" + ODD, folder + b"/" + "é.png".encode()}
    assert sum("\ufffd" in hit["path"] for hit in hits) == 1


def test_stopping_is_exit_code_130(
    ask: Ask, run: Run, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(*INDEX, pictures)
    stopped = IndexReport(n_added=5, n_images=8, interrupted=True)
    monkeypatch.setattr(relook.Library, "add", lambda *_, **__: stopped)
    code, told = ask("index")
    assert (code, told["interrupted"], told["n_added"]) == (130, True, 5)
    code, _, err = run("index")
    assert (code, err) == (
        130, "stopped; what is done is kept. Run the same command to go on.\n",
    )  # fmt: skip

    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(relook.Library, "search", stop)
    assert run("search", "red")[0] == 130


def test_progress_goes_to_stderr_when_it_is_a_terminal(
    capsys: pytest.CaptureFixture[str], pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    many(pictures / "many", 20)
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setenv("TERM", "xterm")
    assert main([*INDEX, str(pictures)]) == 0
    out, err = capsys.readouterr()
    assert re.fullmatch(r"added 23; 23 images in [\d.]+ s\n", out)
    assert "indexing" in err


def test_the_demo_builds_a_library_and_shows_pages(run: Run, tmp_path: Path) -> None:
    many(tmp_path / "album", 3)
    Image.new("RGB", (300, 200), "white").save(tmp_path / "album" / "white.jpg")
    code, out, err = run("demo", "--library", "demo", "--pictures", "album", "--limit", 1)
    # A busy machine takes long enough for a line of rates.
    assert (code, [line for line in err.splitlines() if not line.startswith("stages: ")]) == (0, [])
    assert "added 4" in out
    assert out.count('$ relook search "') == 4
    assert 'relook search "water" --library demo' in out
