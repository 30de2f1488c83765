"""Settings from files and the environment, each with where it came from. Layer: core.

A key is `section.name`: a section is a settings class, a name one of its fields, and the
field says type, default and limits. Later files win over earlier ones, the environment
over files; a flag of the command line is the caller's to put over all of them.
"""

import dataclasses
import difflib
import importlib
import os
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from relook.core.errors import InputError

PREFIX = "RELOOK_"
_MAX_BYTES = 1024**2
_NEARLY = 0.8  # of 1, how alike a section and a mistyped one are
_YES, _NO = ("1", "true", "yes", "on"), ("0", "false", "no", "off")
_NAMES = {bool: "true or false", int: "a whole number", float: "a number", tuple: "a list of texts"}
S = TypeVar("S")


@dataclass(frozen=True, slots=True)
class Value:
    """A value and where it came from: a file, an environment variable, or `default`."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Setting:
    """One key that there is.

    Args:
        key: `section.name`.
        kind: Type of its value: bool, int, float, str, Path, or tuple for a list of texts.
        field: The field of the settings class.
        optional: Whether it may have no value.
    """

    key: str
    kind: type
    field: dataclasses.Field[Any]
    optional: bool

    @property
    def default(self) -> Any:
        """Its value where nobody says otherwise."""
        made = self.field.default_factory
        return self.field.default if made is dataclasses.MISSING else made()

    @property
    def secret(self) -> bool:
        """Whether its value is never shown."""
        return bool(self.field.metadata.get("secret"))

    def checked(self, value: object, source: str) -> Any:
        """A value as the settings class takes it.

        Raises:
            InputError: `bad_config` with the key, the value and what it should be.
        """
        converted = _converted(value, self.kind)
        low, choices = self.field.metadata.get("low"), self.field.metadata.get("choices")
        if converted is None:
            wanted = _NAMES.get(self.kind, "a text")
        elif low is not None and converted < low:
            wanted = f"at least {low}"
        elif choices and converted not in choices:
            wanted = f"one of {', '.join(repr(choice) for choice in choices)}"
        else:
            return converted
        shown = "(secret)" if self.secret else repr(value)
        raise InputError(
            "bad_config", f"{source}: {self.key} is {shown}; it must be {wanted}", "correct it"
        )


class Config:
    """What files and the environment say, over the defaults.

    Args:
        sections: Section name -> `module:Class` of its settings, imported when it is needed.
        given: Key -> what was said about it.
        files: The files that were read.
        strangers: Environment variables that begin as a section, or nearly, and set no key.
    """

    def __init__(
        self,
        sections: Mapping[str, str],
        given: Mapping[str, Value],
        files: Sequence[Path] = (),
        strangers: Sequence[str] = (),
    ) -> None:
        self._sections, self._given = sections, given
        self.files, self.strangers = tuple(files), tuple(strangers)

    def given(self, key: str) -> Any:
        """What somebody said about a key, or None where its default holds."""
        value = self._given.get(key)
        return None if value is None else value.value

    def section(self, name: str) -> dict[str, Any]:
        """What was said about the fields of a section, by field name."""
        begin = f"{name}."
        return {
            key.removeprefix(begin): given_value.value
            for key, given_value in self._given.items()
            if key.startswith(begin)
        }

    def settings(self, kind: type[S]) -> S:
        """A settings object with what was said about its section."""
        target = f"{kind.__module__}:{kind.__qualname__}"
        name = next(name for name, named in self._sections.items() if named == target)
        return kind(**self.section(name))

    def values(self) -> Iterator[tuple[Setting, Value]]:
        """Every key there is with its value, by section."""
        for section, target in self._sections.items():
            for setting in _settings(section, target):
                yield setting, self._given.get(setting.key) or Value(setting.default, "default")


def load_config(
    sections: Mapping[str, str],
    files: Sequence[Path],
    environ: Mapping[str, str],
    aliases: Mapping[str, str] = types.MappingProxyType({}),
) -> Config:
    """Reads settings.

    Args:
        sections: Section name -> `module:Class`.
        files: TOML files, the strongest last.
        environ: The environment; `RELOOK_<SECTION>_<NAME>` sets a key.
        aliases: Further variable names -> keys.

    Raises:
        InputError: `bad_config` for a file that cannot be read, a key that there is not, or a
            value that does not fit, with the nearest right name.
    """
    given: dict[str, Value] = {}
    for file in files:
        for section, name, value in _entries(file, sections):
            setting = _known(sections, section, name, str(file))
            given[setting.key] = Value(setting.checked(value, str(file)), str(file))
    strangers = []
    for variable in sorted(name for name in environ if name.startswith(PREFIX)):
        named = _of_variable(variable, sections, aliases)
        if named is None:
            # Other parts have variables of their own; one that begins about as a section is a slip.
            section, _, name = variable.removeprefix(PREFIX).lower().partition("_")
            if name and difflib.get_close_matches(section, sections, n=1, cutoff=_NEARLY):
                strangers.append(variable)
        elif environ[variable] or named.kind is str:
            value = named.checked(_spelled(environ[variable], named.kind), variable)
            given[named.key] = Value(value, variable)
    return Config(sections, given, files, strangers)


def _entries(file: Path, sections: Mapping[str, str]) -> Iterator[tuple[str, str, object]]:
    """(section, name, value) of everything in a file."""
    for section, values in _parsed(file).items():
        if section not in sections:
            raise _unknown(f"{file}: there is no section [{section}]", section, sections)
        if not isinstance(values, dict):
            raise InputError("bad_config", f"{file}: {section} is a section", f"write [{section}]")
        for name, value in values.items():
            yield section, name, value


def _parsed(file: Path) -> dict[str, Any]:
    import tomllib  # most have no file

    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InputError("bad_config", f"{file} is larger than 1 MiB", "name a settings file")
        return tomllib.loads(file.read_text("utf-8-sig"))  # Notepad marks UTF-8 at its beginning
    except UnicodeDecodeError as error:
        raise InputError(
            "bad_config", f"cannot read {file}: it is not in UTF-8", "save it in UTF-8"
        ) from error
    except OSError as error:
        raise InputError("bad_config", f"cannot read {file}: {error}", "check the path") from error
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            "bad_config", f"{file} is not TOML: {error}", 'write it as: limit = 20, model = "..."'
        ) from error


def _settings(section: str, target: str) -> list[Setting]:
    """The keys of a section; imports its class."""
    module, _, name = target.partition(":")
    kind = getattr(importlib.import_module(module), name)
    hints = typing.get_type_hints(kind)
    settings = []
    for field in dataclasses.fields(kind):
        alternatives = typing.get_args(hints[field.name]) or (hints[field.name],)
        optional = type(None) in alternatives
        plain = alternatives[0] if optional else hints[field.name]
        kind_of_value = typing.get_origin(plain) or plain
        settings.append(Setting(f"{section}.{field.name}", kind_of_value, field, optional))
    return settings


def _known(sections: Mapping[str, str], section: str, name: str, source: str) -> Setting:
    there = {setting.field.name: setting for setting in _settings(section, sections[section])}
    if name not in there:
        raise _unknown(f"{source}: [{section}] has no key {name!r}", name, there)
    return there[name]


def _unknown(message: str, name: str, names: Mapping[str, object]) -> InputError:
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
    return InputError("bad_config", message, hint)


def _of_variable(
    variable: str, sections: Mapping[str, str], aliases: Mapping[str, str]
) -> Setting | None:
    """The key that an environment variable sets; None where it sets none."""
    if variable in aliases:
        section, name = aliases[variable].split(".")
        return _known(sections, section, name, variable)
    section, _, name = variable.removeprefix(PREFIX).lower().partition("_")
    if section not in sections:
        return None
    there = {setting.field.name: setting for setting in _settings(section, sections[section])}
    return there.get(name)


def _spelled(text: str, kind: type) -> object:
    """An environment variable's text as a TOML file would have it."""
    if kind is bool:
        word = text.strip().lower()
        return word in _YES if word in (*_YES, *_NO) else text
    if kind is tuple:
        return [part for part in text.split(os.pathsep) if part]
    if kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            return text
    return text


def _converted(value: object, kind: type) -> Any:
    """The value as this type, or None when it is of another."""
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if kind is tuple:
        texts = isinstance(value, list) and all(isinstance(text, str) for text in value)
        return tuple(value) if texts else None  # type: ignore[arg-type]
    if kind is Path:
        return Path(os.path.expanduser(value)) if isinstance(value, str) and value else None
    if isinstance(value, bool) and kind is not bool:
        return None
    return value if isinstance(value, kind) else None
