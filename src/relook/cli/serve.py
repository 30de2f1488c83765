"""`relook serve`: the page and the API. Layer: cli."""

from __future__ import annotations

import secrets
import sys
import webbrowser
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relook.app.facade import Library
from relook.core.errors import MissingExtraError

if TYPE_CHECKING:
    from relook.server.settings import ServerSettings

__all__ = ["serve"]


def serve(
    library: Annotated[
        list[Path] | None,
        typer.Option("--library", "-l", metavar="DIR", help="Library folder. Repeatable."),
    ] = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0: a free one.")] = 8765,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="RELOOK_TOKEN", show_envvar=True,
            help="What requests must show; made up beyond this machine when not given.",
        ),
    ] = None,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Another name that this server is called. Repeatable."),
    ] = None,
    allow_folder: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="DIR", help="Pictures below may be indexed from the page. Repeatable."
        ),
    ] = None,
    open_page: Annotated[
        bool, typer.Option("--open/--no-open", help="Open the page in a browser.")
    ] = True,
) -> None:  # fmt: skip
    """Search, mark and look again in a browser; the same as a REST API for programs."""
    server = _server_package()
    local = server.is_loopback(host)
    settings = server.ServerSettings(
        host=host, port=port, token=token if token or local else secrets.token_urlsafe(24),
        allowed_hosts=tuple(allow_host or ()), folders=tuple(allow_folder or ()),
    )  # fmt: skip
    sock = server.bind(settings)
    try:
        libraries = [Library(folder) for folder in library] if library else [Library()]
        app = server.create_app(libraries, settings)
        address = _address(settings, sock.getsockname()[1])
        sys.stdout.write(f"Relook is at {address}\nPress Ctrl-C to stop.\n")
        sys.stdout.flush()
        if open_page:
            webbrowser.open(address)
        try:
            server.Server(app).run([sock])
        except KeyboardInterrupt:
            pass  # uvicorn raises it again after a clean shutdown
        finally:
            app.state.relook.close()
    finally:
        sock.close()


def _server_package() -> Any:
    """The server's names, imported only here: `relook search` does without FastAPI.

    Raises:
        MissingExtraError: when the extra is not installed.
    """
    try:
        import relook.server
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] == "relook":
            raise
        raise MissingExtraError(
            "missing_extra",
            f"relook serve needs the package {error.name!r}",
            "pip install 'relook[serve]'",
        ) from error
    return relook.server


def _address(settings: ServerSettings, port: int) -> str:
    """What a person opens; a server on every address is opened on this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(settings.host, settings.host)
    host = f"[{host}]" if ":" in host and not host.startswith("[") else host
    token = f"/?token={settings.token}" if settings.token else "/"
    return f"http://{host}:{port}{token}"
