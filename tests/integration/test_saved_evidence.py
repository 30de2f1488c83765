"""Saved screenshots as evidence: which belong to a picture, and how a model sees and cites them."""

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ask_parts import local, own_config, png, public  # noqa: F401
from openai_server import ChatServer, chat_server, say
from PIL import Image

import relook
from relook.app.asking import Asking, open_asker, saved_evidence
from relook.cli.main import main
from relook.core.errors import AccessError, InputError
from relook.core.settings import AskSettings
from relook.providers.base import Lookup, Outcome
from relook.providers.saved import SavedProvider, is_saved_for
from relook.testing import noise

pytestmark = pytest.mark.usefixtures("own_config")
Ask = Callable[..., tuple[int, str, str]]


def shot(folder: Path, name: str, seed: int, size: tuple[int, int] = (90, 160)) -> Path:
    file = folder / name
    file.parent.mkdir(parents=True, exist_ok=True)
    noise(seed, *size).save(file)
    return file


@pytest.fixture
def shots(tmp_path: Path) -> Path:
    """As the paper's runs keep them: one a picture; and one of another picture."""
    folder = tmp_path / "shots"
    shot(folder, "red.png-search_result.png", 1, (1280, 3000))
    shot(folder, "blue.png-search_result.png", 2)
    return folder


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> Ask:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")
    (tmp_path / "red.png").write_bytes(png("red"))
    (tmp_path / "green.png").write_bytes(png("green"))

    def run_it(*arguments: object) -> tuple[int, str, str]:
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        return code, out, err

    return run_it


def pictures(server: ChatServer, number: int = -1) -> list[Image.Image]:
    """The pictures of a request, as the model gets them."""
    data = [base64.b64decode(url.partition(",")[2]) for url in server.pictures(number)]
    return [Image.open(io.BytesIO(each)) for each in data]


@pytest.mark.parametrize(
    ("file", "picture", "belongs"),
    [
        ("oven_1.jpg-search_result.png", "oven_1.jpg", True),
        ("oven_1-search_result.png", "oven_1.jpg", True),
        ("OVEN_1 search results 2.JPG", "oven_1.jpg", True),
        ("oven_1.png", "oven_1.jpg", True),
        ("oven_1.jpg.png", "oven_1.jpg", True),
        ("oven_12.png", "oven_1.jpg", False),
        ("oven_1b.jpg-search_result.png", "oven_1.jpg", False),
        ("search_results.png", "oven_1.jpg", False),
        ("search_results.png", "", False),
    ],
)
def test_a_file_belongs_to_the_picture_that_its_name_says(
    file: str, picture: str, belongs: bool
) -> None:
    assert is_saved_for(file, picture) is belongs


def test_the_model_sees_the_pictures_own_file_whole_and_its_citation_names_it(
    run: Ask, shots: Path
) -> None:
    with chat_server(say("Rila Monastery [1]. Or Sofia [2].")) as server:
        model = f"openai:m@{server.url}"
        code, out, err = run("ask", "red.png", "Where?", "--evidence", shots, "--model", model)
        assert (code, len(server.requests)) == (0, 1), err
        asked, evidence = pictures(server)
        assert asked.size == (64, 48)
        assert evidence.height == 2048
        told = server.texts()
    assert "Evidence [1] is the next picture, saved as red.png-search_result.png" in told
    assert "blue" not in told
    assert "Rila Monastery [1]." in out
    assert "[2]" not in out  # there is one piece of evidence
    line = next(line for line in out.splitlines() if "red.png-search_result.png" in line)
    assert "cited" in line
    assert "nothing was sent anywhere" in err


def test_files_without_a_pictures_name_belong_to_the_question_and_can_be_struck(
    run: Ask, shots: Path
) -> None:
    for at, name in enumerate(("a.png", "b.png", "search_results.png")):
        shot(shots, name, 5 + at)
    (shots / "c.png").write_bytes(b"no picture")
    (shots / "green.png").write_bytes(png("green"))  # the picture itself is no evidence
    with chat_server(say("Yes [2].")) as server:
        command = ("ask", "green.png", "Where?", "--model", f"openai:m@{server.url}")
        code, out, err = run(*command, "--evidence", shots, "--strike", 1, "--json")
        assert code == 0, err
        answer = json.loads(out)
        assert len(server.pictures()) == 3
    titles = [item["title"] for item in answer["evidence"]["items"]]
    assert titles == ["a.png", "b.png", "search_results.png"]
    assert {item["kind"] for item in answer["evidence"]["items"]} == {"saved"}
    assert [item["struck"] for item in answer["evidence"]["items"]] == [True, False, False]
    assert answer["citations"] == [2]
    assert any("c.png" in note for note in answer["evidence"]["notes"])
    assert "picture" not in answer["evidence"]["items"][0]  # the files stay where they are


def test_evidence_from_json_says_that_its_saved_files_were_not_seen(run: Ask, shots: Path) -> None:
    with chat_server(say("Yes.")) as server:
        command = ("ask", "red.png", "Where?", "--model", f"openai:m@{server.url}", "--json")
        Path("first.json").write_text(run(*command, "--evidence", shots)[1])
        answer = json.loads(run(*command, "--evidence", "first.json")[1])
        assert len(server.pictures()) == 1
    assert answer["notes"] == ["evidence 1 was shown by its name only: name its folder again"]


def test_as_a_screenshot_the_model_gets_the_page_and_nothing_to_cite(run: Ask, shots: Path) -> None:
    with chat_server(say("Yes.")) as server:
        code, _, err = run(
            "ask", "red.png", "Where?", "--model", f"openai:m@{server.url}",
            "--evidence", shots, "--form", "screenshot",
        )  # fmt: skip
        assert code == 0, err
        assert [picture.format for picture in pictures(server)] == ["JPEG", "PNG"]
        assert "no numbers to cite" in server.texts()
        assert "Evidence [1]" not in server.texts()


def test_without_a_model_saved_files_are_listed_and_nothing_is_made_of_their_names(
    run: Ask, shots: Path
) -> None:
    code, out, _ = run("ask", "red.png", "Where?", "--evidence", shots)
    assert code == 0
    assert "Saved files, which only a model can read: [1]." in out
    assert "search result" not in out.split("\n\n")[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("ask", "red.png", "--evidence", "none"), "bad_evidence"),
        (("ask", "red.png", "--evidence", "empty"), "holds no picture"),
        (("ask", "green.png", "--evidence", "shots"), "is saved for green.png"),
    ],
)
def test_a_folder_without_evidence_says_so(
    run: Ask, shots: Path, arguments: tuple[str, ...], message: str
) -> None:
    Path("empty").mkdir()
    code, _, err = run(*arguments)
    assert (code, message in err) == (1, True), err


def test_many_questions_use_files_that_are_named_after_their_pictures_only(
    run: Ask, shots: Path, tmp_path: Path
) -> None:
    shot(shots, "loose.png", 9)
    shot(shots, "green/first.png", 10)  # a folder that is called like the picture
    rows = [{"picture": f"{name}.png", "question": "Where?", "answer": "Bulgaria"}
            for name in ("red", "green", "grey")]  # fmt: skip
    (tmp_path / "grey.png").write_bytes(png("white"))
    (tmp_path / "q.json").write_text(json.dumps(rows))
    (tmp_path / "q.jsonl").write_text("\n".join(map(json.dumps, rows)))
    with chat_server(say("Bulgaria [1].")) as server:
        how = ("--model", f"openai:m@{server.url}", "--evidence", shots)
        code, out, err = run("bench", "ask", "q.json", "--out", "log.jsonl", *how)
        assert code == 3
        assert "2 answered, 0 before, 1 not looked up" in out
        assert "not answered: number 2: the picture was not looked up: saved:" in err
        assert "is saved for grey.png" in err
        assert len(server.requests) == 2  # nothing is billed for a picture without evidence
        code, _, err = run("ask", "--batch", "q.jsonl", "--out", "answers.jsonl", *how)
        assert (code, len(server.requests)) == (3, 4)  # a batch bills nothing for it either
        assert "not answered: 3: " in err
        code, _, err = run("ask", "--batch", "q.jsonl", "--out", "b.jsonl", "--evidence", "q.json")
        assert (code, "is no folder" in err) == (2, True)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["evidence"] for row in log] == [
        ["red.png-search_result.png"], ["green/first.png"],
    ]  # fmt: skip
    assert [row["citations"] for row in log] == [[1], [1]]


def test_a_picture_at_an_address_has_the_name_of_its_file(shots: Path) -> None:
    asked = public()
    assert asked.url == "https://pictures.example.org/red.png"
    found = SavedProvider(shots).find(asked, Lookup())
    assert [match.title for match in found.matches] == ["red.png-search_result.png"]
    assert found.screenshot is not None
    many = shots / "many"
    for at in range(3):
        shot(many, f"red-search_result-{at}.png", at)
    limited = SavedProvider(many).find(asked, Lookup(limit=2))
    assert (len(limited.matches), limited.screenshot) == (2, None)
    assert limited.message == "3 files, of which 2 are used"
    assert SavedProvider(many).find(local(), Lookup()).outcome is Outcome.FOUND


def test_saved_files_go_to_a_model_elsewhere_with_consent_only(shots: Path) -> None:
    class Elsewhere:
        name, model, host, third_party = "elsewhere", "m", "api.example.com", True

        def reply(self, *_: object) -> None:
            raise AssertionError("it was asked")

        def close(self) -> None:
            pass

    evidence = saved_evidence(shots, public())
    for form in ("text", "sheet", "screenshot"):
        asking = Asking(AskSettings(form=form))
        with (
            open_asker(asking, model=Elsewhere(), providers={}) as asker,  # type: ignore[arg-type]
            pytest.raises(AccessError, match="saved files of this machine"),
        ):
            asker.ask(public(), "Where?", evidence=evidence)


def test_python_takes_a_folder_and_a_provider_takes_its_name(shots: Path, tmp_path: Path) -> None:
    (tmp_path / "red.png").write_bytes(png("red"))
    with chat_server(say("Rila [1].")) as server:
        model = f"openai:m@{server.url}"
        for how in ({"evidence": shots}, {"providers": [f"saved:{shots}"]}):
            answer = relook.ask(tmp_path / "red.png", "Where?", model=model, **how)  # type: ignore[arg-type]
            assert answer.citations == (1,)
            assert answer.evidence.item(1).match.title == "red.png-search_result.png"
    with pytest.raises(InputError, match="saved:FOLDER"):
        relook.ask(tmp_path / "red.png", providers=["saved"])
