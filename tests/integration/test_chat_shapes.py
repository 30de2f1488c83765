"""Every public shape of a chat service's reply and error: what a person gets of it."""

import json
import sys

import pytest

from relook.answerers import Finish, Prompt, Reply, Shown
from relook.answerers.chat import ChatAnswerer
from relook.answerers.thinking import parted, repeats_itself
from relook.captioners.wording import clean
from relook.core.errors import AnswerError, InputError
from relook.core.secret import Secret
from relook.core.settings import ModelSettings
from relook.testing.chat_faults import ERRORS, ErrorShape
from relook.testing.chat_server import KEY, Behaviour, chat_server, fail, raw, say
from relook.testing.chat_shapes import REPLIES, ReplyShape

PROMPT = Prompt("Be brief.", ("Look.", Shown(b"bytes", "image/jpeg", "it"), "Where?"), "Where?")
STREAMED = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def asked(
    behaviour: Behaviour, *more: Behaviour, stream: bool
) -> tuple[Reply, list[tuple[str, str]], int]:
    """The reply, what was told meanwhile, and how many requests it took."""
    heard: list[tuple[str, str]] = []
    with chat_server(behaviour, *more) as server:
        how = ModelSettings(base_url=server.url, stream=stream, retries=0)
        answerer = ChatAnswerer("m", how, key=Secret(KEY))
        try:
            return (
                answerer.reply(PROMPT, lambda *told: heard.append(told)),
                heard,
                len(server.requests),
            )
        finally:
            answerer.close()


@STREAMED
@pytest.mark.parametrize("shape", REPLIES, ids=lambda shape: shape.name)
def test_a_reply(shape: ReplyShape, stream: bool) -> None:
    reply, heard, n_requests = asked(shape.behaviour, stream=stream)
    assert reply.text == shape.text
    assert (reply.thinking, reply.finish, n_requests) == (shape.thinking, shape.finish, 1)
    assert any(shape.note in note for note in reply.notes) if shape.note else not reply.notes
    if shape.thinking and "closing tag alone" not in shape.name:
        assert "[2]" not in "".join(text for kind, text in heard if kind == "text")
        assert "[2]" in "".join(text for kind, text in heard if kind == "thinking")


@STREAMED
@pytest.mark.parametrize("shape", ERRORS, ids=lambda shape: shape.name)
def test_an_error(shape: ErrorShape, stream: bool) -> None:
    with pytest.raises(AnswerError) as caught:
        asked(shape.behaviour, stream=stream)
    assert caught.value.code == shape.code
    assert shape.words in caught.value.message
    assert shape.hint in caught.value.hint


@pytest.mark.parametrize(
    "shape", [s for s in REPLIES if isinstance(s.message.get("content"), str)], ids=lambda s: s.name
)
def test_a_caption_is_cleaned_as_an_answer_is(shape: ReplyShape) -> None:
    content = shape.message["content"]
    if shape.text.startswith("A red bus") and "Harmony" not in content:
        assert clean(content.replace(" [1]", ""), 4) == "a red bus"
    elif not shape.text:
        with pytest.raises(AnswerError):
            clean(content, 4)


@pytest.mark.parametrize(
    "body",
    [
        {"error": {"message": "content_filter: the prompt was filtered", "code": "content_filter"}},
        {"error": {"message": "The response was filtered by our content management policy"}},
        {"error": {"message": "Your request was rejected by the safety system"}},
    ],
)
def test_a_filter_that_refuses_the_prompt_is_a_refusal_and_no_failure(body: object) -> None:
    reply, _, _ = asked(raw(json.dumps(body).encode(), "application/json", 400), stream=True)
    assert reply.finish is Finish.REFUSED
    assert "filter" in reply.text or "safety" in reply.text


@pytest.mark.parametrize(
    ("status", "body", "left_out"),
    [
        (422, {"detail": [{"loc": ["body", "stream_options"], "msg": "extra"}]}, "stream_options"),
        (400, {"detail": "unknown field stream_options"}, "stream_options"),
        (400, {"error": "max_tokens is not supported, use max_completion_tokens"}, "max_tokens"),
        (400, {"message": "streaming is not supported"}, "streaming"),
        (400, {"error": {"message": "System role not supported"}}, "system message"),
    ],
)  # fmt: skip
def test_a_key_that_a_service_does_not_take_is_left_out(
    status: int, body: object, left_out: str
) -> None:
    refused = raw(json.dumps(body).encode(), "application/json", status)
    reply, _, n_requests = asked(refused, say("Fine."), stream=True)
    assert (reply.text, n_requests) == ("Fine.", 2)
    assert left_out in reply.notes[0]


def test_a_memory_fault_is_not_tried_again() -> None:
    with chat_server(fail(500, "CUDA out of memory"), say("Fine.")) as server:
        answerer = ChatAnswerer("m", ModelSettings(base_url=server.url, retries=3))
        with pytest.raises(AnswerError, match="CUDA out of memory"):
            answerer.reply(PROMPT)
        answerer.close()
        assert len(server.requests) == 1


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:1", "http://127.0.0.1:1", "nonsense://x"])
def test_a_proxy_is_not_used_for_a_model_of_this_machine(
    proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setenv("HTTPS_PROXY", proxy)
    assert asked(say("Fine."), stream=True)[0].text == "Fine."


def test_a_proxy_that_cannot_be_used_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "nonsense://127.0.0.1:1")
    with pytest.raises(InputError) as caught:
        ChatAnswerer("m", ModelSettings(base_url="https://api.example.com/v1"), key=Secret(KEY))
    assert (caught.value.code, "ALL_PROXY" in caught.value.hint) == ("bad_proxy", True)


@pytest.mark.parametrize("shape", REPLIES, ids=lambda shape: shape.name)
def test_thoughts_are_parted_the_same_in_pieces_of_any_length(shape: ReplyShape) -> None:
    content = shape.message.get("content")
    if not isinstance(content, str) or len(content) > 500:
        return
    from relook.answerers.thinking import Parting, last_answer

    for step in (1, 2, 7):
        parting = Parting()
        for at in range(0, len(content), step):
            parting.feed(content[at : at + step])
        parting.finish()
        assert (last_answer(parting.parted.text), parting.parted.thinking) == (
            parted(content).text,
            parted(content).thinking,
        )


def test_what_is_no_mark_stays() -> None:
    for text in ("x < 3 and y > 2", "Use <b>bold</b> [1].", "analysis of a bus", "Model: Boeing"):
        assert parted(text).text == text


def test_a_text_that_repeats_itself_is_told_from_one_that_is_long() -> None:
    assert repeats_itself("Yes. " * 100)
    assert repeats_itself("It began well. " + "the same again and again, " * 40)
    assert repeats_itself("A passage: " + "".join(f"line {n} of it\n" for n in range(90)) * 4)
    assert not repeats_itself("Yes. " * 10)
    assert not repeats_itself(" ".join(f"Item {n} is red." for n in range(200)))


def test_a_socks_proxy_without_its_package_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "socksio", None)
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1")
    with pytest.raises(InputError, match="SOCKS") as caught:
        ChatAnswerer("m", ModelSettings(base_url="https://api.example.com/v1"), key=Secret(KEY))
    assert "pip install socksio" in caught.value.hint
