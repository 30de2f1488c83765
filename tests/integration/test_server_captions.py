"""Captions that the server has written in the background."""

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from api_parts import GREEN, RED, server  # noqa: F401  (some are fixtures)
from server_parts import Running, serving

import relook
from relook.core.errors import InputError
from relook.server.events import Hub


def test_captions_come_in_the_background(server: Running) -> None:
    client = server.client
    session_id = client.begin("library", "green")["session_id"]
    heard: list[dict] = []

    def listen() -> None:
        for one in client.captions("library", session_id):
            heard.append(one)
            if len(heard) == 2:
                return

    thread = threading.Thread(target=listen)
    thread.start()
    first = client.judge("library", session_id, GREEN, True, box=[0.5, 0.5, 1, 1])
    assert (first["caption"], first["caption_by"]) == (None, "captioner")
    client.judge("library", session_id, GREEN, True, box=[0, 0, 0.5, 0.5])
    thread.join(600)
    assert [one["caption"] for one in heard] == ["something green"] * 2
    assert heard[0]["judgement_id"] == first["judgement_id"]
    revised = client.revise("library", session_id, first["judgement_id"], box=[0.4, 0.4, 1, 1])
    assert revised["caption"] is None
    said = client.revise("library", session_id, first["judgement_id"], caption=" a leaf ")
    assert (said["caption"], said["caption_by"]) == ("a leaf", "person")
    moved = client.revise("library", session_id, first["judgement_id"], box=[0.3, 0.3, 1, 1])
    assert (moved["caption"], moved["caption_by"]) == ("a leaf", "person")


def test_a_caption_never_replaces_what_a_person_typed_meanwhile(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    library.add(pictures)
    asked, may_answer = threading.Event(), threading.Event()

    def slow(crop: object, about: object) -> str:
        if crop.size != (64, 64):  # not the warming up
            asked.set()
            may_answer.wait(600)
        return "from the machine"

    with serving(library, cache=tmp_path / "cache", caption=slow) as server:
        client = server.client
        session_id = client.begin("library", "green")["session_id"]
        one = client.judge("library", session_id, GREEN, True, box=[0, 0, 0.5, 0.5])
        assert asked.wait(600)
        client.revise("library", session_id, one["judgement_id"], caption="mine")
        may_answer.set()
        (told,) = _first(client.captions("library", session_id), 1)
        assert told["caption"] == "mine"
        (kept,) = client.session("library", session_id)["judgements"]
        assert (kept["caption"], kept["caption_by"]) == ("mine", "person")


def test_a_box_in_a_picture_that_is_gone_gets_no_words(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    library.add(pictures)
    may_go = threading.Event()

    def slow(crop: object, about: object) -> str:
        return "words" if may_go.wait(600) else ""

    with serving(library, cache=tmp_path / "cache", caption=slow) as server:
        session_id = server.client.begin("library", "green")["session_id"]
        for image_id in (GREEN, RED):
            server.client.judge("library", session_id, image_id, True, box=[0, 0, 0.5, 0.5])
        (pictures / "red.png").unlink()
        may_go.set()
        events, told = server.client.captions("library", session_id), {}
        while set(told) != {GREEN, RED}:  # one that is just written may be told twice
            one = next(events)
            told[one["image_id"]] = one["caption"]
        events.close()
        assert told == {GREEN: "words", RED: ""}


def test_a_captioner_that_fails_keeps_nobody_waiting(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    library.add(pictures)

    mended = threading.Event()

    def broken(crop: object, about: object) -> str:
        if mended.is_set():
            return "leaves"
        raise InputError("no_words", "nothing to say", "say it yourself")

    failure = {"code": "no_words", "message": "nothing to say", "hint": "say it yourself"}
    with serving(library, cache=tmp_path / "cache", caption=broken) as server:
        client = server.client
        session_id = client.begin("library", "green")["session_id"]
        one = client.judge("library", session_id, GREEN, True, box=[0, 0, 0.5, 0.5])
        for _ in range(2):  # as it happens, and to who listens later
            (told,) = _first(client.captions("library", session_id), 1)
            assert (told["caption"], told["failure"]) == ("", failure)
        assert client.session("library", session_id)["judgements"][0]["failure"] == failure
        mended.set()
        again = client.caption_again("library", session_id, one["judgement_id"])
        assert (again["caption"], again["caption_by"]) == (None, "captioner")
        events = client.captions("library", session_id)
        told = next(event for event in events if event["caption"])  # the failure may come once more
        events.close()
        assert told["caption"] == "leaves"
        assert "failure" not in told
        assert "failure" not in client.session("library", session_id)["judgements"][0]
        whole = client.judge("library", session_id, RED, True)
        with pytest.raises(relook.RelookError, match="has no box"):
            client.caption_again("library", session_id, whole["judgement_id"])


def test_words_that_are_asked_for_again_before_the_last_were_told_are_written(
    library: relook.Library, pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.add(pictures)
    written: list[str] = []

    def caption(crop: object, about: object) -> str:
        written.append(f"words {len(written)}")
        return written[-1]

    send = Hub.send
    with serving(library, cache=tmp_path / "cache", caption=caption) as server:
        client = server.client
        session_id = client.begin("library", "green")["session_id"]

        def ask_again_first(self: Hub, topic: str, event: str, data: Any, **how: Any) -> None:
            if event == "caption" and len(written) == 2:  # it is kept, and its task goes on
                client.caption_again("library", session_id, data["judgement_id"])
            send(self, topic, event, data, **how)

        monkeypatch.setattr(Hub, "send", ask_again_first)
        events = client.captions("library", session_id)
        client.judge("library", session_id, GREEN, True, box=[0, 0, 0.5, 0.5])
        assert next(events)["caption"] == "words 0"  # and whoever opens a stream asks, too
        second = client.judge("library", session_id, GREEN, True, box=[0.5, 0.5, 1, 1])
        told = next(event for event in events if event["caption"] == "words 2")
        events.close()
    assert told["judgement_id"] == second["judgement_id"]
    assert written == ["words 0", "words 1", "words 2"]


def _first(events: Iterator[dict], n: int) -> list[dict]:
    found = [next(events) for _ in range(n)]
    events.close()  # type: ignore[attr-defined]
    return found
