"""A session as `relook.Library` gives it: with a widget for notebooks. Layer: app."""

from __future__ import annotations

from typing import TYPE_CHECKING

from relook.core.errors import MissingExtraError
from relook.feedback.strategies import DEFAULT
from relook.feedback.strategies import strategy as named_strategy
from relook.search.session import Session

if TYPE_CHECKING:
    from relook.notebook.widget import SessionWidget

__all__ = ["LibrarySession"]


class LibrarySession(Session):
    """A session that can be marked by clicking."""

    def widget(self, strategy: str = DEFAULT) -> SessionWidget:
        """Shows the session in a notebook, to mark it by clicking and drawing boxes.

        Args:
            strategy: How judgements are used when looking again.

        Raises:
            MissingExtraError: when `relook[notebook]` is not installed.
            NotFoundError: `unknown_strategy`.
        """
        named_strategy(strategy)
        try:
            from relook.notebook.widget import SessionWidget
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] == "relook":
                raise
            raise MissingExtraError(
                "missing_extra",
                f"session.widget() needs the package {error.name!r}",
                "pip install 'relook[notebook]'",
            ) from error
        return SessionWidget(self, strategy)
