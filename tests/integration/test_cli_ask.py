"""`relook ask`, its batches and reports, and `relook consent`."""

import errno
import io
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import pytest
from ask_parts import own_config, png  # noqa: F401
from cli_ask_parts import Run, as_json, run  # noqa: F401
from openai_server import chat_server, fail, say

from relook.cli import output
from relook.core.leftovers import new_file
from relook.rag.answer_report import read_report, report_html
from relook.rag.consent import Consent
from relook.testing import solid

pytestmark = pytest.mark.usefixtures("own_config")


def test_without_a_model_it_says_what_matches_agree_on(run: Run) -> None:
    code, out, err = run("ask", "asked.png", "Which colour?")
    assert code == 0
    assert "No model was asked. This is what 3 matches say:" in out
    assert "Title: A red square [1]." in out  # the others are other pictures
    assert "The question needs a model (--model): Which colour?" in out
    assert "A red square" in out
    assert "library: 3 found in" in err
    assert "nothing was sent anywhere" in err


def test_one_json_object_and_evidence_asked_again(run: Run, tmp_path: Path) -> None:
    told = as_json(run, "ask", "asked.png", "Which colour?", "--strike", "2,3", "--pin", 1)
    marks = [(item["struck"], item["pinned"]) for item in told["evidence"]["items"]]
    assert marks == [(False, True), (True, False), (True, False)]
    (tmp_path / "told.json").write_text(json.dumps(told))
    with chat_server(say("Red [1] or [2].")) as server:
        again = as_json(
            run, "ask", "asked.png", "Which?", "--evidence", "told.json",
            "--model", f"openai:m@{server.url}", "--compare",
        )  # fmt: skip
    assert (again["text"], again["invented"]) == ("Red [1] or.", [2])
    assert again["without"]["text"] == "Red or."
    assert again["stages"]["providers"] == 0


def test_evidence_of_another_picture_is_refused(run: Run, tmp_path: Path) -> None:
    told = as_json(run, "ask", "asked.png")
    (tmp_path / "told.json").write_text(json.dumps(told))
    (tmp_path / "other.png").write_bytes(png("blue"))
    code, out, err = run("ask", "other.png", "--evidence", "told.json")
    assert (code, out) == (1, "")
    assert "error[other_picture]: the evidence is of asked.png" in err
    assert "of other.png" in err
    shutil.copy("asked.png", "copy.png")
    assert run("ask", "copy.png", "--evidence", "told.json")[0] == 0
    evidence = told["evidence"]
    del evidence["subject"]["content_hash"]  # of which picture it is, it does not say
    (tmp_path / "told.json").write_text(json.dumps(evidence))
    assert run("ask", "other.png", "--evidence", "told.json")[0] == 0


def test_a_picture_by_its_id_and_flags_from_the_environment(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    with chat_server(say("Green.")) as server:
        monkeypatch.setenv("RELOOK_MODEL", f"openai:m@{server.url}")
        told = as_json(run, "ask", "id:1", "Which colour?", "--when", "never", "--no-stream")
        assert server.requests[0].get("stream") is None
    assert (told["text"], told["evidence"]["items"]) == ("Green.", [])


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("ask",), 2, "give a PICTURE"),
        (("ask", "asked.png", "--batch", "q.jsonl"), 2, "give a PICTURE"),
        (("ask", "none.png"), 1, "error[no_file]: there is no none.png"),
        (("ask", "ftp://a.example/a.png"), 1, "error[bad_url]"),
        (("ask", "titles.csv"), 1, "error[not_an_image]"),
        (("ask", "id:x"), 1, "no image id"),
        (("ask", "id:99"), 1, "error[no_image]"),
        (("ask", "asked.png", "--provider", "serapi"), 1, "did you mean 'serpapi'?"),
        (("ask", "asked.png", "--strike", "9"), 1, "no evidence number 9"),
        (("ask", "asked.png", "--strike", "a"), 2, "not a list of numbers"),
        (("ask", "asked.png", "--when", "often"), 1, "error[bad_when]"),
        (("ask", "asked.png", "--form", "song"), 1, "error[bad_form]"),
        (("ask", "asked.png", "--evidence", "titles.csv"), 1, "error[bad_evidence]"),
        (("ask", "asked.png", "--prompt", "titles.csv"), 1, "error[bad_prompt]"),
        (("ask", "asked.png", "--model", "gpt-4o"), 1, "error[no_model_key]"),
        (("consent", "--revoke", "serpapi"), 1, "error[no_consent]"),
    ],
)
def test_mistakes_are_told(run: Run, arguments: tuple[str, ...], code: int, message: str) -> None:
    got, out, err = run(*arguments)
    assert got == code, out + err
    assert message in err


def test_consent_is_remembered_listed_and_taken_back(run: Run) -> None:
    Consent().allow("serpapi")
    assert "serpapi" in run("consent")[1]
    assert run("consent", "--revoke", "serpapi")[0] == 0
    assert "no service may get pictures" in run("consent")[1]


def test_allow_upload_is_for_the_services_that_are_named(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")
    far = ("--model", "openai:m@http://10.255.255.1:1/v1", "--model-timeout", "0.2")
    code, _, err = run("ask", "asked.png", *far)
    assert (code, "upload_not_allowed" in err) == (1, True)
    code, _, err = run("ask", "asked.png", *far, "--allow-upload")
    assert (code, "upload_not_allowed" in err) == (1, False)
    assert list(Consent().given()) == []  # nothing was sent, so nothing was agreed to for later


def questions(tmp_path: Path, *rows: dict[str, Any]) -> Path:
    file = tmp_path / "questions.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_batch_goes_on_where_it_stopped(run: Run, tmp_path: Path) -> None:
    solid("blue").save(tmp_path / "blue.png")
    file = questions(
        tmp_path,
        {"picture": "asked.png", "question": "Which colour?"},
        {"picture": "missing.png", "question": "Which?", "id": "gone"},
        {"picture": "blue.png", "question": "And this?", "id": "b"},
        {"picture": 1, "question": "And that?"},
    )
    code, out, _ = run("ask", "--batch", file, "--out", "answers.jsonl", "--json")
    told = json.loads(out)
    assert code == 3
    assert (told["n_answered"], told["n_before"]) == (3, 0)
    assert [(one["id"], one["code"]) for one in told["failed"]] == [("gone", "no_file")]
    solid("green").save(tmp_path / "missing.png")
    answers = tmp_path / "answers.jsonl"
    answers.write_bytes(answers.read_bytes() + b'{"id": "torn", "pict')  # a kill
    again = as_json(run, "ask", "--batch", file, "--out", answers)
    assert (again["n_answered"], again["n_before"], again["failed"]) == (1, 3, [])
    rows = [json.loads(line) for line in answers.read_text().splitlines()]
    assert [row["id"] for row in rows] == ["1", "b", "4", "gone"]
    assert all(row["evidence"]["items"] for row in rows)


def test_a_batch_of_other_questions_is_refused(run: Run, tmp_path: Path) -> None:
    file = questions(tmp_path, {"picture": "asked.png", "question": "Which colour?"})
    assert run("ask", "--batch", file, "--out", "a.jsonl")[0] == 0
    file = questions(tmp_path, {"picture": "asked.png", "question": "Another?"})
    code, _, err = run("ask", "--batch", file, "--out", "a.jsonl")
    assert (code, "another question" in err) == (1, True)
    for text, told in (
        ("{nope\n", "line 1 of"),
        ("", "has no questions"),
        ('{"question": "x"}\n', "is not a question: it has no picture\n"),
        ('{"picture": "a"}\n[1]\n', "is not a question: it is not a JSON object\n"),
        ('{"picture": "a", "id": 1}\n' * 2, "has the id '1' twice"),
    ):
        file.write_text(text)
        code, _, err = run("ask", "--batch", file, "--out", "b.jsonl")
        assert (code, "bad_questions" in err, told in err) == (1, True, True), err
    code, _, err = run(
        "ask", "--batch", questions(tmp_path, {"picture": "a"}), "--out", "titles.csv"
    )
    assert (code, "bad_journal" in err) == (1, True)


def test_a_failing_model_is_an_error_with_what_to_do(run: Run) -> None:
    with chat_server(fail(404, "no such model")) as server:
        code, out, err = run("ask", "asked.png", "--model", f"openai:m@{server.url}")
    assert (code, out) == (1, "")
    assert "error[model_unknown]" in err
    assert "hint: check --model" in err


def test_a_report_is_written_beside_the_answer(run: Run, tmp_path: Path) -> None:
    code, _, _ = run("ask", "asked.png", "Which colour?", "--report", "report.html")
    assert code == 0
    page = (tmp_path / "report.html").read_text("utf-8")
    assert "A red square" in page
    assert report_html(read_report(page)) == page
    code, _, err = run("ask", "asked.png", "--report", "no/such/folder/report.html")
    assert (code, "not_written" in err) == (1, True)


def test_a_report_of_a_picture_with_an_odd_name_is_whole(run: Run, tmp_path: Path) -> None:
    odd = os.fsdecode(b"caf\xe9.png")
    shutil.copy("asked.png", odd)
    with chat_server(say("A \ud83d dog [1].")) as server:
        model = f"openai:m@{server.url}"
        code, _, err = run("ask", odd, "What?", "--report", "report.html", "--model", model)
    assert code == 0, err
    page = (tmp_path / "report.html").read_text("utf-8")
    assert read_report(page)["answer"]["evidence"]["subject"]["name"] == "caf\ufffd.png"
    assert "A \ufffd dog" in page


def test_a_report_that_is_not_written_leaves_the_older_one(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = tmp_path / "report.html"
    report.write_text("older")
    report.chmod(0o600)

    class Full(io.RawIOBase):
        def write(self, _: object) -> int:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextmanager
    def full(path: Path) -> Iterator[IO[bytes]]:
        with new_file(path):
            yield cast("IO[bytes]", Full())

    with monkeypatch.context() as patch:
        patch.setattr(output, "new_file", full)
        code, _, err = run("ask", "asked.png", "--report", report)
    assert (code, report.read_text()) == (1, "older")
    assert "error[not_written]" in err
    assert "No space left" in err
    (tmp_path / "report.html.new").write_text("half, of a run that was killed")
    (tmp_path / "report.new").write_text("somebody's")
    assert run("ask", "asked.png", "--report", report)[0] == 0
    assert report.read_text("utf-8").startswith("<!doctype html>")
    assert report.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.glob("*.new")] == ["report.new"]
