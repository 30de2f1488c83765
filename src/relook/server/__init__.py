"""The HTTP server: the page and the versioned REST API. Layer: server.

The core stays synchronous: requests run in bounded thread pools, and only the edge is
asynchronous. Everything a stranger may send is checked here: who asks (`guard`), how much
(`guard`, `work`), and what it names (`queries`, `pictures`, `uploads`, `state`).
"""

from __future__ import annotations

from relook.server.app import create_app
from relook.server.run import Server, bind
from relook.server.settings import ServerSettings, is_loopback

__all__ = ["Server", "ServerSettings", "bind", "create_app", "is_loopback"]
