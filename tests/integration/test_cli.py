"""The command line in process: exit codes, one JSON object on stdout, clean text for terminals."""

import json
import os
import re
from pathlib import Path

import pytest
from cli_parts import INDEX, Ask, Run, ask, plugin, run  # noqa: F401  (some are fixtures)

from relook.testing import ColourEncoder


def test_index_tells_what_it_did(ask: Ask, pictures: Path) -> None:
    code, told = ask(*INDEX, pictures)
    assert code == 0
    assert told.pop("seconds") >= 0
    assert [stage["n"] for stage in told.pop("stages").values()] == [3] * 5
    assert told == {
        "n_added": 3, "n_updated": 0, "n_unchanged": 0, "n_moved": 0, "n_removed": 0,
        "n_away": 0, "n_back": 0, "away": [], "unlisted": [],
        "n_duplicates": 0, "n_metadata": 0, "n_skipped": 0, "n_images": 3, "skipped": [],
            "n_text_read": 0, "n_text_found": 0,
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
    promised = {
        "path": f"{pictures}/red.png", "tile": [0, 0, 1, 1], "title": "", "caption": "",
        "width_px": 60, "height_px": 40, "folded": [], "metadata": {},
    }  # fmt: skip
    assert {key: first[key] for key in promised} == promised
    assert first["score"] > page["hits"][1]["score"]
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
        "others": [], "n_unencoded": 0, "n_text_read": 0, "n_text_found": 0,
        "encoder_revision": "1", "languages": "not known",
        "n_away": 0, "away": [], "encoder": "colour", "dim": 16,
        "fingerprint": ColourEncoder().fingerprint.digest, "format_version": 1,
        "roots": [str(pictures)],
    }  # fmt: skip
    assert ask("forget", pictures / "sub") == (
        0,
        {"n_forgotten": 1, "n_marks": 0, "n_in_albums": 0},
    )
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


def test_bench_feedback_says_with_what_it_was_measured(
    ask: Ask, pictures: Path, tmp_path: Path
) -> None:
    ask(*INDEX, pictures)
    (tmp_path / "queries.jsonl").write_text(
        '{"query": "red", "relevant": ["red.png"]}\n{"query": "pink", "relevant": ["no.png"]}\n'
    )
    command = ("bench", "feedback", "--queries", "queries.jsonl", "--noise", "0.5", "--page", "1")
    _, report = ask(*command, "--seed", "7", "--per-query", "lines.jsonl")
    lines = [json.loads(line) for line in (tmp_path / "lines.jsonl").read_text().splitlines()]
    assert [line["query"] for line in lines] == ["red"]
    assert lines[0]["strategies"]["auto"]["found"] == report["found"]
    assert (report["n_queries"], report["n_left_out"]) == (1, 1)
    assert report["protocol"]["seed"] == 7
    assert report["protocol"]["noise"] == 0.5
    measured = report["measured_on"]
    assert measured["encoder"]["name"] == "colour"
    assert set(measured["versions"]) == {"relook", "python", "numpy", "onnxruntime"}
    assert ask(*command, "--seed", "7")[1] == report
    (pictures / "red.png").rename(pictures / "sub" / "red.png")  # no other pictures
    ask("index")
    assert ask(*command)[1]["measured_on"] == measured
    ask("forget", pictures / "green.png")
    assert ask(*command)[1]["measured_on"]["pictures"] != measured["pictures"]


def test_the_table_of_bench_feedback_fits_a_terminal(
    ask: Ask, run: Run, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ask(*INDEX, pictures)
    (tmp_path / "queries.jsonl").write_text('{"query": "red", "relevant": ["red.png"]}\n')
    monkeypatch.setenv("COLUMNS", "80")
    command = ("bench", "feedback", "--queries", "queries.jsonl", "-s", "rocchio-visualref")
    code, out, err = run(*command)
    assert (code, err) == (0, "")
    assert max(map(len, out.splitlines())) <= 80
    rows = [line.split() for line in out.splitlines() if line.startswith(" rocchio-visualref ")]
    assert rows[0][1:6] == ["1.000", "+0.000", "+0.000", "to", "+0.000"]
    assert "seed" in out


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
