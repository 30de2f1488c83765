"""A session as `relook.Library` gives it: with a widget for notebooks. Layer: app.

Apart from both: `search.session` stands below notebooks, and `app.facade` is full.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from relook.core.registry import import_extra
from relook.core.types import Page
from relook.feedback.strategies import strategy as named_strategy
from relook.search.session import Session

if TYPE_CHECKING:
    from relook.notebook.widget import SessionWidget
    from relook.search.session_replay import Replayed


class LibrarySession(Session):
    """A session that can be marked by clicking."""

    first_page: Page | None = None
    """What `page` was when it began, where it was begun by this object: found and not read back."""

    def replay(self) -> Replayed:
        """Runs the session's log again: every round from what led to it; nothing is written."""
        from relook.search.session_replay import replay  # brings the converter

        return replay(self)

    def widget(self, strategy: str | None = None) -> SessionWidget:
        """Shows the session in a notebook, to mark it by clicking and drawing boxes.

        Args:
            strategy: How judgements are used when looking again; as configured when None.

        Raises:
            MissingExtraError: when `relook[notebook]` is not installed.
            NotFoundError: `unknown_strategy`.
        """
        if strategy is not None:
            named_strategy(strategy)
        module = import_extra("relook.notebook.widget", "session.widget()", "notebook")
        widget: SessionWidget = module.SessionWidget(self, strategy)
        return widget
