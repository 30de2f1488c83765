"""Connections, without a network: when one that was refused is used again."""

import asyncio
from typing import Any

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from relook.gateway import listen
from relook.gateway.server_settings import ServerSettings

HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n"


class Wire(asyncio.Transport):
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.written, self.ended = b"", False

    def write(self, data: Any) -> None:
        self.written += bytes(data)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def is_closing(self) -> bool:
        return self.ended

    def close(self) -> None:
        self.ended = True

    abort = close

    def pause_reading(self) -> None:
        pass

    resume_reading = pause_reading


async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers before it has read the body."""
    await send({"type": "http.response.start", "status": 413, "headers": []})
    await send({"type": "http.response.body", "body": b"no"})


async def refused(first: bytes) -> tuple[Any, Wire]:
    config = listen.uvicorn_config(refuse, ServerSettings())
    config.load()
    protocol = config.http_protocol_class(config, server_state=ServerState(), app_state={})
    wire = Wire()
    protocol.connection_made(wire)
    protocol.data_received(HEAD + first)
    while not protocol.cycle.response_complete:
        await asyncio.sleep(0)
    return protocol, wire


def soon(protocol: Any) -> bool:
    """Whether the connection is about to be cut as one that never ends its refused body."""
    timer = protocol._timer
    loop = asyncio.get_running_loop()
    return timer is not None and timer.when() - loop.time() <= listen._REFUSED_S


@pytest.mark.parametrize("pieces", [(b"0123456789",), (b"01234", b"56789"), (b"", b"0123456789")])
def test_a_refused_request_that_ends_leaves_the_connection_to_the_next(
    pieces: tuple[bytes, ...],
) -> None:
    async def play() -> None:
        protocol, wire = await refused(pieces[0])
        for piece in pieces[1:]:
            assert soon(protocol)
            protocol.data_received(piece)
        assert not soon(protocol)
        assert not wire.ended
        protocol.connection_lost(None)

    asyncio.run(play())


def test_a_refused_body_that_does_not_end_is_cut_off_soon() -> None:
    async def play() -> None:
        protocol, wire = await refused(b"01")
        protocol.data_received(b"2")
        assert soon(protocol)
        assert not wire.ended
        protocol.connection_lost(None)

    asyncio.run(play())
