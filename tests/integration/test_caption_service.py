"""Captions from an OpenAI-compatible service that is slow, busy, broken or odd."""

import base64
import io
import logging
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

import pytest
from openai_server import (
    KEY,
    Behaviour,
    ChatServer,
    answer_by,
    busy,
    chat_server,
    fail,
    raw,
    redirect,
    refuse,
    say,
    sleep,
)
from PIL import Image

from relook.app.models import Captions, make_captioner
from relook.captioners.base import About
from relook.captioners.chat_captioner import ChatCaptioner
from relook.core.errors import AccessError, AnswerError, InputError
from relook.core.settings import CaptionerSettings, ModelSettings, PromptSettings
from relook.testing import check_captioner, noise, solid

FAST = ModelSettings(timeout_s=120.0, retries=2, backoff_s=0.01, stream=False)


@pytest.fixture
def service() -> Iterator[ChatServer]:
    with chat_server(say('Assistant: "A Red Ball."')) as server:
        yield server


def captions(*behaviours: Behaviour, settings: ModelSettings = FAST, n: int = 1) -> list[object]:
    with chat_server(*behaviours) as server:
        captioner = ChatCaptioner(f"tiny@{server.url}", settings=settings)
        found = captioner.caption([noise(seed) for seed in range(n)])
        captioner.close()
    return [one.code if isinstance(one, AnswerError) else one[0].text for one in found]


def test_it_keeps_the_contract(service: ChatServer) -> None:
    check_captioner(lambda: ChatCaptioner(f"tiny@{service.url}"), max_words=4)


def test_a_redirect_takes_no_crop_elsewhere(service: ChatServer) -> None:
    assert captions(redirect(f"{service.url}/chat/completions")) == ["model_redirects"]
    assert service.requests == []


def test_what_is_sent(service: ChatServer) -> None:
    """A small JPEG without metadata, and the prompt with the query and the instruction."""
    captioner = ChatCaptioner(f"tiny@{service.url}", prompt="query")
    picture = noise(1, 1600, 800)
    picture.info["comment"] = b"a secret place"
    about = About("dog on a beach", "name the breed", relevant=False)
    found = captioner.caption([picture], about=about)
    assert found[0][0].text == "a red ball"
    asked = service.texts()
    for words in ("fewer than five words", '"dog on a beach"', "do not want", "name the breed"):
        assert words in asked
    body = service.requests[-1]
    assert body["model"] == "tiny"
    assert not body.get("stream")
    assert body["max_tokens"] == 24
    kind, _, data = service.pictures()[-1].partition(";base64,")
    assert kind == "data:image/jpeg"
    sent = base64.b64decode(data)
    assert b"secret" not in sent
    with Image.open(io.BytesIO(sent)) as shown:
        assert shown.size == (512, 256)
        assert not shown.getexif()
    captioner.close()
    captioner.close()


def test_busy_and_failing_services_are_asked_again() -> None:
    assert captions(busy(0), fail(503), say("a dog")) == ["a dog"]
    assert captions(fail(500)) == ["model_failed"]
    assert captions(busy(600)) == ["model_busy"]


def test_odd_answers_are_failures_and_no_captions() -> None:
    assert captions(raw(b"<html>hello</html>")) == ["model_bad_answer"]
    assert captions(raw(b'{"choices": [', "application/json")) == ["model_bad_answer"]
    assert captions(say("")) == ["no_caption"]
    assert captions(say("一只狗在跑")) == ["other_language"]
    assert captions(refuse()) == ["no_caption"]
    assert captions(fail(401, "wrong key")) == ["model_key_refused"]
    assert captions(fail(404, "no such model")) == ["model_unknown"]


def test_a_failure_says_what_to_do_about_it() -> None:
    """A refused key is no matter of the address, and `relook ask`'s options are not here."""
    wanted = {401: "OPENAI_API_KEY", 429: "limit", 404: "openai:MODEL@URL", 500: "does it run"}
    for status, hint in wanted.items():
        with chat_server(fail(status)) as server:
            settings = replace(FAST, retries=0)
            with closing(ChatCaptioner(f"tiny@{server.url}", settings=settings)) as captioner:
                (found,) = captioner.caption([solid("red")])
        assert isinstance(found, AnswerError)
        assert hint in found.hint


def test_an_essay_is_cut_to_its_first_clause() -> None:
    essay = "A brown dog, which runs along the beach. In the background we see " + "waves " * 200
    assert captions(say(essay)) == ["a brown dog"]


def test_a_slow_service_is_given_up() -> None:
    slow = ModelSettings(timeout_s=0.3, retries=0, stream=False)
    assert captions(sleep(120.0), settings=slow) == ["model_too_slow"]


def test_one_failure_does_not_fail_the_others() -> None:
    tired = threading.Event()

    def first_only(body: dict[str, object]) -> str:
        if tired.is_set():
            return "ein Hund auf einer Wiese"
        tired.set()
        return "a dog"

    found = captions(answer_by(first_only), n=3)
    assert sorted(found) == ["a dog", "other_language", "other_language"]


def test_a_service_that_is_not_there() -> None:
    with chat_server(say("x")) as server:
        url = server.url
    with closing(ChatCaptioner(f"tiny@{url}", settings=FAST)) as captioner:
        found = captioner.caption([solid("red")])
    assert isinstance(found[0], AnswerError)
    assert found[0].code == "model_not_reached"
    assert "--base-url" not in found[0].hint


def test_a_crop_leaves_the_machine_only_with_consent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    elsewhere = "openai:gpt@https://models.example.org/v1"
    with pytest.raises(AccessError) as caught:
        make_captioner(elsewhere)
    assert caught.value.code == "no_consent"
    assert "models.example.org" in caught.value.message
    assert "--allow-upload" in caught.value.hint
    allowed = make_captioner(CaptionerSettings(elsewhere, allow_upload=True))
    assert allowed.name == "openai:gpt@https://models.example.org/v1"
    allowed.close()


def test_the_key_is_shown_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    with chat_server(fail(401, f"bad key {KEY}")) as server:
        with closing(ChatCaptioner(f"tiny@{server.url}", settings=FAST)) as captioner:
            found = captioner.caption([solid("red")])
        assert server.headers[-1]["authorization"] == f"Bearer {KEY}"
    assert isinstance(found[0], AnswerError)
    assert KEY not in str(found[0]) + repr(captioner) + caplog.text


def test_work_can_be_stopped_between_crops() -> None:
    with (
        chat_server(say("a dog")) as server,
        closing(ChatCaptioner(f"tiny@{server.url}", settings=FAST)) as captioner,
    ):
        crops = [noise(seed) for seed in range(12)]
        found = captioner.caption(crops, stop=lambda: len(server.requests) >= 2)
    codes = [one.code if isinstance(one, AnswerError) else "done" for one in found]
    assert set(codes) == {"done", "cancelled"}
    assert codes.count("done") <= 6


@pytest.mark.parametrize("model", ["@http://127.0.0.1:1/v1", ""])
def test_a_service_without_a_model_is_refused(model: str) -> None:
    with pytest.raises(InputError) as caught:
        ChatCaptioner(model)
    assert caught.value.code == "no_model"


def test_a_session_without_an_instruction_has_the_configured_one(service: ChatServer) -> None:
    prompts = PromptSettings("query", "name the colour")
    words = Captions(CaptionerSettings(f"openai:tiny@{service.url}"), prompts)
    assert words(solid("red"), About("dog")) == "a red ball"
    assert "name the colour" in service.texts()
    assert words(solid("red"), About("dog", "name the breed")) == "a red ball"
    assert "name the breed" in service.texts()
    assert "name the colour" not in service.texts()
    words.close()
    words.close()


def test_no_words_are_an_error_and_a_mark_by_hand_goes_on() -> None:
    with chat_server(say("")) as server:
        words = Captions(f"openai:tiny@{server.url}")
        with pytest.raises(AnswerError, match="wrote no answer"):
            words(solid("red"))
        assert words.or_nothing(solid("red")) == ""
        words.close()


def test_a_captioner_that_cannot_be_opened_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    words = Captions("openai:gpt@https://models.example.org/v1")
    with pytest.raises(AnswerError) as caught:
        words.or_nothing(solid("red"))
    assert caught.value.code == "no_model_key"
