"""A real server over small libraries, and Debian's Chromium driving the page."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

import relook
from relook.core.errors import RelookError
from relook.core.types import Box, WrittenWord
from relook.library.text_table import TextTable
from relook.readers import TextLine
from relook.server import Server, ServerSettings, bind, create_app
from relook.server.folders import FileManager
from relook.testing import COLOURS, ColourEncoder, noise, patched, solid

sys.path.append(str(Path(__file__).parents[1] / "integration"))
from video_files import film

# The first does a third of the work: it has no window.
BROWSERS = (
    "chromium-headless-shell",
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
PATIENCE_MS = 180_000  # ends a hang; no test judges speed by it
expect.set_options(timeout=PATIENCE_MS)
SHAPES = ((300, 200), (200, 300), (240, 240), (400, 220))
CAPTION = "a bright patch"
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation", (event) =>
  window.violations.push(`${event.violatedDirective}: ${event.blockedURI}`));
"""

# A green picture, given to the page as the clipboard or a file manager would: [how, onto].
GIVE = """async ([how, onto]) => {
  const canvas = Object.assign(document.createElement("canvas"), { width: 64, height: 64 });
  const brush = canvas.getContext("2d");
  brush.fillStyle = "rgb(0, 255, 0)";
  brush.fillRect(0, 0, 64, 64);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/png"));
  const carried = new DataTransfer();
  carried.items.add(new File([blob], "green.png", { type: "image/png" }));
  const about = { bubbles: true, cancelable: true };
  if (how === "paste") {
    document.dispatchEvent(new ClipboardEvent("paste", { ...about, clipboardData: carried }));
  } else {
    const target = document.querySelector(onto);
    for (const type of ["dragenter", "dragover", "drop"])
      target.dispatchEvent(new DragEvent(type, { ...about, dataTransfer: carried }));
  }
}"""


class SlowCaptioner:
    """Words that arrive after the box, as a real captioner's do, once they may; or a failure."""

    def __init__(self) -> None:
        self.failure: RelookError | None = None
        self.may_write = threading.Event()
        self.may_write.set()

    def __call__(self, crop: Any, about: Any) -> str:
        self.may_write.wait(PATIENCE_MS / 1000)
        if self.failure is not None:
            raise self.failure
        return CAPTION


@dataclass
class Site:
    """A running server.

    Args:
        address: Where it is.
        pictures: What the library `colours` was made of.
        gate: Cleared, it holds the indexing of the library `gated` at its next batch.
        captioner: What puts words to crops.
        folders: Commands that showed folders.
    """

    address: str
    pictures: Path
    gate: threading.Event
    captioner: SlowCaptioner
    folders: list[Sequence[str]]


class GatedEncoder(ColourEncoder):
    """Waits for leave before each batch of pictures."""

    def __init__(self, gate: threading.Event) -> None:
        super().__init__()
        self._gate = gate

    def encode_prepared(self, prepared: list[Any]) -> list[Any]:
        if len(prepared) > 1:
            assert self._gate.wait(600)
        return super().encode_prepared(prepared)


def write_pictures(folder: Path) -> None:
    """Eight colours in four shapes, each also with a patch of another colour, and noise."""
    folder.mkdir()
    for number, colour in enumerate(COLOURS):
        for at, (width, height) in enumerate(SHAPES):
            solid(colour, width, height).save(folder / f"{colour}-{at}.png")
            other = COLOURS[(number + at + 1) % len(COLOURS)]
            box = Box(0.05, 0.1, 0.45, 0.55)
            patched(colour, other, box, width, height).save(folder / f"{colour}-{other}-{at}.png")
    for seed in range(16):
        noise(seed, 320, 240).save(folder / f"noise-{seed}.png")
    (folder / "notes.jpg").write_text("this is no picture")


def write_many(folder: Path, n: int = 1100) -> None:
    """Small pictures that all differ."""
    folder.mkdir()
    for seed in range(n):
        noise(seed, 48, 32).save(folder / f"{seed}.png")


def write_words(library: relook.Library, name: str) -> None:
    """Has two words stand in a picture of a library, as if they had been read."""
    (image,) = [image for image in library.files.catalog.each_image() if image.path.name == name]
    farm = WrittenWord("FARM", Box(0.1, 0.2, 0.4, 0.4))
    shop = WrittenWord("Shop", Box(0.5, 0.2, 0.9, 0.4))
    texts = TextTable(library.files.catalog)
    texts.make()
    texts.put([(image.content, [TextLine((farm, shop))])], "test")


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """`colours`, that tests search; `spare` and `gated`, that they add to; `thousand` pictures."""
    root = tmp_path_factory.mktemp("page")
    pictures, gate = root / "pictures", threading.Event()
    write_pictures(pictures)
    write_many(root / "many")
    gate.set()
    libraries = [
        relook.Library(root / name, encoder=ColourEncoder())
        for name in ("colours", "spare", "thousand", "moving")
    ]
    libraries.append(relook.Library(root / "gated", encoder=GatedEncoder(gate)))
    about = [f"pictures/{file.name},attic" for file in sorted(pictures.glob("red-*.png"))]
    (root / "about.csv").write_text("\n".join(["path,place", *about]))
    libraries[0].add(pictures, metadata=root / "about.csv")
    write_words(libraries[0], "red-0.png")
    libraries[2].add(root / "many")
    film(root / "videos" / "clip.webm", ("red", "green", "blue"), size=(160, 120))
    film(root / "videos" / "old.avi", ("yellow",), size=(160, 120))
    libraries[3].add(root / "videos")
    settings = ServerSettings(port=0, folders=(root,), cache=root / "thumbnails")
    captioner = SlowCaptioner()
    app = create_app(libraries, settings, caption=captioner)
    folders: list[Sequence[str]] = []
    shows = FileManager("127.0.0.1", "linux", {"DISPLAY": ":0"}, folders.append, lambda name: name)
    app.state.relook.file_manager = shows
    sock = bind(settings)
    server = Server(app)
    thread = threading.Thread(target=server.run, args=([sock],), name="site")
    thread.start()
    try:
        address = f"http://127.0.0.1:{sock.getsockname()[1]}"
        yield Site(address, pictures, gate, captioner, folders)
    finally:
        gate.set()
        server.should_exit = True
        thread.join(600)
        sock.close()


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    """Chromium; its absence is a failure, because a page nobody drove is not tested."""
    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        pytest.fail(
            f"no browser: none of {', '.join(BROWSERS)} is on the PATH."
            " Install one, on Debian and Ubuntu with: apt-get install chromium",
            pytrace=False,
        )
    with sync_playwright() as driver:
        opened = driver.chromium.launch(
            executable_path=found, args=list(FLAGS), timeout=PATIENCE_MS
        )
        yield opened
        opened.close()


@pytest.fixture
def open_page(site: Site, browser: Browser) -> Iterator[Callable[..., Page]]:
    """Opens the page in a context of its own; afterwards nothing may have gone wrong in it."""
    contexts, troubles = [], []
    host = urlsplit(site.address).netloc

    def visit(path: str = "/", allow: tuple[str, ...] = (), **options: Any) -> Page:
        options.setdefault("viewport", {"width": 1280, "height": 800})
        context = browser.new_context(**options)
        context.set_default_timeout(PATIENCE_MS)
        context.add_init_script(WATCH)
        contexts.append(context)
        page = context.new_page()

        def on_console(message: Any) -> None:
            if message.type in ("error", "warning") and not any(a in message.text for a in allow):
                troubles.append(f"console {message.type}: {message.text} {message.location['url']}")

        def on_request(request: Any) -> None:
            parts = urlsplit(request.url)
            if parts.scheme not in ("blob", "data") and parts.netloc != host:
                troubles.append(f"request to {request.url}")

        page.on("console", on_console)
        page.on("pageerror", lambda error: troubles.append(f"exception: {error}"))
        page.on("request", on_request)
        page.goto(site.address + path)
        return page

    yield visit
    for context in contexts:
        for page in context.pages:
            troubles += [f"CSP: {one}" for one in page.evaluate("window.violations")]
        context.close()
    assert troubles == []


def search(page: Page, words: str) -> None:
    """Searches and waits for the pictures, and for the address that names the search."""
    before = page.url
    page.get_by_role("searchbox", name="What to look for").fill(words)
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: url != before)
    page.locator("#bar .part").first.wait_for()
    page.locator(".tile img.ready").first.wait_for()


def settle(page: Page, ms: int) -> None:
    """Waits in the page's own time: its timers are as late as this one on a busy machine."""
    page.evaluate("(ms) => new Promise((done) => setTimeout(done, ms))", ms)


def until(page: Page, predicate: str) -> None:
    """Waits until a function of no arguments, in JavaScript, is true in the page.

    Playwright's own `wait_for_function` evaluates its text once a frame, which the page's
    content security policy forbids from the second frame on.
    """
    page.evaluate(
        f"""async (patience_ms) => {{
          const holds = {predicate};
          const end = performance.now() + patience_ms;
          while (!holds()) {{
            if (performance.now() > end) throw new Error("it never became true");
            await new Promise((done) => setTimeout(done, 20));
          }}
        }}""",
        PATIENCE_MS,
    )


def take(page: Page, pattern: str | re.Pattern[str], handler: Callable[[Route], Any]) -> None:
    """Has a handler answer what the page asks for from now on, if its address fits the pattern.

    `page.route` alone is a race: Chromium tells the page that requests are taken after it has told
    the test, and what the page asks for in between goes to the server. So the page asks until one
    of its requests has been taken. (Not needed before the page is loaded, or loaded again.)
    """
    trial = "/api/v1/health?is-it-taken"
    page.route(pattern, handler)
    page.route(f"**{trial}", lambda route: route.fulfill(status=204))
    page.evaluate(
        """async ([trial, patience_ms]) => {
          const end = performance.now() + patience_ms;
          while ((await fetch(trial)).status !== 204)
            if (performance.now() > end) throw new Error("no request was taken");
        }""",
        [trial, PATIENCE_MS],
    )
    page.unroute(f"**{trial}")


def shown(page: Page) -> list[str]:
    """Ids of the pictures on the page, best first."""
    tiles = page.locator(".grid .tile")
    return [str(one) for one in tiles.evaluate_all("all => all.map((one) => one.dataset.id)")]


def edges_of(page: Page, selector: str, at: int = 0) -> dict[str, float]:
    """Where an element is now; found and measured in one step, for the page redraws boxes."""
    page.locator(selector).nth(at).wait_for()
    found: dict[str, float] = page.evaluate(
        "([name, at]) => document.querySelectorAll(name)[at].getBoundingClientRect().toJSON()",
        [selector, at],
    )
    return found


def drag(page: Page, selector: str, share: tuple[float, float, float, float]) -> None:
    """Drags over an element, from one relative corner to another."""
    edges = edges_of(page, selector)
    x0, y0, x1, y1 = share
    page.mouse.move(edges["x"] + x0 * edges["width"], edges["y"] + y0 * edges["height"])
    page.mouse.down()
    to = (edges["x"] + x1 * edges["width"], edges["y"] + y1 * edges["height"])
    page.mouse.move(*to, steps=5)
    page.mouse.up()


def session_of(page: Page) -> dict[str, Any]:
    """The session as the server has it, once the page has sent everything."""
    page.evaluate(
        """async () => {
          const { marks } = await import("/static/index.js");
          for (let turn = 0; turn < 4; turn += 1) await (marks.flush(), marks.settled());
        }"""
    )
    found: dict[str, Any] = page.evaluate(
        """async () => {
          const q = new URLSearchParams(location.search);
          const path = `/api/v1/libraries/${q.get("library")}/sessions/${q.get("session")}`;
          return (await fetch(path)).json();
        }"""
    )
    return found
