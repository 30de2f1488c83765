"""`relook mcp`: a library for agents, over the Model Context Protocol. Layer: mcp.

Tools, resources and the two transports; what they answer is what `--json` prints. It shares with
the page's server who may ask over HTTP (`relook.gateway`) and the open libraries
(`relook.serving`), and needs neither FastAPI nor a page.

Source: the Model Context Protocol specification, as the package `mcp` 2 implements it.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from relook.mcp.mcp_settings import McpSettings
    from relook.mcp.mcp_state import McpState
    from relook.mcp.server import create_server, http_server, run_http

__all__ = ["McpSettings", "McpState", "create_server", "http_server", "run_http"]

# Its settings are read where the SDK is not installed, so the rest is imported on first use.
_HOMES = {
    "McpSettings": "mcp_settings",
    "McpState": "mcp_state",
    "create_server": "server",
    "http_server": "server",
    "run_http": "server",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'relook.mcp' has no attribute {name!r}")
    return getattr(importlib.import_module(f"relook.mcp.{_HOMES[name]}"), name)
