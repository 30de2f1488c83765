"""Streamable HTTP, behind the guard that `relook serve` has. Layer: mcp."""

from __future__ import annotations

import socket
import sys
from typing import Any

import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.types import ASGIApp

from relook.gateway.guard import Guard
from relook.gateway.listen import bind, uvicorn_config
from relook.mcp.mcp_settings import McpSettings

__all__ = ["PATH", "http_app", "http_server", "run_http"]

PATH = "/mcp"


def http_app(server: MCPServer[Any], settings: McpSettings) -> ASGIApp:
    """The ASGI application: Host, Origin, token, size and pace are checked before the protocol.

    The SDK's own checks are off: they know neither further names nor tokens, and two sets of
    rules would be one too many to reason about.
    """
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=settings.server().body_bytes,
        transport_security=TransportSecuritySettings(enable_dns_rebinding_protection=False),
    )
    return Guard(app, settings.server())


def http_server(server: MCPServer[Any], settings: McpSettings) -> uvicorn.Server:
    """What serves the application on a socket of `relook.server.bind`."""
    return uvicorn.Server(uvicorn_config(http_app(server, settings), settings.server()))


def run_http(server: MCPServer[Any], settings: McpSettings) -> None:
    """Serves until Ctrl-C; says on stderr where.

    Raises:
        InputError: `port_taken`.
    """
    with bind(settings.server()) as sock:
        _say(settings, sock)
        http_server(server, settings).run([sock])


def _say(settings: McpSettings, sock: socket.socket) -> None:
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    sys.stderr.write(f"Relook's MCP server is at http://{host}:{sock.getsockname()[1]}{PATH}\n")
    if settings.token:
        sys.stderr.write(f"Requests show: Authorization: Bearer {settings.token}\n")
