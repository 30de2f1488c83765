"""`relook serve` and `relook mcp`: libraries for people, programs and agents. Layer: cli."""

import importlib
import os
import secrets
import shlex
import signal
import sys
import webbrowser
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from relook.app.configured import config_of
from relook.app.facade import Library
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
from relook.core.errors import InputError
from relook.core.registry import import_extra
from relook.core.settings import CaptionerSettings, PromptSettings
from relook.gateway.server_settings import ServerSettings, is_loopback
from relook.library.manifest import Manifest
from relook.mcp.mcp_settings import McpSettings

_DEFAULTS = ServerSettings()


def serve(
    context: typer.Context,
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
    tls: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="CERT KEY", help="Serve https with a certificate and its key (PEM)."),
    ] = None,
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
    if tls:
        overrides |= {"tls_cert": tls[0], "tls_key": tls[1]}
    settings = server.ServerSettings(
        **{**(config or config_of(None)).section("serve"), **overrides}
    )
    sock = _listening(server, settings, is_chosen=_is_chosen(context, "port"))
    try:
        captions = CaptionFlags(captioner, prompt, allow_upload, max_words, max_tokens)
        folders = [open_captioned(folder, config, captions) for folder in library or ()]
        libraries = folders or [open_captioned(None, config, captions)]
        for library_opened in libraries:
            _announce_new(library_opened)
        app = server.create_app(libraries, settings, asking=asking_of(config))
        _run(server.Server(app), sock, _address(settings, sock.getsockname()[1]), open_page)
    finally:
        sock.close()


def _is_chosen(context: typer.Context, option: str) -> bool:
    """Whether a flag or a configuration says it."""
    source = context.get_parameter_source(option)
    return source is not None and source.name != "DEFAULT"


def _listening(server: Any, settings: ServerSettings, *, is_chosen: bool) -> Any:
    """The listening socket; on a free port where the usual one is taken and was not asked for.

    Raises:
        InputError: `port_taken` where the port was chosen.
    """
    try:
        return server.bind(settings)
    except InputError as error:
        if error.code != "port_taken" or is_chosen:
            raise
        sys.stderr.write(f"note: {error.message}; this server takes another port\n")
        return server.bind(replace(settings, port=0))


def _announce_new(library: Library) -> None:
    """A folder without a library may be a mistyped name: it is said, and made all the same."""
    if not Manifest.exists(library.folder):
        sys.stderr.write(
            f"note: {library.folder} is a new library, and empty; add pictures on the page, or"
            f" run: relook index FOLDER --library {shlex.quote(str(library.folder))}\n"
        )


def _run(server: Any, sock: Any, address: str, open_page: bool) -> None:
    """Serves until Ctrl-C, then closes the libraries."""
    sys.stdout.write(f"Relook is at {address}\n")
    if server.config.app.state.relook.people.may_be_there():
        sys.stdout.write(f"People sign in at {address.partition('?')[0]} (relook user list)\n")
    sys.stdout.write("Press Ctrl-C to stop.\n")
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
    scheme = "https" if settings.tls_cert else "http"
    return f"{scheme}://{host}:{port}{token}"


_MCP_DEFAULTS = McpSettings()


def mcp(
    library: LibrariesOption = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve streamable HTTP instead of stdin and stdout.")
    ] = False,
    host: Annotated[
        str, typer.Option(help="Address to listen on, with --http.")
    ] = _MCP_DEFAULTS.host,
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="With --http; 0: a free one.")
    ] = _MCP_DEFAULTS.port,
    token: TokenOption = None,
    allow_host: AllowHostOption = None,
    allow_folder: Annotated[
        list[Path] | None,
        typer.Option(metavar="DIR", help="An agent may name pictures below it. Repeatable."),
    ] = None,
    ask_model: AskModelOption = None,
    ask_provider: AskProviderOption = None,
    captioner: CaptionerOption = None,
    prompt: CaptionPromptOption = None,
    max_words: MaxWordsOption = None,
    max_tokens: MaxTokensOption = None,
    allow_upload: Annotated[
        bool,
        typer.Option(
            "--allow-upload",
            help="Pictures may be sent to the models, providers and captioner named here."
            " Without it nothing leaves this machine, whatever an agent asks.",
        ),
    ] = False,
    config: ConfigOption = None,
) -> None:  # fmt: skip
    """Serve libraries to agents over the Model Context Protocol."""
    package = _mcp_package()
    made_up = secrets.token_urlsafe(24) if http and not is_loopback(host) else None
    overrides = {
        "host": host, "port": port, "token": token or made_up,
        "allowed_hosts": tuple(allow_host or ()), "folders": tuple(allow_folder or ()),
        "ask_models": tuple(ask_model or ()), "ask_providers": tuple(ask_provider or ()),
    }  # fmt: skip
    settings = McpSettings(**{**(config or config_of(None)).section("mcp"), **overrides})
    captions = _AgentFlags(captioner, prompt, allow_upload, max_words, max_tokens)
    libraries = [open_captioned(folder, config, captions) for folder in library or ()]
    libraries = libraries or [open_captioned(None, config, captions)]
    asking = asking_of(config)
    state = package.McpState(libraries, settings, asking=asking, allow_upload=allow_upload)
    try:
        state.warm_up()
        server = package.create_server(state)
        if http:
            package.run_http(server, settings)
        else:
            _leave_on_signals(state)
            server.run("stdio")
    except KeyboardInterrupt:
        pass  # uvicorn raises it again after a clean shutdown
    finally:
        state.close()


class _AgentFlags(CaptionFlags):
    """Only the flag agrees to uploads: a configuration was agreed to for a person's own boxes."""

    def applied_to(
        self, captioner: CaptionerSettings, prompts: PromptSettings
    ) -> tuple[CaptionerSettings, PromptSettings]:
        captioner, prompts = super().applied_to(captioner, prompts)
        return replace(captioner, allow_upload=self.allow_upload), prompts


def _leave_on_signals(state: Any) -> None:
    """Ends the process on Ctrl-C: the thread that waits for the next line cannot be woken.

    A Ctrl-C that is ignored stays so, as everywhere.
    """

    def leave(number: int, _: object) -> None:
        state.close()
        os._exit(128 + number)

    signal.signal(signal.SIGTERM, leave)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, leave)


def _mcp_package() -> Any:
    """The server's names, imported only here: `relook search` does without the SDK.

    Raises:
        MissingExtraError: when the extra is not installed.
    """
    import_extra("relook.mcp.server", "relook mcp", "mcp")
    return importlib.import_module("relook.mcp")
