"""The settings that a server starts with; every default once. Layer: gateway."""

import ipaddress
import os
import socket
import ssl
from dataclasses import dataclass
from pathlib import Path

from relook.core.errors import InputError
from relook.core.settings import setting
from relook.core.user_folders import cache_folder, config_folder

_MEGABYTE = 1024**2
_MIN_TOKEN = 16


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """How a server listens and what it takes.

    Raises:
        InputError: `token_needed` beyond loopback without a good one.
    """

    host: str = setting("127.0.0.1", "address to listen on")
    port: int = setting(8765, "port to listen on; 0 takes a free one", low=0)
    token: str | None = setting(
        None, "what every request must show; needed beyond this machine", secret=True
    )
    people: Path = setting(
        lambda: config_folder() / "people.sqlite3",
        "file of the people who may sign in (relook user)", shown="in the user's settings folder",
    )  # fmt: skip
    allowed_hosts: tuple[str, ...] = setting((), "further names that this server is called")
    tls_cert: Path | None = setting(None, "certificate (PEM) to serve https with")
    tls_key: Path | None = setting(None, "its private key (PEM), when the certificate has none")
    folders: tuple[Path, ...] = setting(
        (), "folders below which pictures may be indexed from the page, besides the libraries' own"
    )
    home: bool = setting(
        True, "on this machine alone, pictures below the home folder may be indexed from the page"
    )
    cache: Path = setting(
        lambda: cache_folder() / "thumbnails",
        "folder of the thumbnails", shown="the user's cache folder",
    )  # fmt: skip
    cache_bytes: int = setting(512 * _MEGABYTE, "largest size of that folder", low=0)
    n_workers: int = setting(
        lambda: max(os.cpu_count() or 1, 2),
        "requests that are worked on at once, each pool", low=1, shown="one a core, at least 2",
    )  # fmt: skip
    n_waiting: int = setting(256, "requests that may wait for a worker, each pool", low=0)
    timeout_s: float = setting(30.0, "seconds that a request may take with its wait", low=0)
    body_bytes: int = setting(_MEGABYTE, "largest JSON request", low=1)
    picture_bytes: int = setting(
        64 * _MEGABYTE, "largest request with a picture or a session file", low=1
    )
    upload_bytes: int = setting(1024 * _MEGABYTE, "largest upload of many pictures", low=1)
    n_uploads: int = setting(16, "requests with pictures or files that are taken at once", low=1)
    n_connections: int = setting(1000, "connections at once; more are told to come back", low=1)
    ask_models: tuple[str, ...] = setting((), "models that questions may name, besides the default")
    ask_providers: tuple[str, ...] = setting((), "providers that they may name, besides library")
    n_events: int = setting(256, "event streams at once", low=1)
    keep_alive_s: float = setting(15.0, "seconds of silence after which a stream says so", low=1)

    def __post_init__(self) -> None:
        if self.token is not None and len(self.token) < _MIN_TOKEN:
            raise InputError(
                "token_needed",
                f"the token has {len(self.token)} characters",
                f"give one of at least {_MIN_TOKEN}, or leave it out on this machine",
            )
        _check_tls(self.tls_cert, self.tls_key)
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
        if name in {self.host.lower(), *(allowed.lower() for allowed in self.allowed_hosts)}:
            return True
        if is_loopback(self.host):
            return False
        # Rebinding needs a name: an address in the Host header was typed by somebody.
        own = socket.gethostname().lower()
        return _is_address(name) or name in {"localhost", own, f"{own}.local"}


def _check_tls(cert: Path | None, key: Path | None) -> None:
    """Reads both files once, so that a mistake is told before anything is served.

    Raises:
        InputError: `bad_certificate`.
    """
    if cert is None and key is None:
        return
    try:
        if cert is None:
            raise OSError("a key is given, and no certificate")
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key, password="")
    except OSError as error:  # ssl.SSLError is one
        raise InputError(
            "bad_certificate",
            f"cannot serve https with {cert} and {key}: {error.strerror or error}",
            "give a certificate and its private key as PEM files, without a pass phrase",
        ) from error


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
