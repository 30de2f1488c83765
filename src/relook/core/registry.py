"""Adapters by name: a table of import paths, plus entry points for third parties. Layer: core.

A registry is data, and the only place where the name of an adapter stands. A name is imported
when it is first used. Everything else about an adapter is declared on its class: how it is
opened (`open`), whether it sends something elsewhere (`remote`), what it needs (`needs`).
"""

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from relook.core.errors import InputError, MissingExtraError, NotFoundError


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
        from importlib import metadata  # a name of ours does without

        adapters = dict(self.builtin)
        for point in metadata.entry_points(group=f"relook.{self.family}s"):
            adapters.setdefault(point.name, Adapter(point.value, f"from {point.value}"))
        return adapters

    def __contains__(self, name: str) -> bool:
        """Whether there is such an adapter; other packages are asked only for a name not ours."""
        return name in self.builtin or name in self.adapters()

    def open(self, name: str, spec: Any, *settings: Any, **more: Any) -> Any:
        """Opens an adapter: `open(spec, settings)` of its class.

        Args:
            name: Of the adapter.
            spec: What a person wrote behind the name: a model, a file; empty for nothing.
            settings: What the family's `open` takes further.
            more: Likewise, by name.

        Raises:
            NotFoundError, MissingExtraError: as `load`; what the adapter raises.
            InputError: `no_model` when it needs a model and the spec is empty, `bad_plugin` when
                a third party's class has no `open`.
        """
        adapter = self.load(name)
        if not hasattr(adapter, "open"):
            raise InputError(
                "bad_plugin", f"the {self.family} {name!r} has no open(spec, settings)",
                "its package is made for another version of Relook; see docs/plugins.md",
            )  # fmt: skip
        if not str(spec).strip() and "model" in getattr(adapter, "needs", ()):
            raise InputError("no_model", f"no model is named for {name!r}", f"write {name}:MODEL")
        return adapter.open(spec, *settings, **more)

    def fact(self, name: str, fact: str, cautious: Any) -> Any:
        """What an adapter's class declares.

        Args:
            name: Of the adapter.
            fact: `remote`, `needs`, ...
            cautious: Returned when the class declares nothing, or cannot be imported here.

        Raises:
            NotFoundError: as `load`.
        """
        try:
            return getattr(self.load(name), fact, cautious)
        except MissingExtraError:
            return cautious

    def load(self, name: str) -> Any:
        """Imports the adapter called `name` and returns its class.

        Raises:
            NotFoundError: `unknown_<family>` when no adapter has the name.
            MissingExtraError: when a package it needs is not installed.
        """
        adapter = self.builtin.get(name) or self.adapters().get(name)
        if adapter is None:
            raise self._unknown(name)
        module_name, _, attribute = adapter.target.partition(":")
        module = import_extra(module_name, f"the {self.family} {name!r}", adapter.extra)
        return getattr(module, attribute)

    def _unknown(self, name: str) -> NotFoundError:
        names = sorted(self.adapters())
        near = difflib.get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
        return NotFoundError(f"unknown_{self.family}", f"no {self.family} is called {name!r}", hint)


def import_extra(module: str, user: str, extra: str) -> ModuleType:
    """Imports a module that may need a package which is not installed.

    Args:
        module: Its full name.
        user: What needs it, as a person calls it: `relook serve`.
        extra: The extra of this package that brings the package; empty when none does.

    Raises:
        MissingExtraError: when a package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "relook":
            raise
        package = error.name.split(".")[0]
        command = (
            f"pip install 'relook[{extra}]'" if extra else f"install {package!r} and try again"
        )
        raise MissingExtraError(
            "missing_extra", f"{user} needs the package {package!r}", command
        ) from error
