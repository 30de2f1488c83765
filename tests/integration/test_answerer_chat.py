"""The chat answerer against a local service that streams, refuses, breaks off, and misbehaves."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from openai_server import (
    KEY,
    Behaviour,
    ChatServer,
    busy,
    chat_server,
    cut_off,
    fail,
    raw,
    redirect,
    refuse,
    say,
    sleep,
    trickle,
    without,
)

from relook.answerers import ANSWERERS, Finish, Prompt, Reply, Shown, Usage, answerer_of
from relook.answerers.chat import ChatAnswerer
from relook.core.errors import AnswerError, InputError
from relook.core.secret import Secret
from relook.core.settings import ModelSettings
from relook.testing import check_answerer

PROMPT = Prompt("Be brief.", ("Look.", Shown(b"bytes", "image/jpeg", "it"), "Where?"), "Where?")
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


@STREAMED
@pytest.mark.parametrize("behaviour", [say("It is red [1]."), refuse()])
def test_it_keeps_the_promises_of_an_answerer(stream: bool, behaviour: Behaviour) -> None:
    with chat_server(behaviour) as server:
        check_answerer(ChatAnswerer("m", ModelSettings(base_url=server.url, stream=stream)))


def asked(*behaviours: Behaviour, **settings: Any) -> tuple[Reply, ChatServer, list[float]]:
    """A reply, the service, and the pauses that were made."""
    pauses: list[float] = []
    with chat_server(*behaviours) as server:
        how = ModelSettings(base_url=server.url, **settings)
        answerer = ChatAnswerer("m", how, key=Secret(KEY), sleep=pauses.append)
        try:
            return answerer.reply(PROMPT), server, pauses
        finally:
            answerer.close()


def failed(*behaviours: Behaviour, **settings: Any) -> AnswerError:
    with pytest.raises(AnswerError) as caught:
        asked(*behaviours, **settings)
    assert KEY not in str(caught.value)
    assert caught.value.hint
    return caught.value


@STREAMED
def test_a_reply_with_its_usage(stream: bool) -> None:
    reply, server, _ = asked(say("It is Bulgaria [1]."), stream=stream, temperature=0.0)
    assert (reply.text, reply.finish, reply.model) == ("It is Bulgaria [1].", "done", "tiny-1")
    assert reply.usage == Usage(321, 12)
    assert reply.notes == ()
    (request,) = server.requests
    assert server.paths == ["/v1/chat/completions"]
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert (request["model"], request["max_tokens"], request["temperature"]) == ("m", 500, 0.0)
    assert request["messages"] == [
        {"role": "system", "content": "Be brief."},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Look."},
                {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64,Ynl0ZXM="}},
                {"type": "text", "text": "Where?"},
            ],
        },
    ]


@STREAMED
def test_how_a_reply_ends_is_told(stream: bool) -> None:
    assert asked(say("A", finish="length"), stream=stream)[0].finish is Finish.LENGTH
    assert asked(say("", finish="content_filter"), stream=stream)[0].finish is Finish.REFUSED
    reply = asked(refuse("I will not."), stream=stream)[0]
    assert (reply.text, reply.finish) == ("I will not.", Finish.REFUSED)


def test_half_a_character_becomes_a_mark_and_two_halves_one_character() -> None:
    """JSON can spell halves, and a stream may part them; no file and no other JSON takes one."""

    def pieces(handler: Any, _: dict[str, Any]) -> None:
        handler.begin_stream()
        for text in ("\ud83d", "\ude00 and \ud83d dog [1]"):
            handler.piece(content=text, reasoning="\ud83d")
        handler.piece(finish="stop")
        handler.end_stream()

    reply = asked(pieces)[0]
    assert reply.text == "\U0001f600 and \ufffd dog [1]"
    assert reply.thinking == "\ufffd\ufffd"


@pytest.mark.parametrize("how", ["silent", "broken"])
def test_what_came_before_a_cut_is_kept_and_not_asked_again(how: str) -> None:
    reply, server, _ = asked(cut_off("It is Bul", how))
    assert (reply.text, reply.finish) == ("It is Bul", Finish.CUT_OFF)
    assert "broke off" in reply.notes[0]
    assert len(server.requests) == 1


def test_why_a_reply_broke_off_is_told_in_the_services_words() -> None:
    def broken(handler: Any, _: dict[str, Any]) -> None:
        handler.begin_stream()
        handler.piece(content="It is Bul")
        handler.event({"error": {"message": "CUDA out of memory", "code": 500}})

    reply = asked(broken)[0]
    assert (reply.text, reply.finish) == ("It is Bul", Finish.CUT_OFF)
    assert reply.notes == ("the reply broke off: status 500: CUDA out of memory",)


def test_a_busy_service_is_waited_for_as_long_as_it_says() -> None:
    reply, server, pauses = asked(busy(7), busy(3), say("Yes."))
    assert (reply.text, pauses, len(server.requests)) == ("Yes.", [7.0, 3.0], 3)
    assert "waited 7.0 s" in reply.notes[0]


def test_a_wait_that_does_not_fit_into_the_time_is_an_error_at_once() -> None:
    error = failed(busy(500), timeout_s=20.0)
    assert (error.code, "500 s" in error.hint) == ("model_busy", True)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_takes_the_picture_nowhere(status: int) -> None:
    """Consent, and what is told as sent, are for the address that was typed."""
    with chat_server(say("Mine now.")) as other:
        error = failed(redirect(f"{other.url}/chat/completions?secret=1", status))
        assert other.requests == []
    assert error.code == "model_redirects"
    assert f"points to {other.url}/chat/completions. Nothing was sent there" in error.message
    assert error.hint.endswith(f"openai:m@{other.url}")
    assert failed(redirect("/v2/chat/completions", status)).hint.endswith("/v2")
    assert failed(redirect("http://[half", status)).code == "model_redirects"


def test_failures_are_tried_again_with_longer_pauses_and_no_end_is_told() -> None:
    reply, _, pauses = asked(fail(503), fail(500), say("Yes."), backoff_s=0.5)
    assert (reply.text, pauses) == ("Yes.", [0.5, 1.0])
    error = failed(fail(502, "bad gateway"), retries=2)
    assert error.code == "model_failed"
    assert "bad gateway" in error.message


@pytest.mark.parametrize(
    ("behaviour", "code"),
    [
        (fail(401, f"wrong key {KEY}"), "model_key_refused"),
        (fail(404, "no such model"), "model_unknown"),
        (fail(429, "no money", "insufficient_quota"), "model_busy"),
        (fail(400, "this model takes no pictures"), "model_failed"),
        (raw(b"<html>hello</html>"), "model_bad_answer"),
        (raw(b"data: {nope\n\n", "text/event-stream"), "model_bad_answer"),
        (raw(b'data: {"error": {"message": "it crashed"}}\n\n', "text/event-stream"),
         "model_failed"),
    ],
)  # fmt: skip
def test_what_waiting_does_not_help_is_asked_once(behaviour: Behaviour, code: str) -> None:
    with chat_server(behaviour) as server:
        answerer = ChatAnswerer("m", ModelSettings(base_url=server.url), key=Secret(KEY))
        with pytest.raises(AnswerError) as caught:
            answerer.reply(PROMPT)
        answerer.close()
        assert len(server.requests) == 1
    assert caught.value.code == code
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("body", [b"{nope", b"{}", b"[]", b'{"choices": [null]}', b'"text"'])
def test_a_whole_answer_that_is_none(body: bytes) -> None:
    assert failed(raw(body, "application/json"), stream=False).code == "model_bad_answer"


def test_a_service_that_lacks_a_key_of_the_request_is_asked_without_it() -> None:
    reply, server, _ = asked(without("stream_options", "max_tokens"), retries=0)
    assert reply.text == "Fine."
    assert server.requests[-1]["max_completion_tokens"] == 500
    assert len(reply.notes) == 2


def test_time_is_up_while_nothing_and_while_a_trickle_comes() -> None:
    assert failed(sleep(120), timeout_s=0.3).code == "model_too_slow"
    reply, _, _ = asked(trickle(0.05), timeout_s=3.0)
    assert reply.finish is Finish.CUT_OFF
    assert reply.text.startswith("la la")


def test_a_service_that_is_not_there() -> None:
    answerer = ChatAnswerer("m", ModelSettings(base_url="http://127.0.0.1:1/v1", retries=0))
    with pytest.raises(AnswerError) as caught:
        answerer.reply(PROMPT)
    answerer.close()
    assert caught.value.code == "model_not_reached"


def test_who_is_a_third_party() -> None:
    key = Secret(KEY)
    ours = ("http://localhost:1/v1", "http://[::1]:1/v1", "http://127.0.0.2/v1")
    for url in (*ours, "http://10.0.0.2/v1", "https://api.example.com"):
        answerer = ChatAnswerer("m", ModelSettings(base_url=url), key=key)
        assert answerer.third_party is (url not in ours)
        answerer.close()


def test_a_service_elsewhere_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AnswerError) as caught:
        ChatAnswerer("m", ModelSettings(base_url="https://api.example.com/v1"))
    assert caught.value.code == "no_model_key"
    for wrong in ("ftp://a/v1", "nonsense"):
        with pytest.raises(InputError, match="not the address"):
            ChatAnswerer("m", ModelSettings(base_url=wrong))


def test_the_key_comes_from_the_environment_and_shows_nowhere(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    caplog.set_level("DEBUG")
    with chat_server(busy(0), say("Yes.")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        answerer = ChatAnswerer("m", ModelSettings())
        reply = answerer.reply(PROMPT)
        answerer.close()
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    ours = [record.getMessage() for record in caplog.records if record.name.startswith("relook")]
    assert ours
    assert KEY not in json.dumps([*ours, str(reply), repr(answerer.__dict__.keys())])


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("gpt-4o", ("openai", "gpt-4o")),
        ("llava:7b", ("openai", "llava:7b")),
        ("openai:gpt-4o", ("openai", "gpt-4o")),
        ("hf:llava-hf/llava-1.5-7b-hf", ("hf", "llava-hf/llava-1.5-7b-hf")),
        ("evidence-only", ("evidence-only", "")),
    ],
)
def test_what_a_person_means(typed: str, meant: tuple[str, str]) -> None:
    assert answerer_of(typed, ANSWERERS.adapters()) == meant


def test_the_tests_service_serves_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two behaviours in order, then the last one again."""
    make: Callable[..., ChatAnswerer] = ChatAnswerer
    with chat_server(say("One"), say("Two")) as server:
        answerer = make("m", ModelSettings(base_url=server.url))
        assert [answerer.reply(PROMPT).text for _ in range(3)] == ["One", "Two", "Two"]
        answerer.close()
