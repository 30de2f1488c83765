"""Pages and sessions in a notebook. Layer: notebook.

Opening a `relook.Library` inside a notebook is enough: its pages then show themselves as
grids. `%load_ext relook.notebook` does the same without a library. `session.widget()` marks by
clicking. Knows HTML and IPython; whatever is below knows neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relook.notebook.display import load_ipython_extension, show_pages
    from relook.notebook.page_view import page_html, page_text
    from relook.notebook.widget import SessionWidget

__all__ = ["SessionWidget", "load_ipython_extension", "page_html", "page_text", "show_pages"]

_HOMES = {
    "SessionWidget": "widget",
    "load_ipython_extension": "display",
    "page_html": "page_view",
    "page_text": "page_view",
    "show_pages": "display",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relook.notebook' has no attribute {name!r}")
    return getattr(importlib.import_module(f"relook.notebook.{_HOMES[name]}"), name)
