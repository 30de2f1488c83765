"""Progress from a worker's thread to the agent. Layer: mcp."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from typing import Any

from mcp.server.mcpserver import Context

__all__ = ["Telling"]


class Telling:
    """Tells how far a call is; nobody hears of it unless the client asked to.

    Made on the event loop, called from any thread.

    Args:
        ctx: Of the call.
    """

    def __init__(self, ctx: Context[Any, Any]) -> None:
        self._ctx, self._loop = ctx, asyncio.get_running_loop()
        self._sent: list[Future[None]] = []

    def __call__(self, done: float, total: float | None, message: str) -> None:
        """One step: how much of how much is done, and what goes on."""
        told = self._ctx.report_progress(done, total, message)
        self._sent.append(asyncio.run_coroutine_threadsafe(told, self._loop))

    async def settled(self) -> None:
        """Waits until everything told has gone out, so that none follows the result."""
        # A client that went away hears nothing; that is no fault of the call's.
        await asyncio.gather(*map(asyncio.wrap_future, self._sent), return_exceptions=True)
