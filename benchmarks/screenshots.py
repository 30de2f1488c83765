"""Makes the README's pictures of the page: a search that is being marked, and the page after it.

Writes docs/page.png and docs/look-again.png, anew and the same each time but for the times that
the page tells. The pictures in them are cuts of the photographs that scikit-image ships. A real
server, a real Chromium, the shipped model: nothing is drawn by hand.
"""

import argparse
import io
import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import FloatRect, Locator, Page, expect, sync_playwright

from relook import Library
from relook.cli.dataset import example_photographs
from relook.server import Server, ServerSettings, bind, create_app

DOCS = Path(__file__).resolve().parents[1] / "docs"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAX_BYTES = 400_000
WHOLE = (0.0, 0.0, 1.0, 1.0)
# Name of the cut, photograph, and the part of it that is cut out.
CUTS = (
    ("astronaut", "astronaut.png", WHOLE),
    ("astronaut-portrait", "astronaut.png", (0.12, 0.0, 0.62, 0.62)),
    ("space-shuttle-model", "astronaut.png", (0.6, 0.0, 0.98, 0.62)),
    ("helmet", "astronaut.png", (0.46, 0.6, 1.0, 1.0)),
    ("flag", "astronaut.png", (0.0, 0.0, 0.26, 0.5)),
    ("chelsea", "chelsea.png", WHOLE),
    ("cat-eyes", "chelsea.png", (0.2, 0.1, 0.85, 0.55)),
    ("whiskers", "chelsea.png", (0.3, 0.4, 0.9, 1.0)),
    ("coffee", "coffee.png", WHOLE),
    ("espresso", "coffee.png", (0.22, 0.0, 0.76, 0.72)),
    ("spoon", "coffee.png", (0.44, 0.4, 0.86, 1.0)),
    ("wooden-table", "coffee.png", (0.0, 0.3, 0.3, 1.0)),
    ("deep-field", "hubble_deep_field.jpg", WHOLE),
    ("galaxies", "hubble_deep_field.jpg", (0.5, 0.45, 1.0, 0.85)),
    ("stars", "hubble_deep_field.jpg", (0.0, 0.1, 0.45, 0.75)),
    ("moon", "moon.png", WHOLE),
    ("crater", "moon.png", (0.05, 0.0, 0.75, 0.4)),
    ("motorcycle", "motorcycle_left.png", WHOLE),
    ("front-wheel", "motorcycle_left.png", (0.58, 0.42, 0.98, 0.94)),
    ("engine", "motorcycle_left.png", (0.3, 0.38, 0.72, 0.86)),
    ("shelves", "motorcycle_left.png", (0.5, 0.0, 1.0, 0.45)),
    ("launch-pad", "rocket.jpg", WHOLE),
    ("falcon", "rocket.jpg", (0.36, 0.05, 0.66, 1.0)),
    ("night-lights", "rocket.jpg", (0.5, 0.5, 1.0, 1.0)),
    ("coins", "coins.png", WHOLE),
    ("silver", "coins.png", (0.5, 0.0, 1.0, 0.5)),
    ("cameraman", "camera.png", WHOLE),
    ("tripod", "camera.png", (0.4, 0.2, 1.0, 1.0)),
    ("skyline", "camera.png", (0.5, 0.15, 1.0, 0.5)),
    ("retina", "retina.jpg", WHOLE),
    ("tissue", "ihc.png", WHOLE),
    ("brick", "brick.png", WHOLE),
    ("grass", "grass.png", WHOLE),
    ("gravel", "gravel.png", WHOLE),
)


def main() -> None:
    """Makes both."""
    made = argparse.ArgumentParser(description=__doc__)
    made.add_argument("--out", type=Path, default=DOCS, help="folder that they are written to")
    out = made.parse_args().out
    with tempfile.TemporaryDirectory(prefix="relook-shots-") as folder:
        _cut(Path(folder, "photos"))
        with _server(Path(folder)) as address, sync_playwright() as driver:
            found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
            if found is None:
                raise SystemExit("no Chromium or Chrome: apt-get install chromium")
            browser = driver.chromium.launch(
                executable_path=found, args=["--no-sandbox", "--disable-gpu"]
            )
            size = {"width": 1280, "height": 800}
            page = browser.new_page(viewport=size, reduced_motion="reduce", locale="en-GB")
            page.goto(address)
            _search_and_mark(page)
            _keep(page, out / "page.png")
            _look_again(page)
            _keep(page, out / "look-again.png")
            browser.close()


def _cut(folder: Path) -> None:
    folder.mkdir()
    for name, photograph, (x0, y0, x1, y1) in CUTS:
        image = Image.open(example_photographs() / photograph).convert("RGB")
        w, h = image.size
        image.crop((int(x0 * w), int(y0 * h), int(x1 * w), int(y1 * h))).save(
            folder / f"{name}.png"
        )


@contextmanager
def _server(folder: Path) -> Iterator[str]:
    library = Library(folder / "photos.relook")
    library.add(folder / "photos")
    settings = ServerSettings(port=0, cache=folder / "cache")
    with bind(settings) as sock:
        server = Server(create_app([library], settings))
        thread = threading.Thread(target=server.run, args=([sock],))
        thread.start()
        try:
            yield f"http://127.0.0.1:{sock.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def _search_and_mark(page: Page) -> None:
    """A picture that fits, one that does not, and a part of a third."""
    page.get_by_role("searchbox").fill("outer space")
    page.keyboard.press("Enter")
    _rest(page)
    _photo(page, "galaxies").click()
    _photo(page, "brick").click(modifiers=["Shift"])
    edges = _photo(page, "launch-pad").bounding_box()
    assert edges is not None
    _drag(page, edges, (0.42, 0.22, 0.6, 0.95))
    page.keyboard.press("r")
    expect(page.locator(".chip.writing")).to_have_count(0, timeout=20_000)


def _look_again(page: Page) -> None:
    """The next page, and why one of its pictures is there."""
    page.keyboard.press("Escape")
    page.locator("#side .primary").click()
    expect(page.locator(".history button")).to_have_count(2)
    _rest(page)
    page.set_viewport_size({"width": 1280, "height": 592})
    _photo(page, "deep-field").focus()
    page.keyboard.press("w")
    expect(page.locator(".viewer .reason").first).to_be_visible()
    page.wait_for_timeout(500)
    edges = page.locator(".view-photo").bounding_box()
    assert edges is not None
    _drag(page, edges, (0.62, 0.44, 0.86, 0.66))
    page.keyboard.press("r")
    expect(page.locator(".viewer .box.relevant")).to_have_count(1)
    expect(page.locator(".chip.writing")).to_have_count(0, timeout=20_000)
    page.keyboard.press("e")  # the person's own words
    page.keyboard.type("a red galaxy")
    page.keyboard.press("Enter")
    _photo(page, "deep-field").focus()
    page.keyboard.press("w")
    expect(page.locator(".viewer .reason")).to_have_count(5)
    page.keyboard.press("n")
    page.mouse.move(1270, 580)


def _drag(page: Page, edges: FloatRect, share: tuple[float, float, float, float]) -> None:
    x0, y0, x1, y1 = share
    page.mouse.move(edges["x"] + x0 * edges["width"], edges["y"] + y0 * edges["height"])
    page.mouse.down()
    to = edges["x"] + x1 * edges["width"], edges["y"] + y1 * edges["height"]
    page.mouse.move(*to, steps=8)
    page.mouse.up()


def _photo(page: Page, name: str) -> Locator:
    return page.locator(f".photo[aria-label*='{name}.png']").first


def _rest(page: Page) -> None:
    """Until every picture in sight is there."""
    expect(page.locator("#bar .part").first).to_be_visible()
    expect(page.locator(".tile img:not(.ready)")).to_have_count(0)
    page.wait_for_timeout(500)


def _keep(page: Page, file: Path) -> None:
    """Writes what is shown with as few colours as the size asks for."""
    page.wait_for_timeout(300)
    shown = Image.open(io.BytesIO(page.screenshot())).convert("RGB")
    for n_colours in (256, 192, 128, 96, 64):
        few = shown.quantize(
            n_colours, Image.Quantize.MEDIANCUT, dither=Image.Dither.FLOYDSTEINBERG
        )
        data = io.BytesIO()
        few.save(data, "PNG", optimize=True)
        if data.tell() <= MAX_BYTES:
            break
    file.write_bytes(data.getvalue())
    print(f"{file}: {data.tell():,} bytes, {n_colours} colours")


if __name__ == "__main__":
    main()
