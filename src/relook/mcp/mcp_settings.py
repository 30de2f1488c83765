"""The settings that `relook mcp` starts with; every default once. Layer: mcp."""

from dataclasses import dataclass
from pathlib import Path

from relook.core.settings import setting
from relook.gateway.server_settings import ServerSettings

_KILOBYTE = 1024


@dataclass(frozen=True, slots=True)
class McpSettings:
    """How agents are served, and how much they get at once.

    Raises:
        InputError: `token_needed` beyond loopback without a good one.
    """

    host: str = setting("127.0.0.1", "address to listen on, with --http")
    port: int = setting(8766, "port to listen on, with --http; 0 takes a free one", low=0)
    token: str | None = setting(
        None, "what every request must show; needed beyond this machine", secret=True
    )
    allowed_hosts: tuple[str, ...] = setting((), "further names that this server is called")
    folders: tuple[Path, ...] = setting(
        (), "folders whose picture files an agent may name, besides the libraries' own"
    )
    ask_models: tuple[str, ...] = setting((), "models that questions may name, besides the default")
    ask_providers: tuple[str, ...] = setting((), "providers that they may name, besides library")
    picture_px: int = setting(512, "longest side of a shown picture when nobody says", low=64)
    picture_bytes: int = setting(
        256 * _KILOBYTE, "largest shown picture; a larger one is made smaller", low=16 * _KILOBYTE
    )
    n_pictures: int = setting(8, "pictures shown at once at most", low=1)
    timeout_s: float = setting(120.0, "seconds that a call may take; questions have theirs", low=1)

    def __post_init__(self) -> None:
        self.server()

    def server(self) -> ServerSettings:
        """The same rules for the guard that `relook serve` has."""
        return ServerSettings(
            host=self.host, port=self.port, token=self.token, allowed_hosts=self.allowed_hosts
        )
