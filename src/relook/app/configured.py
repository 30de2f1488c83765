"""Configurations by name, and the libraries that they describe. Layer: app.

The commands put their flags over what is read here; `relook.configured` is the same for Python.
"""

import difflib
import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from relook.app.facade import Library
from relook.app.paths import PathLike
from relook.core.config_file import Config, load_config
from relook.core.errors import NotFoundError
from relook.core.settings import (
    CaptionerSettings,
    EncoderSettings,
    FeedbackSettings,
    ImageLimits,
    IndexSettings,
    PromptSettings,
    SearchSettings,
    SessionLimits,
)
from relook.core.user_folders import config_folder

_CORE = "relook.core.settings:"
SECTIONS: Mapping[str, str] = MappingProxyType(
    {
        "library": _CORE + "LibrarySettings",
        "encoder": _CORE + "EncoderSettings",
        "captioner": _CORE + "CaptionerSettings",
        "prompts": _CORE + "PromptSettings",
        "index": _CORE + "IndexSettings",
        "ray": _CORE + "RaySettings",
        "watch": _CORE + "WatchSettings",
        "images": _CORE + "ImageLimits",
        "search": _CORE + "SearchSettings",
        "sessions": _CORE + "SessionLimits",
        "feedback": _CORE + "FeedbackSettings",
        "ask": _CORE + "AskSettings",
        "model": _CORE + "ModelSettings",
        "gather": _CORE + "GatherSettings",
        "evidence": _CORE + "EvidenceSettings",
        "answering": "relook.rag.prompt:PromptTexts",
        "serve": "relook.gateway.server_settings:ServerSettings",
        "mcp": "relook.mcp.mcp_settings:McpSettings",
    }
)
"""Section of a configuration file -> the settings that it holds, imported on use."""

ALIASES: Mapping[str, str] = MappingProxyType(
    {"RELOOK_LIBRARY": "library.folder", "RELOOK_TOKEN": "serve.token"}
)
"""Environment variables with short names of their own."""

_FOLDER = Path(__file__).parents[1] / "configs"


def user_file() -> Path:
    """The configuration file of this user, which need not be there."""
    return config_folder() / "config.toml"


def shipped() -> dict[str, Path]:
    """The configurations that come with the package, by name."""
    return {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}


def config_of(named: str | None) -> Config:
    """What the environment, a named configuration and the user's own file say.

    Args:
        named: A file, or the name of a shipped configuration; None for neither.

    Raises:
        NotFoundError: `no_config`; InputError: `bad_config`.
    """
    files = [user_file()] if user_file().is_file() else []
    if named is not None:
        files.append(_file(named))
    return load_config(SECTIONS, files, os.environ, ALIASES)


def _file(named: str) -> Path:
    path = Path(os.path.expanduser(named))
    if path.is_file():
        return path
    ours = shipped()
    if named in ours:
        return ours[named]
    near = difflib.get_close_matches(path.stem, ours, n=1)
    hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(ours)}"
    raise NotFoundError("no_config", f"no configuration file is at {named}", hint)


def configured(named: str | None = None, folder: PathLike | None = None) -> Library:
    """A library as a configuration describes it, as the commands open it with `--config`.

        with relook.configured("my.toml") as library:
            session = library.look("dog on a beach")
            answer = library.ask("square.jpg", "Where is this?")

    Args:
        named: A file, or the name of a shipped configuration; the environment and the user's
            own file count below it, and alone when None.
        folder: Of the library; the configured one when None.

    Raises:
        NotFoundError: `no_config`; InputError: `bad_config`; what `Library` raises.
    """
    config = config_of(named)
    encoder = config.settings(EncoderSettings)
    return library_of(
        config,
        folder,
        encoder=None if encoder == EncoderSettings() else encoder,
        captioner=config.settings(CaptionerSettings),
        prompts=config.settings(PromptSettings),
    )


def library_of(config: Config, folder: PathLike | None, **models: Any) -> Library:
    """A library with configured settings.

    Args:
        config: What is configured.
        folder: Of the library; the configured one when None.
        models: Encoder, captioner, prompts and store, which flags may change.
    """
    return Library(
        folder or config.given("library.folder"),
        search=config.settings(SearchSettings),
        limits=config.settings(ImageLimits),
        sessions=config.settings(SessionLimits),
        feedback=config.settings(FeedbackSettings),
        index=config.settings(IndexSettings),
        asking=config,
        **models,
    )
