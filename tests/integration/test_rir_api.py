"""The drop-in for the package `rir_api`, with a provider of the test."""

import ast
import asyncio
import json
import logging
import re
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import openai
import pytest
from ask_parts import FakeProvider, own_config, png  # noqa: F401
from openai_server import KEY, ChatServer, chat_server, redirect, refuse, say
from PIL import Image

import relook
from relook import rir_api
from relook.app.asking import make_provider
from relook.core.errors import AnswerError, FetchError, InputError, StorageError
from relook.core.settings import ModelSettings
from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.testing.web_server import Reply, serving

pytestmark = pytest.mark.usefixtures("own_config")
ROOT = Path(__file__).parents[2]
# Row of the table in docs/rir-api.md (how it begins) -> the test of it.
ROWS = {
    "opens Google Images": "tests/e2e/test_rir_api.py::test_the_old_example_runs_twice",
    "any page that comes": "::test_a_page_without_results_does_not_go_to_the_model",
    "`gpt-4-vision-preview`, 200": "::test_the_model_is_the_one_that_is_named_anywhere",
    "an address": "::test_an_address_a_file_and_bytes_are_answered_alike",
    "`output_path`": "::test_results_are_json_with_the_whole_answer_and_no_key",
    "`search_results.png`": "::test_nothing_is_printed_or_left_in_the_working_folder",
    "the response of the openai": "::test_the_response_is_of_the_openai_packages_own_type",
    "`show_result`": "::test_show_result_delay_and_headless_count_each_time",
    "`headless=False`": "::test_a_window_without_a_display_is_told_and_nothing_is_billed",
    "`api.client`": "::test_the_old_names_are_there",
    "`await search_by_image": "::test_search_by_image_keeps_a_page_of_results",
    "prints what it does": "::test_nothing_is_printed_or_left_in_the_working_folder",
    "any error": "::test_every_error_says_what_to_do_next",
}


def test_the_folder_of_a_library_is_no_open_library() -> None:
    with pytest.raises(InputError, match="'base'"):
        rir_api.RIR_API("a key", library="base")  # type: ignore[arg-type]


def test_each_row_of_the_page_has_its_test() -> None:
    page = (ROOT / "docs" / "rir-api.md").read_text("utf-8")
    rows = [line.strip("| ") for line in page.split("| the old package | here |")[1].splitlines()
            if line.startswith("| ") and not line.startswith("| the old")]  # fmt: skip
    assert len(rows) == len(ROWS)
    for row, (begin, test) in zip(rows, ROWS.items(), strict=True):
        assert row.startswith(begin)
        file, _, name = test.rpartition("::")
        tree = ast.parse((ROOT / file if file else Path(__file__)).read_text("utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


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


class Blocked(FakeProvider):
    """A service that takes the browser for a robot, and shows a page that says so."""

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        return ProviderResult(self.name, Outcome.BLOCKED, (), "a robot?", screenshot=png())


def test_a_page_without_results_does_not_go_to_the_model(caplog: pytest.LogCaptureFixture) -> None:
    with chat_server(say("A fractal.")) as server:
        old = api(server, Blocked())
        response = old.query_with_image(png())
        old.close()
        assert len(server.pictures()) == 1  # the picture itself
    assert response.relook["evidence"]["providers"][0]["outcome"] == "blocked"  # type: ignore[attr-defined]
    assert any("a robot?" in record.getMessage() for record in caplog.records)


@pytest.mark.parametrize(
    ("named", "variable", "asked"),
    [(None, None, "gpt-4o"), (None, "gpt-4.1", "gpt-4.1"), ("gpt-5", "gpt-4.1", "gpt-5")],
)
def test_the_model_is_the_one_that_is_named_anywhere(
    named: str | None, variable: str | None, asked: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if variable:
        monkeypatch.setenv("RELOOK_MODEL", variable)
    with chat_server(say("A fractal.")) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)  # as for the openai package
        old = rir_api.RIR_API(KEY, model=named, provider={"fake": FakeProvider()})
        old.query_with_image(png())
        old.close()
        (request,) = server.requests
    assert (request["model"], request["max_tokens"]) == (asked, 200)


def test_its_client_follows_no_redirect_either() -> None:
    with chat_server(say("Mine now.")) as other, chat_server(redirect(other.url)) as server:
        old = api(server, FakeProvider(), form="text")
        with pytest.raises(openai.APIStatusError):
            old.client.chat.completions.create(model="m", messages=[])
        old.close()
        assert (len(server.requests), other.requests) == (1, [])


def test_the_response_is_of_the_openai_packages_own_type() -> None:
    from openai.types.chat import ChatCompletion

    with chat_server(say("Rila [1].")) as server:
        old = api(server, FakeProvider(), form="text")
        response = old.query_with_image(png(), "Where?")
        old.close()
    assert isinstance(response, ChatCompletion)
    more: dict[str, Any] = response.relook  # type: ignore[attr-defined]
    assert {"evidence", "citations", "prompt", "sent", "stages"} <= more.keys()
    assert more["prompt"]["parts"][-1] == {"text": "Question: Where?"}


def test_show_result_delay_and_headless_count_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second call is a look-up of its own, with its own browser and its own window."""
    opened: list[tuple[float, bool]] = []
    shown: list[bytes] = []

    def browser(delay_s: float, headless: bool) -> FakeProvider:
        opened.append((delay_s, headless))
        return FakeProvider(name="lens-browser", screenshot=b"page %d" % len(opened), remote=True)

    monkeypatch.setattr(rir_api, "_browser", browser)
    monkeypatch.setattr(rir_api, "_show", shown.append)
    with chat_server(say("Yes.")) as server, serving() as site:
        site.replies["/red.png"] = Reply(png())
        settings = ModelSettings(base_url=server.url, stream=False)
        old = rir_api.RIR_API(KEY, model="m", settings=settings, allow_upload=True)
        address = f"{site.address}/red.png"
        old.query_with_image(address, "What?", delay=3, show_result=True)
        old.query_with_image(address, "What?", delay=5, show_result=True, headless=False)
        old.query_with_image(address, "What?")
        old.close()
    assert opened == [(3, True), (5, False), (2.0, True)]
    assert shown == [b"page 1", b"page 2"]


def test_nothing_is_printed_or_left_in_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    shown: list[tuple[int, int]] = []
    monkeypatch.setattr(Image.Image, "show", lambda image, title: shown.append(image.size))
    before = sorted(tmp_path.rglob("*"))
    with chat_server(say("Yes.")) as server, caplog.at_level(logging.INFO, "relook"):
        for provider in (Blocked(), FakeProvider(screenshot=png()), FakeProvider(titles=())):
            with closing(api(server, provider, allow_upload=True)) as old:
                old.query_with_image(png(), "What?", show_result=True)
    assert len(shown) == 2
    assert capsys.readouterr() == ("", "")
    assert sorted(tmp_path.rglob("*")) == before  # neither there nor where caches and settings are
    assert {record.name.partition(".")[0] for record in caplog.records} == {"relook"}


def test_a_screenshot_that_cannot_be_shown_costs_no_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with (
        chat_server(say("Yes.")) as server,
        closing(api(server, FakeProvider(screenshot=b"no picture"))) as old,
    ):
        response = old.query_with_image(png(), "What?", show_result=True)
    assert response.choices[0].message.content == "Yes."
    assert any("cannot be shown" in record.getMessage() for record in caplog.records)


def test_every_error_says_what_to_do_next(tmp_path: Path) -> None:
    """As the old package raised whatever broke: no picture, no picture file, no model."""
    with chat_server(say("Yes.")) as server, serving() as site:
        site.replies["/page"] = Reply(b"<html>no picture")
        old = api(server, FakeProvider())
        gone = replace(old._settings, base_url="http://127.0.0.1:9/v1", retries=0)
        deaf = rir_api.RIR_API(KEY, model="m", provider={"fake": FakeProvider()}, settings=gone)
        failing = [
            (old, f"{site.address}/page"), (old, f"{site.address}/gone.png"),
            (old, tmp_path / "none.png"), (old, b"no picture"), (deaf, png()),
        ]  # fmt: skip
        for program, picture in failing:
            with pytest.raises(relook.RelookError) as raised:
                program.query_with_image(picture)
            assert raised.value.code
            assert re.search(r"\w", raised.value.message)
        old.close()
        deaf.close()
