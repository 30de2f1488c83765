"""Questions over HTTP: stages as events, who may name what, addresses that are not fetched."""

import base64
import http.client
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from ask_parts import own_config, png  # noqa: F401
from openai_server import ChatServer, chat_server, fail, say
from process_parts import PATIENCE_S
from server_parts import TOKEN, Running, serving

import relook
from relook.app.asking import Asking
from relook.core.errors import NotFoundError
from relook.core.images import content_hash
from relook.core.settings import AskSettings, ModelSettings
from relook.providers.base import Outcome, ProviderResult
from relook.providers.match import Match, MatchKind
from relook.rag.answer_report import read_report, report_html
from relook.rag.consent import Consent
from relook.server.state import Screenshots
from relook.testing.chat_server import Handler

pytestmark = pytest.mark.usefixtures("own_config")
ASK = "/api/v1/ask"
GREEN, RED, BLUE = 1, 2, 3


@pytest.fixture
def chat() -> Iterator[ChatServer]:
    with chat_server(say("Red [1], not blue [8].")) as server:
        yield server


@pytest.fixture
def server(
    library: relook.Library, pictures: Path, tmp_path: Path, chat: ChatServer
) -> Iterator[Running]:
    library.add(pictures)
    models = (f"openai:tiny@{chat.url}", "openai:far@https://api.example.com/v1")
    with serving(library, cache=tmp_path / "thumbnails", ask_models=models) as running:
        yield running


def asked(server: Running, status: int = 200, **body: Any) -> dict[str, Any]:
    response = server.http.post(ASK, json={"stream": False, **body})
    assert response.status_code == status, response.text
    found: dict[str, Any] = response.json()
    return found


def events(server: Running, **body: Any) -> list[tuple[str, dict[str, Any]]]:
    response = server.http.post(ASK, json=body)
    assert response.status_code == 200, response.text
    assert response.headers["content-type"].startswith("text/event-stream")
    blocks = [block.split("\n") for block in response.text.split("\n\n") if "event:" in block]
    return [(b[0].removeprefix("event: "), json.loads(b[1].removeprefix("data: "))) for b in blocks]


def test_choices_say_what_may_be_named(server: Running, chat: ChatServer) -> None:
    told = server.http.get(ASK).json()
    assert [row["name"] for row in told["providers"]] == ["library"]
    assert told["models"][:2] == ["evidence-only", f"openai:tiny@{chat.url}"]
    assert (told["default_model"], told["may_allow_upload"]) == ("evidence-only", True)


def test_choices_say_who_would_get_the_picture(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert server.http.get(ASK).json()["hosts"] == {}  # without a key nothing can be sent
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")
    Consent().allow("serpapi")
    told = server.http.get(ASK).json()
    assert told["hosts"] == {"openai:far@https://api.example.com/v1": "api.example.com"}
    assert told["consent"] == ["serpapi"]
    assert "sk-of-a-test" not in json.dumps(told)


def test_an_image_of_the_library_is_asked_about(server: Running) -> None:
    told = asked(server, image_id=RED, question="Which colour?")
    found = [item["image_id"] for item in told["evidence"]["items"]]
    assert sorted(found) == [GREEN, BLUE]
    assert told["text"].startswith("No model was asked. This is what 2 matches say:")
    assert (told["finish"], told["sent"], told["invented"]) == ("done", [], [])


def test_stages_arrive_as_events_and_the_answer_last(server: Running, chat: ChatServer) -> None:
    model = server.http.get(ASK).json()["models"][1]
    heard = events(server, image_id=RED, question="Which colour?", model=model, compare=True)
    names = [name for name, _ in heard]
    assert names[-1] == "answer"
    assert {"providers", "provider", "evidence", "model", "text"} <= set(names)
    pieces = [told["text"] for name, told in heard if name == "text" and told["which"] == "with"]
    assert "".join(pieces).strip() == "Red [1], not blue [8]."
    answer = heard[-1][1]
    assert (answer["text"], answer["citations"]) == ("Red [1], not blue.", [1])
    assert answer["invented"] == [8]
    assert answer["without"]["text"] == "Red, not blue."
    assert len(chat.requests) == 2


def test_an_upload_is_asked_about_and_asked_again_without_looking_up(server: Running) -> None:
    upload = server.post("/pictures", files={"file": ("a.png", png("red"))}).json()
    first = asked(server, picture=upload["picture_id"], library_id=server.library_id)
    assert first["evidence"]["items"][0]["kind"] == "same"
    again = events(server, ask_id=first["ask_id"], strike=[1], pin=[3])
    assert [name for name, _ in again] == ["model", "text", "answer"]
    items = again[-1][1]["evidence"]["items"]
    assert [(one["struck"], one["pinned"]) for one in items] == [
        (True, False), (False, False), (False, True),
    ]  # fmt: skip
    # What was struck for one answer is back for the next.
    third = asked(server, ask_id=again[-1][1]["ask_id"])
    assert not any(one["struck"] or one["pinned"] for one in third["evidence"]["items"])


def test_half_a_character_makes_no_fault(
    server: Running, chat: ChatServer, library: relook.Library, pictures: Path
) -> None:
    """Neither in a reply nor in what a library says of a match."""
    chat.behaviours = [say("Red \ud83d [1].")]
    green = library.image(GREEN).path
    green.rename(os.fsdecode(bytes(green.parent) + b"/caf\xe9.png"))
    library.add(pictures)
    model = server.http.get(ASK).json()["models"][1]
    told = asked(server, image_id=RED, question="Which?", model=model)
    assert told["text"] == "Red \ufffd [1]."
    report = server.http.get(f"{ASK}/{told['ask_id']}/report")
    assert (report.status_code, "Red \ufffd" in report.text) == (200, True)
    named = asked(server, image_id=GREEN)
    assert named["evidence"]["subject"]["name"] == "caf\ufffd.png"
    assert server.http.get(f"{ASK}/{named['ask_id']}/report").status_code == 200


def test_an_answer_can_be_kept_as_a_report(server: Running) -> None:
    """With what was struck for this answer; the same page as `--report` writes."""
    first = asked(server, image_id=RED, question="Which <colour>?")
    again = asked(server, ask_id=first["ask_id"], question="Which <colour>?", strike=[1])
    response = server.http.get(f"{ASK}/{again['ask_id']}/report")
    assert response.headers["content-type"].startswith("text/html")
    assert response.headers["content-disposition"] == 'attachment; filename="relook-report.html"'
    values = read_report(response.text)
    assert report_html(values) == response.text
    assert [one["struck"] for one in values["answer"]["evidence"]["items"]] == [True, False]
    assert "<h1>Which &lt;colour&gt;?</h1>" in response.text
    missing = server.http.get(f"{ASK}/nope/report")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "no_ask")


def test_the_client_asks(server: Running) -> None:
    told = server.client.ask("Which colour?", image_id=RED)
    assert told["text"].startswith("No model was asked.")
    with pytest.raises(NotFoundError) as caught:
        server.client.ask(image_id=99)
    assert caught.value.code == "no_image"


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({}, 422, "bad_request"),
        ({"image_id": 1, "url": "https://a.example/"}, 422, "bad_request"),
        ({"image_id": 1, "base_url": "http://a.example/"}, 422, "bad_request"),
        ({"image_id": 99}, 404, "no_image"),
        ({"ask_id": "nope"}, 404, "no_ask"),
        ({"picture": "../../secret"}, 404, "no_picture"),
        ({"library_id": "other", "image_id": 1}, 404, "no_library"),
        ({"image_id": 1, "model": "gpt-4o"}, 403, "not_offered"),
        ({"image_id": 1, "providers": ["serpapi"]}, 403, "not_offered"),
        ({"image_id": 1, "providers": ["replay:/etc/passwd"]}, 403, "not_offered"),
        ({"image_id": 1, "strike": [7]}, 404, "no_evidence"),
        ({"image_id": 1, "when": "never"}, 400, "nothing_to_ask"),
        ({"url": "file:///etc/passwd"}, 400, "bad_url"),
        ({"url": "/etc/passwd"}, 400, "bad_url"),
        ({"url": "http://127.0.0.1:1/a.png"}, 403, "private_address"),
        ({"url": "http://localhost:1/a.png"}, 403, "private_address"),
        ({"url": "http://169.254.169.254/latest/meta-data"}, 403, "private_address"),
        ({"url": "http://[::ffff:10.0.0.1]/a.png"}, 403, "private_address"),
        ({"url": "http://user:secret@a.example/a.png"}, 400, "bad_url"),
    ],
)  # fmt: skip
def test_what_may_not_be_asked(server: Running, body: dict, status: int, code: str) -> None:  # type: ignore[type-arg]
    assert asked(server, status, **body)["error"]["code"] == code


def test_the_server_of_a_picture_is_never_reached_on_this_machine(server: Running) -> None:
    address = server.address.replace("127.0.0.1", "localhost")
    told = asked(server, 403, url=f"{address}/api/v1/health")
    assert told["error"]["code"] == "private_address"


def test_a_picture_goes_to_a_model_elsewhere_with_consent_only(
    server: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-of-a-test")
    far = "openai:far@https://api.example.com/v1"
    told = asked(server, 403, image_id=RED, model=far)
    assert told["error"]["code"] == "upload_not_allowed"
    assert "sk-of-a-test" not in json.dumps(told)
    assert Consent().given() == {}


def test_consent_cannot_come_from_another_machine(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    library.add(pictures)
    with serving(library, cache=tmp_path / "t", host="0.0.0.0", token=TOKEN) as running:
        running.http.headers["Authorization"] = f"Bearer {TOKEN}"
        told = asked(running, 403, image_id=RED, allow_upload=True)
        assert told["error"]["code"] == "no_consent_here"
        assert not running.http.get(ASK).json()["may_allow_upload"]


def test_an_error_after_the_beginning_is_the_last_event(server: Running, chat: ChatServer) -> None:
    chat.behaviours[:] = [fail(400, "no pictures, please")]
    model = server.http.get(ASK).json()["models"][1]
    heard = events(server, image_id=RED, model=model)
    assert heard[-1][0] == "error"
    assert heard[-1][1]["error"]["code"] == "model_failed"
    assert "evidence" in [name for name, _ in heard]  # what was found is not lost
    assert asked(server, 502, image_id=RED, model=model)["error"]["code"] == "model_failed"


@pytest.mark.parametrize("streams", [True, False])
def test_a_reader_who_leaves_ends_the_question(
    server: Running, chat: ChatServer, streams: bool
) -> None:
    talking, hung_up = threading.Event(), threading.Event()

    def talk(handler: Handler, body: dict[str, Any]) -> None:
        handler.begin_stream()
        try:
            while not handler.server.ended.wait(0.02):  # between two pieces
                handler.piece(content="la ")
                talking.set()
        except OSError:
            hung_up.set()

    chat.behaviours[:] = [talk]
    model = server.http.get(ASK).json()["models"][1]
    body = {"image_id": RED, "model": model, "stream": streams}
    host = urlsplit(str(server.http.base_url))
    connection = http.client.HTTPConnection(str(host.hostname), host.port or 80)
    connection.request("POST", ASK, json.dumps(body), {"Content-Type": "application/json"})
    assert talking.wait(PATIENCE_S)
    connection.close()
    assert hung_up.wait(PATIENCE_S)  # the talk lasts longer when nobody ends it


def test_the_servers_own_defaults_hold(
    library: relook.Library, pictures: Path, tmp_path: Path, chat: ChatServer
) -> None:
    library.add(pictures)
    asking = Asking(AskSettings(model="openai:tiny"), ModelSettings(base_url=chat.url))
    with serving(library, cache=tmp_path / "t", asking=asking) as running:
        assert asked(running, image_id=RED)["model"] == "tiny-1"
        assert asked(running, image_id=RED, model="evidence-only")["model"] == ""


def test_a_screenshot_is_told_by_address(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    library.add(pictures)
    shot = png("blue")
    result = ProviderResult(
        "lens", Outcome.FOUND, (Match("lens", MatchKind.SIMILAR, "A title"),), screenshot=shot
    )
    row = {"content_hash": content_hash((pictures / "red.png").read_bytes()).hex(),
           "url": None, "words": None, "result": result.as_dict(pictures=True)}  # fmt: skip
    (tmp_path / "answers.jsonl").write_text(json.dumps(row) + "\n")
    name = f"replay:{tmp_path / 'answers.jsonl'}"
    with serving(library, cache=tmp_path / "cache", ask_providers=(name,)) as server:
        told = dict(events(server, image_id=RED, providers=[name]))
        found = [told["evidence"], told["answer"]["evidence"]]
        found.append(asked(server, image_id=RED, providers=[name])["evidence"])
        (address,) = {one["providers"][0]["screenshot_url"] for one in found}
        assert [one["providers"][0]["screenshot"] for one in found] == [None] * 3
        got = server.http.get(address)
        assert (got.content, got.headers["content-type"]) == (shot, "image/png")
        gone = server.http.get(f"{ASK}/screenshots/{'0' * 32}")
        assert (gone.status_code, gone.json()["error"]["code"]) == (404, "no_screenshot")


def test_only_so_many_screenshots_are_kept() -> None:
    kept = Screenshots(max_bytes=100)
    shots = [bytes([number]) * 60 for number in range(2)]
    results = [{"screenshot": base64.b64encode(shot).decode()} for shot in shots]
    first, second = (
        kept.addressed({"providers": [result]})["providers"][0]["screenshot_url"].rpartition("/")[2]
        for result in results
    )
    assert kept.get(second) == shots[1]
    with pytest.raises(NotFoundError, match="no screenshot"):
        kept.get(first)
