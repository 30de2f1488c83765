"""Server-sent events: from worker threads to the streams that listen. Layer: server.

Source: WHATWG HTML, "Server-sent events".
"""

import asyncio
import json
import threading
import weakref
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from fastapi.responses import StreamingResponse

from relook.serving.pools import busy

_QUEUED = 256


class Channel:
    """What one stream has still to send."""

    def __init__(self, topic: str, loop: asyncio.AbstractEventLoop) -> None:
        self.topic, self.loop = topic, loop
        self.queue: asyncio.Queue[str | None] = asyncio.Queue(_QUEUED)
        self.left = False  # nobody reads it any more

    def put(self, text: str | None) -> None:
        """Adds an event, None for the end; the oldest goes when the reader is too slow."""
        if self.queue.full():
            self.queue.get_nowait()
        self.queue.put_nowait(text)


class Hub:
    """The open streams by topic. `send` may be called from any thread.

    Args:
        n_streams: Streams at once.
    """

    def __init__(self, n_streams: int) -> None:
        self._n_streams = n_streams
        self._channels: weakref.WeakSet[Channel] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._closed = False

    def listen(self, topic: str) -> Channel:
        """A new stream. Called on the event loop.

        Raises:
            OverloadError: when there are too many.
        """
        channel = Channel(topic, asyncio.get_running_loop())
        with self._lock:
            if self._closed or len(self._channels) >= self._n_streams:
                raise busy("too many event streams are open")
            self._channels.add(channel)
        return channel

    def leave(self, channel: Channel) -> None:
        """Ends a stream; a second time is fine."""
        channel.left = True
        with self._lock:
            self._channels.discard(channel)

    def send(self, topic: str, event: str, data: Mapping[str, Any], *, last: bool = False) -> None:
        """Sends an event to every stream of a topic; after the `last` one the streams end."""
        listeners = [channel for channel in self._all() if channel.topic == topic]
        self._put(listeners, _event(event, data), last)

    def close(self) -> None:
        """Ends every stream; closing twice is fine."""
        self._closed = True
        self._put(self._all(), None, False)

    def _all(self) -> list[Channel]:
        with self._lock:
            return list(self._channels)

    def _put(self, channels: list[Channel], text: str | None, last: bool) -> None:
        for channel in channels:
            try:
                channel.loop.call_soon_threadsafe(channel.put, text)
                if last:
                    channel.loop.call_soon_threadsafe(channel.put, None)
            except RuntimeError:  # its loop has ended, and the stream with it
                self.leave(channel)


def event_response(
    hub: Hub, channel: Channel, first: Sequence[tuple[str, Mapping[str, Any]]], keep_alive_s: float
) -> StreamingResponse:
    """An answer that streams a channel.

    Args:
        hub: Where the channel is from.
        channel: What to send.
        first: Events that come before.
        keep_alive_s: Silence after which a comment is sent.
    """

    async def stream() -> AsyncIterator[str]:
        try:
            yield "retry: 2000\n\n" + "".join(_event(name, data) for name, data in first)
            while True:
                try:
                    text = await asyncio.wait_for(channel.queue.get(), keep_alive_s)
                except TimeoutError:
                    text = ": still here\n\n"
                if text is None:
                    return
                yield text
        finally:
            hub.leave(channel)

    return StreamingResponse(stream(), media_type="text/event-stream")


def _event(name: str, data: Mapping[str, Any]) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
