"""Settings for the commands: flags over environment, files and defaults. Layer: cli.

`--config` gives a command's flags other defaults, so a flag that was typed always wins.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relook.app.configured import config_of, library_of
from relook.app.facade import Library
from relook.app.models import check_captioner
from relook.captioners import DEFAULT as DEFAULT_CAPTIONER
from relook.cli.output import print_notes
from relook.core.config_file import Config
from relook.core.settings import CaptionerSettings, EncoderSettings, PromptSettings

if TYPE_CHECKING:
    from relook.app.training import PageCaptions
    from relook.core.progress import ProgressCallback
# Command -> flag -> the key that gives it another default.
_FLAGS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "index": {
            "paths": "library.pictures", "metadata": "library.metadata",
            "batch_size": "index.batch", "hidden": "index.hidden",
            "retry_skipped": "index.retry_skipped",
            "store": "library.store", "ray": "ray.address", "ray_workers": "ray.workers",
        },
        "search": {"limit": "search.limit", "fold": "search.fold", "grammar": "search.grammar"},
        "similar": {"limit": "search.limit"},
        "look": {"limit": "search.limit", "grammar": "search.grammar"},
        "serve": {
            "library": "library.folder", "host": "serve.host", "port": "serve.port",
            "token": "serve.token", "allow_host": "serve.allowed_hosts",
            "allow_folder": "serve.folders", "ask_model": "serve.ask_models",
            "ask_provider": "serve.ask_providers",
        },
        "mcp": {
            "library": "library.folder", "host": "mcp.host", "port": "mcp.port",
            "token": "mcp.token", "allow_host": "mcp.allowed_hosts", "allow_folder": "mcp.folders",
            "ask_model": "mcp.ask_models", "ask_provider": "mcp.ask_providers",
        },
    }
)  # fmt: skip
_SEVERAL = ("library.folder",)  # one value for a flag that may be repeated
_META = "relook.config"


def config_for(context: typer.Context) -> Config:
    """The settings of a command; read once."""
    if _META not in context.meta:
        _read(context, None)
    config: Config = context.meta[_META]
    return config


def _read(context: typer.Context, named: str | None) -> Config:
    context.meta[_META] = config = config_of(named)
    print_notes([f"{name} is set, and no setting is called so" for name in config.strangers])
    return config


def _use(context: typer.Context, named: str | None) -> Config:
    """Gives the command's flags the defaults that the configuration says."""
    config = _read(context, named)
    flags: dict[str, Any] = {}
    for flag, key in _FLAGS.get(context.info_name or "", {}).items():
        value = config.given(key)
        if value not in (None, "", ()):
            flags[flag] = [value] if key in _SEVERAL else value
    context.default_map = flags
    return config


ConfigOption = Annotated[
    Config | None,
    typer.Option(
        "--config", "-c", metavar="FILE|NAME", is_eager=True, parser=str, callback=_use,
        help="Settings from a TOML file, or one that is shipped (relook config list).",
    ),
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class CaptionFlags:
    """What flags say of the captioner; None and False leave it to the configuration."""

    captioner: str | None = None
    prompt: str | None = None
    allow_upload: bool = False
    max_words: int | None = None
    max_tokens: int | None = None

    def applied_to(
        self, captioner: CaptionerSettings, prompts: PromptSettings
    ) -> tuple[CaptionerSettings, PromptSettings]:
        """The configured settings, overridden by the flags.

        A configured prompt belongs to the configured captioner: the built-in one has none.
        """
        if self.captioner:
            captioner = replace(captioner, model=self.captioner)
            if self.captioner == DEFAULT_CAPTIONER:
                prompts = replace(prompts, caption="")
        if self.max_words is not None:
            captioner = replace(captioner, max_words=self.max_words)
        if self.max_tokens is not None:
            captioner = replace(captioner, max_tokens=self.max_tokens)
        if self.allow_upload:
            captioner = replace(captioner, allow_upload=True)
        return captioner, replace(prompts, caption=self.prompt) if self.prompt else prompts


def open_library(
    folder: Path | str | None,
    config: Config | None,
    captions: CaptionFlags | None = None,
    store: str | None = None,
    **encoder: str | None,
) -> Library:
    """A library with configured settings.

    Args:
        folder: As the flag says it.
        config: Of the command; what the environment and the user's file say when None.
        captions: What flags say of the captioner.
        store: Collection for the vectors of a new library.
        encoder: What flags say of the encoder (`model`, `revision`, `device`, `dtype`,
            `tiles`); it wins over the configuration.
    """
    config = config or config_of(None)
    chosen = {name: value for name, value in encoder.items() if value}
    settings = replace(config.settings(EncoderSettings), **chosen)
    captioner, prompts = (captions or CaptionFlags()).applied_to(
        config.settings(CaptionerSettings), config.settings(PromptSettings)
    )
    return library_of(
        config,
        folder,
        # Nothing said leaves the choice to the library, which then need not load its encoder.
        encoder=None if settings == EncoderSettings() else settings,
        captioner=captioner,
        prompts=prompts,
        store=store,
    )


def open_captioned(folder: Path | None, config: Config | None, flags: CaptionFlags) -> Library:
    """As `open_library`, for a command in which boxes are drawn: its captioner can be opened.

    Raises:
        RelookError: when it cannot, so that nobody learns it in the middle of a session.
    """
    config = config or config_of(None)
    check_captioner(
        *flags.applied_to(config.settings(CaptionerSettings), config.settings(PromptSettings))
    )
    return open_library(folder, config, flags)


def page_captions(
    library: Library,
    config: Config | None,
    flags: CaptionFlags,
    progress: ProgressCallback | None = None,
) -> tuple[PageCaptions, str]:
    """What the captioner of a command says of whole pictures, and its name.

    Raises:
        RelookError: when it cannot be opened.
    """
    from relook.app.training import captions_of_pages

    config = config or config_of(None)
    chosen = flags.applied_to(config.settings(CaptionerSettings), config.settings(PromptSettings))
    return captions_of_pages(library, *chosen, progress)
