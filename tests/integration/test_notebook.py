"""Pages and sessions in a notebook: what IPython shows, and the widget's messages."""

import base64
import html.parser
import io
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from session_parts import bars, ids, library_of_bars  # noqa: F401 -- fixtures

import relook
from relook.core.errors import MissingExtraError, NotFoundError
from relook.core.types import Box, Hit, Page, Part, Query
from relook.notebook import page_html, page_text

EVIL = "<script>alert(1)</script>\"'>&\u202e\n"


class Seen(html.parser.HTMLParser):
    """Tags with their attributes, and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_a_page_is_a_grid_with_its_pictures_inside(library: relook.Library) -> None:
    page = library.search("red", limit=3)
    seen = Seen(page_html(page))
    images = [attributes for tag, attributes in seen.tags if tag == "img"]
    assert [one["alt"] for one in images] == [hit.path.name for hit in page]
    for one in images:
        kind, _, data = str(one["src"]).partition(",")
        assert kind == "data:image/jpeg;base64"
        assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) <= 200
    assert "3 images for red" in seen.text
    assert {tag for tag, _ in seen.tags} <= {
        "div", "figure", "figcaption", "img", "b", "br", "span",
    }  # fmt: skip
    outlines = [a for tag, a in seen.tags if tag == "div" and "absolute" in str(a.get("style"))]
    assert len(outlines) == sum(hit.tile_number > 0 for hit in page)


def test_words_of_strangers_are_escaped(tmp_path: Path) -> None:
    hit = Hit(1, tmp_path / '"><img src=x onerror=alert(1)>.png', 1.0, Box(0, 0, 1, 1), EVIL, EVIL)
    page = Page(Query((Part(text=EVIL),)), (hit,), notes=(EVIL,))
    shown = page_html(page)
    seen = Seen(shown)
    assert {tag for tag, _ in seen.tags} <= {"div", "figure", "figcaption", "b", "br", "span"}
    assert not any(name.startswith("on") for _, given in seen.tags for name in given)
    assert "the file is not there any more" in seen.text
    assert "\u202e" not in shown + page_text(page)
    assert len(page_text(page).splitlines()) == 3


def test_a_long_page_says_what_it_does_not_draw(tmp_path: Path) -> None:
    hits = tuple(Hit(n, tmp_path / f"{n}.png", 1.0, Box(0, 0, 1, 1)) for n in range(1, 71))
    seen = Seen(page_html(Page(Query((Part(text="a"),)), hits)))
    assert sum(tag == "figure" for tag, _ in seen.tags) == 60
    assert "and 10 more" in seen.text
    assert "nothing found" in Seen(page_html(Page(Query((Part(image_id=3),)), ()))).text


def test_inside_ipython_pages_show_themselves_and_nothing_is_changed(tmp_path: Path) -> None:
    """In a process of its own: IPython keeps one shell for a whole process."""
    program = """
import sys
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
import relook
from relook.testing import ColourEncoder, solid
pictures = sys.argv[1] + "/pictures"
import os
os.mkdir(pictures)
solid("red").save(pictures + "/red.png")
formatters = shell.display_formatter.formatters
before = {name: dict(one.type_printers) for name, one in formatters.items()}
empty = relook.Page(relook.Query((relook.Part(text="a"),)), ())
assert "nothing found" in shell.display_formatter.format(empty)[0]["text/html"]
with relook.Library(sys.argv[1] + "/library", encoder=ColourEncoder()) as library:
    library.add(pictures)
    for page in (library.search("red"), library.look("red").page):
        shown, _ = shell.display_formatter.format(page)
        assert shown["text/html"].startswith('<div class="relook-page">'), shown
        assert shown["text/plain"].splitlines()[0] == "1 image for red", shown
assert {name: dict(one.type_printers) for name, one in formatters.items()} == before
"""
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_outside_a_notebook_nothing_of_it_is_loaded() -> None:
    program = (
        "import relook, sys; relook.Library('/nonexistent/x'); print([m for m in"
        " ('IPython', 'anywidget', 'PIL', 'relook.notebook.page_view') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


class Comm:
    """Records what goes to the browser, and brings what comes from it."""

    def __init__(self, **_: Any) -> None:
        self.comm_id, self.sent = "c", []
        self._heard: Any = None

    def on_msg(self, heard: Any) -> None:
        self._heard = heard

    def on_close(self, closed: Any) -> None:
        pass

    def send(self, data: Any = None, metadata: Any = None, buffers: Any = None) -> None:
        self.sent.append(data)

    def close(self, *_: Any, **__: Any) -> None:
        pass

    def from_browser(self, **content: Any) -> list[dict[str, Any]]:
        """Delivers one custom message; returns what was sent in answer to it."""
        n_before = len(self.sent)
        data = {"method": "custom", "content": content}
        self._heard({"content": {"data": data}, "buffers": []})
        return list(self.sent[n_before:])


@pytest.fixture
def shown(library: relook.Library, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Any, Any]]:
    """A session's widget, and its comm."""
    comms: list[Comm] = []

    def make(**how: Any) -> Comm:
        comms.append(Comm(**how))
        return comms[-1]

    monkeypatch.setattr("comm.create_comm", make)
    session = library.look("red", limit=3, captions=False)
    widget = session.widget("rocchio")
    yield widget, comms[-1]
    widget.close()


def updates(answers: list[dict[str, Any]]) -> dict[str, Any]:
    """The traits that changed, by name."""
    found: dict[str, Any] = {}
    for one in answers:
        if one["method"] == "update":
            found |= one["state"]
    assert {"kind": "done", "of": 7} in [one.get("content") for one in answers]
    return found


def test_the_widget_tells_the_page(shown: tuple[Any, Any], library: relook.Library) -> None:
    widget, _ = shown
    assert [hit["image_id"] for hit in widget.hits] == ids(widget.session.page)
    assert all(hit["thumbnail"].startswith("data:image/jpeg;base64,") for hit in widget.hits)
    assert (widget.about["query"], widget.about["round"]) == ("red", 0)
    assert (widget.judgements, widget.trouble) == ([], {})
    assert "render" in str(widget._esm)
    assert len(str(widget._css)) > 500


def test_marks_boxes_captions_and_a_new_page(shown: tuple[Any, Any]) -> None:
    widget, comm = shown
    session, first = widget.session, ids(widget.session.page)
    marked = updates(comm.from_browser(kind="mark", n=7, image_id=first[0], relevant=True))
    assert [one["relevant"] for one in marked["judgements"]] == [True]
    assert "hits" not in marked  # pictures do not travel again for a mark
    comm.from_browser(kind="mark", n=7, image_id=first[1], relevant=False, box=[0, 0, 0.5, 0.5])
    box = session.judgements[1]
    assert (box.box, box.relevant, box.caption) == (Box(0, 0, 0.5, 0.5), False, None)
    comm.from_browser(kind="caption", n=7, judgement_id=box.judgement_id, text=" a bar ")
    assert session.judgements[1].caption == "a bar"
    looked = updates(comm.from_browser(kind="again", n=7))
    assert looked["about"]["round"] == session.round.number == 1
    assert session.round.strategy == "rocchio"
    assert [hit["image_id"] for hit in looked["hits"]] == ids(session.page) != first
    back = updates(comm.from_browser(kind="undo", n=7))
    assert (back["about"]["round"], [h["image_id"] for h in back["hits"]]) == (0, first)
    comm.from_browser(kind="remove", n=7, judgement_id=box.judgement_id)
    assert [one.image_id for one in session.judgements] == [first[0]]
    undone = updates(comm.from_browser(kind="undo", n=7))
    assert undone["judgements"] == []
    assert "not relevant any more" in undone["about"]["told"]


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"kind": "mark", "image_id": 99, "relevant": True}, "no_image"),
        ({"kind": "mark", "image_id": "1", "relevant": True}, "bad_message"),
        ({"kind": "mark", "image_id": 1, "relevant": 1}, "bad_message"),
        ({"kind": "mark", "image_id": 1, "relevant": True, "box": [0, 0, 1]}, "bad_message"),
        ({"kind": "mark", "image_id": 1, "relevant": True, "box": [1, 1, 0, 0]}, "bad_box"),
        ({"kind": "caption", "judgement_id": 1, "text": None}, "bad_message"),
        ({"kind": "remove", "judgement_id": 77}, "no_judgement"),
        ({"kind": "undo"}, "nothing_to_undo"),
        ({"kind": "format"}, "bad_message"),
        ({}, "bad_message"),
    ],
)
def test_what_a_message_did_wrong_is_shown_and_changes_nothing(
    shown: tuple[Any, Any], message: dict[str, Any], code: str
) -> None:
    widget, comm = shown
    told = updates(comm.from_browser(n=7, **message))
    assert told["trouble"]["code"] == code
    assert widget.session.judgements == []
    comm.from_browser(kind="mark", n=7, image_id=1, relevant=True)
    assert widget.trouble == {}


def test_a_picture_that_is_gone_is_said_to_be(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    session.page[0].path.unlink()
    widget = session.widget()
    assert [bool(hit["thumbnail"]) for hit in widget.hits] == [False, True]
    assert widget.hits[0]["missing"].endswith("the file is not there any more")
    widget.close()


def test_what_a_widget_needs_is_said(
    library: relook.Library, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = library.look("red")
    with pytest.raises(NotFoundError, match="magic"):
        session.widget("magic")
    monkeypatch.delitem(sys.modules, "relook.notebook.widget", raising=False)
    monkeypatch.setitem(sys.modules, "anywidget", None)
    with pytest.raises(MissingExtraError, match="anywidget") as caught:
        session.widget()
    assert caught.value.hint == "pip install 'relook[notebook]'"
