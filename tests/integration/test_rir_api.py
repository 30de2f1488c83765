"""The drop-in for the package `rir_api`, with a provider of the test."""

import asyncio
import json
from pathlib import Path

import pytest
from ask_parts import FakeProvider, own_config, png  # noqa: F401
from openai_server import KEY, ChatServer, chat_server, refuse, say

from relook import rir_api
from relook.app.asking import make_provider
from relook.core.errors import AnswerError, FetchError, InputError, StorageError
from relook.core.settings import ModelSettings
from relook.testing.web_server import Reply, serving

pytestmark = pytest.mark.usefixtures("own_config")


def api(server: ChatServer, provider: FakeProvider, **how: object) -> rir_api.RIR_API:
    settings = ModelSettings(base_url=server.url, max_tokens=200, stream=False)
    return rir_api.RIR_API(KEY, model="m", provider={"fake": provider}, settings=settings, **how)  # type: ignore[arg-type]


def test_an_address_a_file_and_bytes_are_answered_alike(tmp_path: Path) -> None:
    file = tmp_path / "red.png"
    file.write_bytes(png())
    provider = FakeProvider(screenshot=b"a page of results")
    with chat_server(say("A fractal.")) as server, serving() as site:
        site.replies["/red.png"] = Reply(png())
        one = api(server, provider)
        for picture in (f"{site.address}/red.png", file, str(file), png()):
            response = one.query_with_image(picture, "What is in this image?", delay=0)
            assert response.choices[0].message.content == "A fractal."
            assert response.choices[0].finish_reason == "stop"
            assert response.model == "tiny-1"
            assert response.usage is not None
            assert response.usage.total_tokens == 333
        one.close()
        assert server.headers[0]["authorization"] == f"Bearer {KEY}"
        assert server.requests[0]["max_tokens"] == 200
        assert len(server.pictures()) == 2  # the picture and the page, as the old package
    assert len(provider.asked) == 4


def test_results_are_json_with_the_whole_answer_and_no_key(tmp_path: Path) -> None:
    with chat_server(say("Rila [1].")) as server:
        one = api(server, FakeProvider(screenshot=b"a page"), form="text")
        response = one.query_with_image(png(), output_path=tmp_path / "new" / "out")
        one.close()
    assert sorted(path.name for path in (tmp_path / "new" / "out").iterdir()) == [
        "api_gpt4v_result.json", "search_results.png",
    ]  # fmt: skip
    text = (tmp_path / "new" / "out" / "api_gpt4v_result.json").read_text()
    told = json.loads(text)
    assert told["choices"][0]["message"]["content"] == "Rila [1]."
    assert told["relook"]["citations"] == [1]
    assert told["relook"]["evidence"]["items"][0]["title"] == "Rila Monastery, Bulgaria"
    assert response.relook == told["relook"]  # type: ignore[attr-defined]
    assert KEY not in text + repr(response)
    assert not list(tmp_path.rglob("*.pkl"))


def test_a_refusal_and_what_was_not_found_are_told(caplog: pytest.LogCaptureFixture) -> None:
    with chat_server(refuse("I will not.")) as server:
        one = api(server, FakeProvider(titles=()))
        choice = one.query_with_image(png()).choices[0]
        one.close()
        assert len(server.pictures()) == 1
    assert (choice.finish_reason, choice.message.refusal) == ("content_filter", "I will not.")


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with chat_server(say("Yes.")) as server:
        one = api(server, FakeProvider())
        with pytest.raises(StorageError, match="output_path"):
            one.query_with_image(png(), output_path=tmp_path / "file")
        one.close()


def test_another_model_and_no_key() -> None:
    one = rir_api.RIR_API(model="evidence-only", provider={"fake": FakeProvider()})
    response = one.query_with_image(png(), show_result=True)
    assert str(response.choices[0].message.content).startswith("No model was asked.")
    assert (response.model, response.usage) == ("evidence-only", None)
    with pytest.raises(AnswerError) as caught:
        rir_api.RIR_API(None)
    assert caught.value.code == "no_model_key"


def test_every_call_looks_up_anew_unless_a_cache_is_asked_for() -> None:
    for cached, n_asked in ((False, 2), (True, 1)):
        provider = FakeProvider(remote=True, screenshot=b"a page")
        with chat_server(say("Yes.")) as server, serving() as site:
            site.replies["/red.png"] = Reply(png())
            one = api(server, provider, cache=cached, allow_upload=True)
            for _ in range(2):
                one.query_with_image(f"{site.address}/red.png")
            one.close()
        assert len(provider.asked) == n_asked


def test_a_window_without_a_display_is_told_and_nothing_is_billed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr("sys.platform", "linux")
    with chat_server(say("Yes.")) as server:
        settings = ModelSettings(base_url=server.url, stream=False)
        one = rir_api.RIR_API(KEY, model="m", settings=settings, allow_upload=True)
        with pytest.raises(InputError, match="no display") as raised:
            one.query_with_image(png(), headless=False)
        one.close()
        assert raised.value.code == "no_display"
        assert not server.requests


def test_the_old_names_are_there() -> None:
    with chat_server(say("Yes.")) as server:
        one = api(server, FakeProvider())
        assert one.openai_api_key == KEY
        reply = one.client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "Hello"}]
        )
        assert reply.choices[0].message.content == "Yes."
        one.close()


@pytest.mark.parametrize("found", [True, False])
def test_search_by_image_keeps_a_page_of_results(
    found: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    provider = FakeProvider(screenshot=b"a page", **({} if found else {"titles": ()}))
    told = []
    monkeypatch.setattr(rir_api, "_browser", lambda *how: told.append(how) or provider)
    file = tmp_path / "new" / "page.png"
    with serving() as site:
        site.replies["/red.png"] = Reply(png())
        looked = rir_api.search_by_image(f"{site.address}/red.png", str(file), 3.0, headless=True)
        if found:
            assert asyncio.run(looked) == str(file)
            assert file.read_bytes() == b"a page"
        else:
            with pytest.raises(FetchError) as raised:
                asyncio.run(looked)
            assert raised.value.code == "no_results_page"
    assert told == [(3.0, True)]


def test_one_place_reads_where_the_results_are(monkeypatch: pytest.MonkeyPatch) -> None:
    lens = pytest.importorskip("relook.providers.lens_browser")
    monkeypatch.setenv("RELOOK_LENS_URL", "https://proxy.example")
    assert make_provider("lens-browser").variant == "proxy.example"
    assert lens.LensBrowserProvider().variant == "proxy.example"
    assert make_provider("lens-browser:https://named.example").variant == "named.example"
