"""`relook serve`: the page and the API. Layer: cli."""

from __future__ import annotations

import importlib
import secrets
import sys
import webbrowser
from pathlib import Path
from typing import Annotated, Any

import typer

from relook.app.configured import config_of
from relook.cli.ask import asking_of
from relook.cli.config_flags import CaptionFlags, ConfigOption, open_captioned
from relook.cli.options import (
    AllowHostOption,
    AskModelOption,
    AskProviderOption,
    BoxUploadOption,
    CaptionerOption,
    CaptionPromptOption,
    LibrariesOption,
    MaxTokensOption,
    MaxWordsOption,
    TokenOption,
)
from relook.core.registry import import_extra
from relook.gateway.server_settings import ServerSettings

__all__ = ["serve"]

_DEFAULTS = ServerSettings()


def serve(
    library: LibrariesOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = _DEFAULTS.host,
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = _DEFAULTS.port,
    token: TokenOption = None,
    allow_host: AllowHostOption = None,
    allow_folder: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Pictures below may be indexed from the page. Repeatable."
        ),
    ] = None,
    ask_model: AskModelOption = None,
    ask_provider: AskProviderOption = None,
    captioner: CaptionerOption = None,
    prompt: CaptionPromptOption = None,
    max_words: MaxWordsOption = None,
    max_tokens: MaxTokensOption = None,
    allow_upload: BoxUploadOption = False,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
    config: ConfigOption = None,
) -> None:  # fmt: skip
    """Search, mark and look again in a browser; the same as a REST API for programs."""
    server = _server_package()
    local = server.is_loopback(host)
    overrides = {
        "host": host, "port": port, "allowed_hosts": tuple(allow_host or ()),
        "folders": tuple(allow_folder or ()),
        "ask_models": tuple(ask_model or ()), "ask_providers": tuple(ask_provider or ()),
        "token": token if token or local else secrets.token_urlsafe(24),
    }  # fmt: skip
    settings = server.ServerSettings(
        **{**(config or config_of(None)).section("serve"), **overrides}
    )
    sock = server.bind(settings)
    try:
        captions = CaptionFlags(captioner, prompt, allow_upload, max_words, max_tokens)
        folders = [open_captioned(folder, config, captions) for folder in library or ()]
        libraries = folders or [open_captioned(None, config, captions)]
        app = server.create_app(libraries, settings, asking=asking_of(config))
        _run(server.Server(app), sock, _address(settings, sock.getsockname()[1]), open_page)
    finally:
        sock.close()


def _run(server: Any, sock: Any, address: str, open_page: bool) -> None:
    """Serves until Ctrl-C, then closes the libraries."""
    sys.stdout.write(f"Relook is at {address}\nPress Ctrl-C to stop.\n")
    sys.stdout.flush()
    if open_page:
        webbrowser.open(address)
    try:
        server.run([sock])
    except KeyboardInterrupt:
        pass  # uvicorn raises it again after a clean shutdown
    finally:
        server.config.app.state.relook.close()


def _server_package() -> Any:
    """The server's names, imported only here: `relook search` does without FastAPI.

    Raises:
        MissingExtraError: when the extra is not installed.
    """
    import_extra("relook.server.app", "relook serve", "serve")
    return importlib.import_module("relook.server")


def _address(settings: ServerSettings, port: int) -> str:
    """What a person opens; a server on every address is opened on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    token = f"/?token={settings.token}" if settings.token else "/"
    return f"http://{host}:{port}{token}"
