"""The HTTP server: the page and the versioned REST API. Layer: server.

The core stays synchronous: requests run in bounded thread pools, and only the edge is
asynchronous. Everything a stranger may send is checked here: who asks (`guard`), how much
(`guard`, `work`), and what it names (`queries`, `pictures`, `uploads`, `state`).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relook.server.app import create_app
    from relook.server.listen import bind
    from relook.server.run import Server
    from relook.server.settings import ServerSettings, is_loopback

__all__ = ["Server", "ServerSettings", "bind", "create_app", "is_loopback"]

# Its settings are read where FastAPI is not installed, so the rest is imported on first use.
_HOMES = {
    "Server": "run",
    "ServerSettings": "settings",
    "bind": "listen",
    "create_app": "app",
    "is_loopback": "settings",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relook.server' has no attribute {name!r}")
    return getattr(importlib.import_module(f"relook.server.{_HOMES[name]}"), name)
