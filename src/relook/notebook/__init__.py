"""Pages and sessions in a notebook. Layer: notebook.

A `relook.Page` shows itself as a grid of pictures: IPython asks it for HTML, and it asks this
room. `session.widget()` marks by clicking. Knows HTML; whatever is below does not.
"""

import importlib
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relook.notebook.page_view import page_html, page_text
    from relook.notebook.widget import SessionWidget

__all__ = ["SessionWidget", "load_ipython_extension", "page_html", "page_text", "show_pages"]

_HOMES = {
    "SessionWidget": "widget",
    "page_html": "page_view",
    "page_text": "page_view",
}


def show_pages() -> bool:
    """Whether pages show themselves here: inside IPython they always do."""
    ipython = sys.modules.get("IPython")
    return ipython is not None and ipython.get_ipython() is not None


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext relook.notebook` calls; pages show themselves without it."""


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relook.notebook' has no attribute {name!r}")
    return getattr(importlib.import_module(f"relook.notebook.{_HOMES[name]}"), name)
