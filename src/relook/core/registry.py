"""Adapters by name: a table of import paths, plus entry points for third parties. Layer: core.

A registry is data. Nothing is imported until a name is asked for.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from relook.core.errors import MissingExtraError, NotFoundError

__all__ = ["Adapter", "Registry"]


@dataclass(frozen=True, slots=True)
class Adapter:
    """Where an adapter is and what it needs.

    Args:
        target: `package.module:Name`.
        summary: One line for `relook doctor` and the docs.
        extra: The extra of this package that brings its dependencies; empty when none is needed.
    """

    target: str
    summary: str
    extra: str = ""


@dataclass(frozen=True)
class Registry:
    """The adapters of one family.

    Args:
        family: Singular noun of the family ("encoder"); entry points of third parties are
            read from the group `relook.<family>s`.
        builtin: The adapters that ship with Relook.
    """

    family: str
    builtin: Mapping[str, Adapter]

    def adapters(self) -> dict[str, Adapter]:
        """All adapters by name; a third party's never replaces one of ours."""
        adapters = dict(self.builtin)
        for point in importlib.metadata.entry_points(group=f"relook.{self.family}s"):
            adapters.setdefault(point.name, Adapter(point.value, f"from {point.value}"))
        return adapters

    def load(self, name: str) -> Any:
        """Imports the adapter called `name` and returns its class or factory.

        Raises:
            NotFoundError: `unknown_<family>` when no adapter has the name.
            MissingExtraError: when a package it needs is not installed.
        """
        adapter = self.builtin.get(name) or self.adapters().get(name)
        if adapter is None:
            raise self._unknown(name)
        module_name, _, attribute = adapter.target.partition(":")
        try:
            return getattr(importlib.import_module(module_name), attribute)
        except ModuleNotFoundError as error:
            if error.name is None or error.name.split(".")[0] == "relook":
                raise
            command = f"pip install 'relook[{adapter.extra}]'" if adapter.extra else ""
            raise MissingExtraError(
                "missing_extra",
                f"the {self.family} {name!r} needs the package {error.name!r}",
                command or f"install {error.name!r} and try again",
            ) from error

    def _unknown(self, name: str) -> NotFoundError:
        names = sorted(self.adapters())
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        return NotFoundError(f"unknown_{self.family}", f"no {self.family} is called {name!r}", hint)
