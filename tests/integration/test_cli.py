"""The command line in process: exit codes, one JSON object on stdout, clean text for terminals."""

import base64
import json
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from library_parts import many
from PIL import Image

import relook
from relook.cli.main import main
from relook.library.report import IndexReport
from relook.testing import ColourEncoder, noise, solid

ODD = b"odd\xff \x1b[31mred\x07\n.png"


@pytest.fixture(autouse=True)
def plugin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The colour encoder, installed as a third party would: by an entry point."""
    info = tmp_path / "site" / "colour-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: colour\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[relook.encoders]\ncolour = relook.testing.fakes:ColourEncoder\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setenv("RELOOK_LIBRARY", str(tmp_path / "library"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    def run_it(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run_it


@pytest.fixture
def ask(run: Callable[..., tuple[int, str, str]]) -> Callable[..., tuple[int, dict[str, Any]]]:
    """Runs with --json: one object on stdout, nothing on stderr."""

    def ask_it(*arguments: object) -> tuple[int, dict[str, Any]]:
        code, out, err = run(*arguments, "--json")
        assert err == ""
        assert out.isascii()
        found = json.loads(out)
        assert isinstance(found, dict)
        return code, found

    return ask_it


Run = Callable[..., tuple[int, str, str]]
Ask = Callable[..., tuple[int, dict[str, Any]]]
INDEX = ("index", "--encoder", "colour")


def test_index_tells_what_it_did(ask: Ask, pictures: Path) -> None:
    code, told = ask(*INDEX, pictures)
    assert code == 0
    assert told.pop("seconds") >= 0
    assert [stage["n"] for stage in told.pop("stages").values()] == [3] * 5
    assert told == {
        "n_added": 3, "n_updated": 0, "n_unchanged": 0, "n_moved": 0, "n_removed": 0,
        "n_away": 0, "n_back": 0, "away": [], "unlisted": [],
        "n_duplicates": 0, "n_metadata": 0, "n_skipped": 0, "n_images": 3, "skipped": [],
        "others": [], "left_out": {},
        "notes": [], "interrupted": False,
    }  # fmt: skip
    assert ask("index")[1]["n_unchanged"] == 3


def test_index_with_bad_files_is_done_with_exit_code_3(ask: Ask, run: Run, pictures: Path) -> None:
    (pictures / "text.jpg").write_text("hello")
    (pictures / "empty.jpg").touch()
    code, told = ask(*INDEX, pictures)
    assert (code, told["n_added"], told["n_skipped"]) == (3, 3, 2)
    assert told["skipped"] == [
        {"path": f"{pictures}/empty.jpg", "code": "empty_file",
         "message": "the file is empty (0 bytes)"},
        {"path": f"{pictures}/text.jpg", "code": "not_an_image",
         "message": "the content is not a picture in a format that is read here"},
    ]  # fmt: skip
    code, out, err = run("index", pictures)
    assert code == 3
    assert re.fullmatch(r"unchanged 3, skipped 2; 3 images in [\d.]+ s\n", out)
    assert err.splitlines()[0] == (
        f"skipped[empty_file]: {pictures}/empty.jpg: the file is empty (0 bytes)"
    )
    assert ask("info", "--skipped")[1]["skipped"] == told["skipped"]


def test_a_long_list_of_bad_files_is_cut(run: Run, pictures: Path) -> None:
    for number in range(13):
        (pictures / f"bad{number:02}.jpg").touch()
    code, _, err = run(*INDEX, pictures)
    assert code == 3
    assert len(err.splitlines()) == 11
    assert err.splitlines()[-1] == "... and 3 more; relook info --skipped lists them all"


def test_search_prints_the_documented_object(ask: Ask, pictures: Path) -> None:
    ask(*INDEX, pictures)
    code, page = ask("search", "red", "--limit", 2)
    assert code == 0
    assert set(page) >= {"query", "session_id", "hits", "notes", "took_ms"}
    assert page["query"] == {"parts": [{"text": "red", "weight": 1.0}]}
    first = page["hits"][0]
    assert first == {
        "image_id": first["image_id"], "path": f"{pictures}/red.png", "score": 1.0,
        "tile": [0, 0, 1, 1], "title": "", "caption": "", "width_px": 60, "height_px": 40,
        "folded": [],
    }  # fmt: skip
    assert len(page["hits"]) == 2


def test_search_takes_words_pictures_and_what_not_to_show(ask: Ask, pictures: Path) -> None:
    ask(*INDEX, pictures)
    image = pictures / "red.png"
    _, page = ask("search", "blue", "--image", image, "--not", "white", "--no-fold")
    assert page["query"]["parts"] == [
        {"weight": 1.0, "text": "blue"},
        {"weight": 1.0, "image": str(image)},
        {"weight": -1.0, "text": "white"},
    ]
    assert page["hits"][-1]["path"] == f"{pictures}/green.png"
    _, page = ask("search", "red", "--path", "sub/")
    assert [hit["path"] for hit in page["hits"]] == [f"{pictures}/sub/blue.png"]


def test_similar_and_where(ask: Ask, pictures: Path) -> None:
    (pictures / "m.csv").write_text("path,place\nred.png,a=b\nsub/blue.png,sea\n")
    ask(*INDEX, pictures, "--metadata", pictures / "m.csv")
    _, page = ask("similar", pictures / "red.png", "--limit", 1)
    assert [hit["path"] for hit in page["hits"]] == [f"{pictures}/red.png"]
    _, page = ask("similar", pictures / "red.png", "--where", "place=sea")
    assert [hit["path"] for hit in page["hits"]] == [f"{pictures}/sub/blue.png"]
    _, page = ask("search", "green", "--where", "place=a=b")
    assert [hit["path"] for hit in page["hits"]] == [f"{pictures}/red.png"]


def test_info_forget_and_doctor(ask: Ask, pictures: Path, tmp_path: Path) -> None:
    ask(*INDEX, pictures)
    code, told = ask("info")
    assert code == 0
    assert told.pop("n_bytes") > 0
    assert told.pop("backup_age_s") >= 0
    assert told == {
        "library": f"{tmp_path}/library", "n_images": 3, "n_tiles": 15, "n_skipped": 0,
        "others": [], "n_unencoded": 0, "encoder_revision": "1", "languages": "not known",
        "n_away": 0, "away": [], "encoder": "colour", "dim": 16,
        "fingerprint": ColourEncoder().fingerprint.digest, "format_version": 1,
        "roots": [str(pictures)],
    }  # fmt: skip
    assert ask("forget", pictures / "sub") == (0, {"n_forgotten": 1, "n_marks": 0})
    code, told = ask("doctor")
    assert code == 0
    assert told["leaves_the_machine"].startswith("nothing")
    for named in ("model fetch", "dataset", "--ray", "--store", "--allow-upload", "--host"):
        assert named in told["leaves_the_machine"]
    assert told["encoders"]["colour"] == "from relook.testing.fakes:ColourEncoder"
    assert {check["check"]: check["ok"] for check in told["checks"]} == {
        "built-in encoder": True, "library": True,
    }  # fmt: skip
    told_of = told["checks"][1]["told"]
    assert told_of == f"2 images at {tmp_path}/library; backed up seconds ago"


def test_what_is_away_is_told_shown_and_moved(ask: Ask, run: Run, pictures: Path) -> None:
    ask(*INDEX, pictures)
    aside = (pictures / "sub").rename(pictures.parent / "aside")
    code, told = ask("index")
    gone = {"place": f"{pictures}/sub", "reason": "is not there", "n": 1}
    assert (code, told["n_away"], told["n_removed"], told["away"]) == (0, 1, 0, [gone])
    assert ask("info")[1]["away"] == [gone]
    notes = ask("doctor", "--check")[1]["notes"]
    assert [note["n"] for note in notes if note["code"] == "away"] == [1]
    page = ask("search", "blue")[1]
    assert f"1 picture is away: {pictures}/sub is not there" in page["notes"]
    assert len(page["hits"]) == 2
    shown = ask("search", "blue", "--away")[1]
    assert shown["hits"][0]["away"] == f"{pictures}/sub is not there"
    assert "away" not in shown["hits"][1]
    code, told = ask("move", pictures / "sub", aside)
    assert (code, told["n_moved"], told["n_missing"], told["n_other"]) == (0, 1, 0, 0)
    assert ask("search", "blue")[1]["hits"][0]["path"] == f"{aside}/blue.png"
    assert ask("info")[1]["n_away"] == 0
    assert ask("move", pictures / "nowhere", aside)[0] == 1


def test_e14_a_folder_that_cannot_be_listed_is_exit_code_3(
    ask: Ask, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, closed = os.scandir, os.fsencode(pictures / "sub")

    def scandir(folder: bytes) -> object:
        if folder == closed:
            raise PermissionError(13, "Permission denied")
        return real(folder)

    monkeypatch.setattr(os, "scandir", scandir)
    code, told = ask(*INDEX, pictures)
    assert (code, told["n_added"]) == (3, 2)
    assert told["unlisted"] == [{"path": f"{pictures}/sub", "message": "Permission denied"}]
    assert told["notes"] == [f"cannot list {pictures}/sub: Permission denied"]


def test_doctor_fails_on_a_broken_library(ask: Ask, pictures: Path, tmp_path: Path) -> None:
    ask(*INDEX, pictures)
    (tmp_path / "library" / "manifest.json").write_text("{")
    code, told = ask("doctor")
    assert code == 1
    assert [check["ok"] for check in told["checks"]] == [True, False]


def test_bench_retrieval_measures_by_hand(ask: Ask, pictures: Path) -> None:
    (pictures / "captions.tsv").write_text(
        "test\tred.png\tred\ntest\tblue.png\tblue\ntest\tgreen.png\tblue\n"
        "test\tnowhere.png\tcyan\ndev\tred.png\tblue\n"
    )
    ask(*INDEX, pictures)
    code, told = ask(
        "bench", "retrieval", "--captions", pictures / "captions.tsv", "--split", "test"
    )
    assert code == 0
    # green.png asked for as "blue": blue.png scores more, red.png and itself both 0: rank 3.
    assert told == {
        "recall@1": 0.6667, "recall@5": 1.0, "recall@10": 1.0,
        "mrr@5": round((1 + 1 + 1 / 3) / 3, 4), "median_rank": 1.0, "n_queries": 3,
        "n_images": 3, "n_unmatched": 1,
    }  # fmt: skip


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


def test_the_help_begins_with_what_to_do_first(run: Run) -> None:
    _, out, _ = run()
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
    assert re.search(r"1\s+0\.900\s+pictures/green\.png\s+bottom right", out)
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
