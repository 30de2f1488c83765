"""A provider that answers as told, and pictures to ask about."""

import io
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.providers.match import Match, MatchKind, Sent
from relook.testing import solid

TITLES = ("Rila Monastery, Bulgaria", "The Rila Monastery in 2014", "A church in Sofia")


def png(colour: str = "red") -> bytes:
    out = io.BytesIO()
    solid(colour, 64, 48).save(out, "PNG")
    return out.getvalue()


def local() -> Subject:
    return Subject.of(png(), name="red.png")


def public() -> Subject:
    return Subject.of(png(), url="https://pictures.example.org/red.png", name="red.png")


def matches(*titles: str) -> tuple[Match, ...]:
    return tuple(
        Match("fake", MatchKind.PAGE, title, page_url=f"https://{at}.example/", rank=at)
        for at, title in enumerate(titles)
    )


@dataclass
class FakeProvider:
    """Finds the same every time, and counts how often it was asked."""

    name: str = "fake"
    titles: tuple[str, ...] = TITLES
    remote: bool = False
    takes_files: bool = True
    cost_usd: float = 0.0
    variant: str = ""
    screenshot: bytes | None = None
    hold: threading.Event | None = None
    asked: list[Subject] = field(default_factory=list)

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        self.asked.append(subject)
        if self.hold is not None:
            assert self.hold.wait(600)
        found = matches(*self.titles)
        outcome = Outcome.FOUND if found else Outcome.NOTHING
        sent = (Sent("fake.example", 10, "the picture"),) if self.remote else ()
        return ProviderResult(self.name, outcome, found, sent=sent, screenshot=self.screenshot)

    def close(self) -> None:
        pass


@pytest.fixture
def own_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Consent and recorded answers of this test only; no key and no model of the environment."""
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "RELOOK_MODEL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "config"))
    monkeypatch.setenv("RELOOK_CACHE", str(tmp_path / "cache"))
    return tmp_path / "config"
