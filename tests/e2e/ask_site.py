"""A server to ask: titled pictures, a recorded web search, a model here and one elsewhere."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

import relook
from relook.providers import Lookup, Match, MatchKind, Outcome, ProviderResult, Subject
from relook.providers.replay import Recorder
from relook.server import Server, ServerSettings, bind, create_app
from relook.testing import COLOURS, ColourEncoder, solid
from relook.testing.chat_server import ChatServer
from relook.testing.web_server import picture_bytes

FAR = "openai:far@https://api.example.com/v1"
WEB = (
    Match(
        "web", MatchKind.SAME, "Rila", "Wiki",
        page_url="https://wiki.example/rila", text="A monastery.", similarity=0.9,
        thumbnail=picture_bytes(3, 64, 48, "JPEG"),
    ),
    Match("web", MatchKind.PAGE, "green", page_url="javascript:alert(1)", source="a forum"),
)  # fmt: skip


@dataclass
class Asking:
    """A running server, and the chat service behind its model `tiny`."""

    address: str
    chat: ChatServer


class _Web:
    """A provider that knows two pages, to be recorded."""

    name, remote, takes_files, cost_usd, variant = "web", False, True, 0.0, ""

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        return ProviderResult("web", Outcome.FOUND, WEB)

    def close(self) -> None:
        """Nothing."""


@contextmanager
def asking_site(root: Path, chat: ChatServer) -> Iterator[Asking]:
    """Eight titled pictures; the red one is also known to a recorded web search."""
    pictures = root / "pictures"
    pictures.mkdir()
    for colour in COLOURS:
        solid(colour, 96, 64).save(pictures / f"{colour}.png")
    rows = [f"pictures/{colour}.png,The {colour} one" for colour in COLOURS]
    (root / "about.csv").write_text("\n".join(["path,title", *rows]))
    recording = root / "web.jsonl"
    red = Subject.of((pictures / "red.png").read_bytes())
    Recorder(_Web(), recording).find(red, Lookup())
    library = relook.Library(root / "titled", encoder=ColourEncoder())
    library.add(pictures, metadata=root / "about.csv")
    settings = ServerSettings(
        port=0,
        cache=root / "thumbnails",
        ask_models=(f"openai:tiny@{chat.url}", FAR),
        ask_providers=(f"replay:{recording}",),
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RELOOK_CONFIG", str(root / "config"))
        patch.setenv("RELOOK_CACHE", str(root / "cache"))
        patch.setenv("OPENAI_API_KEY", "sk-of-a-test")
        yield from _served(library, settings, chat)


def _served(
    library: relook.Library, settings: ServerSettings, chat: ChatServer
) -> Iterator[Asking]:
    sock = bind(settings)
    server = Server(create_app([library], settings))
    thread = threading.Thread(target=server.run, args=([sock],), name="ask-site")
    thread.start()
    try:
        yield Asking(f"http://127.0.0.1:{sock.getsockname()[1]}", chat)
    finally:
        server.should_exit = True
        thread.join(600)
        sock.close()
