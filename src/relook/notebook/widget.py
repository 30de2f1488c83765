"""A session that is marked by clicking, inside a notebook. Layer: notebook.

The widget holds nothing of its own: what is clicked goes into the session, and what it
shows is what the session has. So `session.page` and `session.judgements` in the next cell are
those on the screen.

Source: the anywidget documentation: an ES module with `render`, synchronised traits, and
custom messages.
"""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import anywidget
import traitlets

from relook.core.errors import ImageError, InputError, RelookError
from relook.core.json_writer import to_json
from relook.core.picture_paths import printable
from relook.core.types import Box, Hit
from relook.notebook.page_view import query_text, thumbnail_uri
from relook.search.session import Session

_STATIC = Path(__file__).with_name("static")
_THUMBNAIL_PX = 360
_N_SHOWN = 60


class SessionWidget(anywidget.AnyWidget):
    """Shows a session's page and marks it: click, draw boxes, edit captions, look again, undo.

    Args:
        session: An open session; it must stay open as long as the widget is used.
        strategy: How judgements are used when looking again; as configured when None.
    """

    _esm = _STATIC / "marks.js"
    _css = _STATIC / "marks.css"

    hits = traitlets.List(traitlets.Dict()).tag(sync=True)
    judgements = traitlets.List(traitlets.Dict()).tag(sync=True)
    about = traitlets.Dict().tag(sync=True)
    trouble = traitlets.Dict().tag(sync=True)

    def __init__(self, session: Session, strategy: str | None) -> None:
        super().__init__()
        self.session, self._strategy = session, strategy
        self._steps: Mapping[str, Callable[[Mapping[str, Any]], None]] = {
            "mark": self._mark,
            "remove": self._remove,
            "caption": self._caption,
            "again": self._again,
            "undo": self._undo,
        }
        self._show_page()
        self._show_marks()
        self.on_msg(self._heard)

    def _heard(self, _: Any, content: Any, __: Any) -> None:
        """One message of the browser; what it did wrong is shown there."""
        try:
            kind = content.get("kind") if isinstance(content, dict) else None
            step = self._steps.get(str(kind))
            if step is None:
                raise InputError("bad_message", f"{content!r} is no message of the widget's")
            step(content)
        except RelookError as error:
            self.trouble = error.as_dict()["error"]
        else:
            self.trouble = {}
        # The browser waits for this one, whatever came of its message.
        self.send({"kind": "done", "of": content.get("n") if isinstance(content, dict) else None})

    def _mark(self, message: Mapping[str, Any]) -> None:
        image_id, relevant = _number(message, "image_id"), message.get("relevant")
        if not isinstance(relevant, bool):
            raise InputError("bad_message", f"relevant is {relevant!r}")
        self.session.judge(image_id, relevant, box=_box(message))
        self._show_marks()

    def _remove(self, message: Mapping[str, Any]) -> None:
        self.session.remove(_number(message, "judgement_id"))
        self._show_marks()

    def _caption(self, message: Mapping[str, Any]) -> None:
        words = message.get("text")
        if not isinstance(words, str):
            raise InputError("bad_message", f"text is {words!r}")
        self.session.edit_caption(_number(message, "judgement_id"), words)
        self._show_marks()

    def _again(self, _: Mapping[str, Any]) -> None:
        self.session.again(self._strategy)
        self._show_page()
        self._show_marks()

    def _undo(self, _: Mapping[str, Any]) -> None:
        before = self.session.round.number
        undone = self.session.undo()
        if self.session.round.number != before:
            self._show_page()
        self._show_marks(undone)

    def _show_page(self) -> None:
        self.hits = [_hit_values(hit) for hit in self.session.page[:_N_SHOWN]]

    def _show_marks(self, undone: str = "") -> None:
        page = self.session.page
        self.judgements = [judgement.as_dict() for judgement in self.session.judgements]
        self.about = {
            "session_id": self.session.session_id,
            "query": query_text(page),
            "round": self.session.round.number,
            "notes": list(page.notes),
            "told": undone,
        }


def _hit_values(hit: Hit) -> dict[str, Any]:
    values: dict[str, Any] = to_json(hit, without={"metadata"})
    values |= {"path": printable(bytes(hit.path)), "name": printable(hit.path.name)}
    try:
        values["thumbnail"], values["missing"] = thumbnail_uri(hit.path, _THUMBNAIL_PX), ""
    except ImageError as error:
        values["thumbnail"], values["missing"] = "", error.message
    return values


def _number(message: Mapping[str, Any], name: str) -> int:
    value = message.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InputError("bad_message", f"{name} is {value!r}")
    return value


def _box(message: Mapping[str, Any]) -> Box | None:
    edges = message.get("box")
    if edges is None:
        return None
    numbers = isinstance(edges, list) and all(
        isinstance(edge, int | float) and math.isfinite(edge) for edge in edges
    )
    if not numbers or len(edges) != 4:
        raise InputError("bad_message", f"box is {edges!r}")
    return Box(*map(float, edges))
