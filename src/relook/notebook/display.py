"""Telling IPython how a page looks. Layer: notebook.

`Page` is a value of the core and knows no HTML. IPython keeps formatters by type, so what
a page looks like is said here. Imports nothing: outside a notebook it costs nothing.

Source: IPython's documentation, "Integrating your objects with IPython": formatters by type.
"""

from __future__ import annotations

import sys
from typing import Any

from relook.core.types import Page

__all__ = ["load_ipython_extension", "show_pages"]


def show_pages() -> bool:
    """Has pages show themselves, when this runs inside IPython.

    Returns:
        Whether it does.
    """
    ipython = sys.modules.get("IPython")
    shell = None if ipython is None else ipython.get_ipython()
    if shell is None:
        return False
    load_ipython_extension(shell)
    return True


def load_ipython_extension(shell: Any) -> None:
    """What `%load_ext relook.notebook` calls."""
    formatters = shell.display_formatter.formatters
    formatters["text/html"].for_type(Page, _html)
    formatters["text/plain"].for_type(Page, _text)


def _html(page: Page) -> str:
    from relook.notebook.page_view import page_html  # Pillow, when something is drawn

    return page_html(page)


def _text(page: Page, printer: Any, cycle: bool) -> None:
    from relook.notebook.page_view import page_text

    printer.text(page_text(page))
