"""The HTTP server: the page and the versioned REST API. Layer: server.

The core stays synchronous: requests run in bounded thread pools, and only the edge is
asynchronous. Everything a stranger may send is checked here: who asks (`guard`), how much
(`guard`, `work`), and what it names (`queries`, `pictures`, `uploads`, `state`).
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relook.gateway.listen import bind
    from relook.gateway.server_settings import ServerSettings, is_loopback
    from relook.server.app import Server, create_app

__all__ = ["Server", "ServerSettings", "bind", "create_app", "is_loopback"]

# Its settings are read where FastAPI is not installed, so the rest is imported on first use.
_HOMES = {
    "Server": "server.app",
    "ServerSettings": "gateway.server_settings",
    "bind": "gateway.listen",
    "create_app": "server.app",
    "is_loopback": "gateway.server_settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relook.server' has no attribute {name!r}")
    return getattr(importlib.import_module(f"relook.{_HOMES[name]}"), name)
