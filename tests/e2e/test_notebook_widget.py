"""The notebook widget's ES module in a real browser, with the real session behind a stub model."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

import relook
from relook.notebook.widget import SessionWidget
from relook.testing import ColourEncoder, solid

from .conftest import PATIENCE_MS, drag, write_pictures

ADDRESS = "http://notebook.example/"
STATIC = Path(relook.__file__).parent / "notebook" / "static"

# What anywidget hands to `render`: traits that change, and messages both ways.
PAGE = """<!doctype html><meta charset="utf-8"><title>A notebook</title>
<link rel="stylesheet" href="marks.css"><body style="font-family: sans-serif"><div id="cell"></div>
<script type="module">
  import widget from "./marks.js";
  const traits = await window.python({ kind: "traits" });
  const listeners = {};
  const tell = (event, ...told) => (listeners[event] ?? []).forEach((one) => one(...told));
  window.model = {
    get: (name) => traits.state[name],
    on: (event, one) => (listeners[event] ??= []).push(one),
    off: (event, one) => (listeners[event] = listeners[event].filter((other) => other !== one)),
    send: async (message) => {
      for (const answer of await window.python(message)) {
        if (answer.method === "custom") tell("msg:custom", answer.content);
        for (const [name, value] of Object.entries(answer.state ?? {})) {
          traits.state[name] = value;
          tell(`change:${name}`);
        }
      }
    },
  };
  window.listeners = listeners;
  window.close_widget = widget.render({ model: window.model, el: document.querySelector("#cell") });
</script>"""


class Comm:
    """Stands between the widget and the browser; hands each what the other says."""

    def __init__(self, **how: Any) -> None:
        self.comm_id, self.sent = "c", []
        self.state = dict(how["data"]["state"])
        self._heard: Any = None

    def on_msg(self, heard: Any) -> None:
        self._heard = heard

    def on_close(self, closed: Any) -> None:
        pass

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        self.sent.append(json.loads(json.dumps(data)))
        self.state |= self.sent[-1].get("state", {})

    def close(self, *_: Any, **__: Any) -> None:
        pass

    def from_browser(self, content: dict[str, Any]) -> Any:
        if content["kind"] == "traits":
            names = ("hits", "judgements", "about", "trouble")
            return {"state": {name: self.state[name] for name in names}}
        n_before = len(self.sent)
        self._heard({"content": {"data": {"method": "custom", "content": content}}, "buffers": []})
        return self.sent[n_before:]


@dataclass
class Notebook:
    """A cell with a widget in it."""

    page: Page
    widget: SessionWidget

    def card(self, at: int) -> str:
        return f".relook-card[data-id='{self.ids()[at]}']"

    def ids(self) -> list[int]:
        return [hit["image_id"] for hit in self.widget.hits]

    def marks(self) -> list[tuple[int, bool, str | None]]:
        found = self.widget.session.judgements
        return [(one.image_id, one.relevant, one.caption) for one in found]


@pytest.fixture
def notebook(
    browser: Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Notebook]:
    comms: list[Comm] = []

    def make(**how: Any) -> Comm:
        comms.append(Comm(**how))
        return comms[-1]

    monkeypatch.setattr("comm.create_comm", make)
    write_pictures(tmp_path / "pictures")
    solid("red", 90, 60).save(tmp_path / "pictures" / "<b>red<b>.png")
    troubles: list[str] = []
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as library:
        library.add(tmp_path / "pictures")
        session = library.look("red", limit=8, captions=False)
        context = browser.new_context(viewport={"width": 1000, "height": 900})
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: troubles.append(str(error)))
        page.route("**/*", _serve)
        widget = session.widget("rocchio")
        page.expose_function("python", comms[-1].from_browser)
        page.goto(ADDRESS)
        page.locator(".relook-card").first.wait_for()
        yield Notebook(page, widget)
        page.evaluate("window.close_widget()")
        left = page.evaluate("Object.values(window.listeners).flat().length")
        context.close()
        widget.close()
    assert troubles == []
    assert left == 0


def _serve(route: Route) -> None:
    name = route.request.url.removeprefix(ADDRESS)
    if not name:
        route.fulfill(body=PAGE, content_type="text/html")
    elif name in ("marks.js", "marks.css"):
        kind = "text/javascript" if name.endswith("js") else "text/css"
        route.fulfill(body=(STATIC / name).read_text("utf-8"), content_type=kind)
    else:
        route.fulfill(status=404, body="")


def test_clicks_boxes_captions_undo_and_a_new_page(notebook: Notebook) -> None:
    page, first, ids = notebook.page, notebook.ids(), notebook.ids()
    page.locator(f"{notebook.card(0)} img").click()
    expect(page.locator(notebook.card(0))).to_have_attribute("data-mark", "relevant")
    page.locator(f"{notebook.card(1)} .relook-irrelevant").click()
    expect(page.locator(notebook.card(1))).to_have_attribute("data-mark", "irrelevant")
    assert notebook.marks() == [(ids[0], True, None), (ids[1], False, None)]
    page.locator(f"{notebook.card(1)} .relook-irrelevant").click()  # again: no mark
    expect(page.locator(notebook.card(1))).to_have_attribute("data-mark", "")

    drag(page, f"{notebook.card(2)} .relook-picture", (0.1, 0.2, 0.6, 0.7))
    page.locator(f"{notebook.card(2)} .relook-list input").fill("a red patch")
    page.keyboard.press("Enter")
    page.keyboard.down("Shift")
    drag(page, f"{notebook.card(3)} .relook-picture", (0.9, 0.9, 0.5, 0.5))
    page.keyboard.up("Shift")
    expect(page.locator(".relook-boxes .relook-box")).to_have_count(2)
    expect(page.locator(".relook-status")).not_to_have_text("working …")
    assert notebook.marks()[1:] == [(ids[2], True, "a red patch"), (ids[3], False, None)]
    drawn = notebook.widget.session.judgements[1].box
    assert drawn is not None
    assert drawn.as_list() == pytest.approx([0.1, 0.2, 0.6, 0.7], abs=0.02)

    page.get_by_role("button", name="Look again").click()
    expect(page.locator(".relook-title")).to_have_text("red · page 2")
    assert notebook.ids() == [hit.image_id for hit in notebook.widget.session.page] != first
    page.get_by_role("button", name="Undo").click()
    expect(page.locator(".relook-title")).to_have_text("red · page 1")
    assert notebook.ids() == first
    expect(page.locator(".relook-boxes .relook-box")).to_have_count(2)
    page.locator(f"{notebook.card(3)} .relook-remove").click()
    expect(page.locator(".relook-boxes .relook-box")).to_have_count(1)


def test_what_went_wrong_is_said_and_names_are_words(notebook: Notebook) -> None:
    page = notebook.page
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_role("alert")).to_contain_text("nothing is judged")
    expect(page.get_by_role("button", name="Undo")).to_be_enabled()
    names = page.locator(".relook-name").all_inner_texts()
    assert any("<b>red<b>.png" in name for name in names)
    assert page.locator(".relook-name b").count() == 0
