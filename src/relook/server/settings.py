"""What a server may be told when it starts; every default once. Layer: server."""

from __future__ import annotations

import ipaddress
import os
import socket
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs

from relook.core.errors import InputError

__all__ = ["ServerSettings", "is_loopback"]

_MEGABYTE = 1024**2
_MIN_TOKEN = 16


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server listens and what it takes.

    Args:
        host, port: Where it listens; port 0 takes a free one.
        token: What every request must show; needed beyond loopback.
        allowed_hosts: Further names in the Host header that are ours.
        folders: Folders below which pictures may be indexed on request, besides those that
            the libraries were made of.
        cache: Folder of the thumbnails.
        cache_bytes: How large it may become.
        n_workers: Requests that are worked on at once, each pool.
        n_waiting: Requests that may wait for a worker, each pool.
        timeout_s: How long a request may take with its wait.
        body_bytes, picture_bytes, upload_bytes: Largest body of a JSON request, of one with
            a picture or a session file, and of an upload of many pictures.
        n_events: Event streams at once.
        keep_alive_s: Pause after which a silent event stream sends a comment.

    Raises:
        InputError: `token_needed` beyond loopback without a good one.
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token: str | None = field(default=None, repr=False)
    allowed_hosts: tuple[str, ...] = ()
    folders: tuple[Path, ...] = ()
    cache: Path = field(
        default_factory=lambda: platformdirs.user_cache_path("relook", False) / "thumbnails"
    )
    cache_bytes: int = 512 * _MEGABYTE
    n_workers: int = field(default_factory=lambda: max(os.cpu_count() or 1, 2))
    n_waiting: int = 256
    timeout_s: float = 30.0
    body_bytes: int = _MEGABYTE
    picture_bytes: int = 64 * _MEGABYTE
    upload_bytes: int = 1024 * _MEGABYTE
    n_events: int = 64
    keep_alive_s: float = 15.0

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < _MIN_TOKEN:
            raise InputError(
                "token_needed",
                f"the token has {len(self.token)} characters",
                f"give one of at least {_MIN_TOKEN}, or leave it out on this machine",
            )
        if self.token is None and not is_loopback(self.host):
            raise InputError(
                "token_needed",
                f"{self.host} can be reached from other machines, and there is no token",
                "give --token, or listen on 127.0.0.1",
            )

    def is_our_host(self, host: str) -> bool:
        """Whether a Host header's name (without its port) is this server's."""
        name = host.lower().rstrip(".")
        if is_loopback(self.host) and is_loopback(name):
            return True
        if name in {self.host.lower(), *(one.lower() for one in self.allowed_hosts)}:
            return True
        if is_loopback(self.host):
            return False
        # Rebinding needs a name: an address in the Host header was typed by somebody.
        own = socket.gethostname().lower()
        return _is_address(name) or name in {"localhost", own, f"{own}.local"}


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a host of this name."""
    if host.lower() == "localhost":
        return True
    return _is_address(host) and ipaddress.ip_address(host.strip("[]")).is_loopback


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
