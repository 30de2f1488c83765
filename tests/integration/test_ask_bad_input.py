"""What people ask about by mistake: a clear answer each, and nothing is sent without consent."""

import io
from collections.abc import Callable, Iterator

import pytest
from ask_parts import own_config  # noqa: F401 -- a fixture
from openai_server import chat_server, say
from PIL import Image, ImageDraw

import relook
from relook.answerers.evidence_only import EvidenceOnlyAnswerer
from relook.core.errors import RelookError
from relook.core.settings import EvidenceSettings, WebLimits
from relook.providers.base import Lookup, Outcome, ProviderResult, Subject
from relook.providers.match import Match, MatchKind
from relook.rag.asker import Asker
from relook.rag.fetching import subject_at
from relook.rag.lookup import Gatherer
from relook.testing import ColourEncoder, noise, solid
from relook.testing.web_server import Reply, WebServer, serving

pytestmark = pytest.mark.usefixtures("own_config")


def file_of(image: Image.Image, form: str = "PNG", **more: object) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **more)  # type: ignore[arg-type]
    return out.getvalue()


def screenshot() -> bytes:
    image = Image.new("RGB", (400, 300), "white")
    for line in range(12):
        ImageDraw.Draw(image).text((10, 24 * line), f"Settings  File  line {line}", fill="black")
    return file_of(image)


def animated(form: str) -> bytes:
    frames = [solid("red", 32, 32), solid("blue", 32, 32), solid("green", 32, 32)]
    return file_of(frames[0], form, save_all=True, append_images=frames[1:], duration=50)


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[relook.Library]:
    folder = tmp_path_factory.mktemp("bad")
    for name in ("blue", "green"):
        solid(name, 90, 60).save(folder / f"{name}.png")
    noise(3, 200, 150).save(folder / "noise.png")
    with relook.Library(folder / "library", encoder=ColourEncoder()) as opened:
        opened.add(folder)
        yield opened


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda: file_of(solid("blue", 300, 300)), ("of one colour",)),
        (lambda: file_of(solid("blue", 300, 300), "JPEG"), ("of one colour",)),
        (lambda: file_of(Image.new("RGB", (1, 1), "red")), ("1 x 1 pixels",)),
        (lambda: file_of(Image.new("LA", (3, 1))), ("3 x 1 pixels",)),
        (screenshot, ()),
        (lambda: animated("GIF"), ("of one colour", "picture moves")),
        (lambda: animated("PNG"), ("of one colour", "picture moves")),
        (lambda: animated("WEBP"), ("of one colour", "picture moves")),
        (lambda: animated("AVIF"), ("of one colour", "picture moves")),
    ],
    ids=[
        "one-colour",
        "one-JPEG",
        "1x1",
        "grey-and-clear",
        "screenshot",
        "GIF",
        "APNG",
        "WebP",
        "AVIF",
    ],
)
def test_a_picture_that_shows_nothing_is_answered_and_is_no_other_picture(
    library: relook.Library, made: Callable[[], bytes], told: tuple[str, ...]
) -> None:
    answer = library.ask(made(), "What is this?")
    about_it = [note for note in answer.evidence.notes if note.startswith("the picture ")]
    assert len(about_it) == len(told)
    assert all(words in note for words, note in zip(told, about_it, strict=True))
    assert answer.text
    assert "The question needs a model" in answer.text
    assert answer.sent == ()
    assert not any(
        item.match.verified is not None and item.match.verified.is_same_picture
        for item in answer.evidence
    )
    with chat_server(say("A plain picture.")) as chat:
        model = f"openai:tiny@{chat.url}"
        assert library.ask(made(), "What is this?", model=model).text == "A plain picture."
        assert len(chat.pictures()) == 1


@pytest.fixture(scope="module")
def site() -> Iterator[WebServer]:
    with serving() as running:
        running.replies["/page.html"] = Reply(b"<html>no picture")
        yield running


@pytest.mark.parametrize(
    ("path", "private_ok", "code"),
    [
        ("/gone.png", True, "http_status"),
        ("/page.html", True, "not_an_image"),
        ("/page.html", False, "private_address"),
    ],
)
def test_an_address_without_a_picture_says_so(
    site: WebServer, path: str, private_ok: bool, code: str
) -> None:
    """One that leads inside by a redirect is refused as `test_web_fetch` has it."""
    with pytest.raises(RelookError) as caught:
        subject_at(site.address + path, WebLimits(private_ok=private_ok))
    assert caught.value.code == code
    assert caught.value.hint


class Flood:
    """Answers with ten thousand matches, though it was asked for ten."""

    name, remote, takes_files, cost_usd, variant = "flood", False, True, 0.0, ""

    def find(self, subject: Subject, lookup: Lookup) -> ProviderResult:
        matches = tuple(
            Match("flood", MatchKind.SIMILAR, f"Some Name {at % 7}, and more " * 200, rank=at,
                  page_url=f"https://{at}.example/")
            for at in range(10_000)
        )  # fmt: skip
        return ProviderResult("flood", Outcome.FOUND, matches)

    def close(self) -> None:
        """Nothing to free."""


def test_a_provider_that_answers_with_ten_thousand_matches_is_bounded() -> None:
    with Gatherer({"flood": Flood()}, evidence=EvidenceSettings(thumbnails=True)) as gatherer:
        asker = Asker(EvidenceOnlyAnswerer(), gatherer)
        answer = asker.ask(Subject.of(file_of(solid("red"))), "What is this?")
    assert len(answer.evidence) == 8
    assert len(answer.text) < 4000
    assert len(answer.evidence.candidates) <= 8
