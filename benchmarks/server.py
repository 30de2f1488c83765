"""The page and the server over loopback, with a library of 100,000 images.

Measures: the page from an empty browser to a search box that works; from Enter to a page whose
visible pictures are all painted (a session begun, as the page does it); frames while 1,000 hits are
scrolled through, a sixteenth and a third of the window a frame; 50 people who search
without a pause, each over a connection of their own; sessions begun one after the other; a
thumbnail from the cache. The server, the browser and the people all run on this machine, so its
cores do the work of every side.
Read it: the images are synthetic (see synthetic.py) and their thumbnails are a few photographs
under many names, put into the cache beforehand. Words are real. The first figure of the people
is for words that nobody asked before, the second for words that come again.
"""

import argparse
import asyncio
import http.client
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from figures import Figure, parser, report, say
from photographs import variants
from synthetic import PLACES, SUBJECTS, build_index, make_library, real_tiles, text_queries

from relook import Library
from relook.encoders.builtin import BuiltinEncoder
from relook.server.state import ThumbnailCache

N_PEOPLE = 50
THUMBNAIL_PX = 320
SLOW_FRAME_MS = 50
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
CARRIERS = ("", "a photograph of ", "a picture with ", "close up, ", "in the evening, ")

# Resolves when another session is shown and every picture in sight is decoded, fully opaque and
# painted: [answer there, tiles there, thumbnails there, painted] in ms since Enter. It measures
# tiles and not pictures, and only once, so that the looking itself forces no layout.
PAINTED = """(words) => new Promise((done) => {
  const before = location.search;
  const field = document.querySelector("input[name=q]");
  field.value = words;
  performance.clearResourceTimings();
  const began = performance.now();
  document.getElementById("search").requestSubmit();
  let pictures = [], tiles = 0, there = 0;
  const find = () => {
    tiles = performance.now() - began;
    pictures = [...document.querySelectorAll(".tile")].filter((one) => {
      const { top, bottom } = one.getBoundingClientRect();
      return top < innerHeight && bottom > 0;
    }).map((one) => one.querySelector("img"));
  };
  const shown = (one) => one.complete && one.naturalWidth
    && getComputedStyle(one).opacity > 0.99
    && getComputedStyle(one.closest(".tile")).opacity > 0.99;
  const finish = async () => {
    await Promise.all(pictures.map((one) => one.decode()));
    requestAnimationFrame(() => setTimeout(() => {
      const all = performance.getEntriesByType("resource");
      const answer = all.find((one) => one.name.endsWith("/sessions"))?.responseEnd - began;
      done([answer, tiles, there, performance.now() - began]);
    }));
  };
  const look = () => {
    if (location.search !== before && !pictures.length) find();
    if (!there && pictures.length && pictures.every((one) => one.complete))
      there = performance.now() - began;
    if (pictures.length && pictures.every(shown)) finish();
    else requestAnimationFrame(look);
  };
  look();
})"""
USABLE = """() => new Promise((done) => {
  const look = () => {
    const known = document.querySelector("#open-library .count")?.textContent;
    if (known && document.querySelector("input[name=q]")) done(performance.now());
    else requestAnimationFrame(look);
  };
  look();
})"""

# Resolves at the end of the page: what passed between frames, in ms, and how many tiles there are.
SCROLLED = """(share) => new Promise((done) => {
  const between = [];
  let before = performance.now(), rested = 0;
  const step = (now) => {
    between.push(now - before);
    before = now;
    const y = scrollY;
    scrollBy({ top: innerHeight * share, behavior: "instant" });
    rested = scrollY === y ? rested + 1 : 0; // the page grows as its end comes near
    if (rested < 30) requestAnimationFrame(step);
    else done([between, document.querySelectorAll(".tile").length]);
  };
  requestAnimationFrame(step);
})"""


def main() -> None:
    """Runs the benchmark."""
    options = arguments()
    with tempfile.TemporaryDirectory(prefix="relook-server-") as temporary:
        folder = options.folder or Path(temporary)
        library, cache = folder / "library", folder / "cache"
        if not library.exists():
            folder.mkdir(exist_ok=True)
            _make(library, options)
            _fill_cache(cache, options.n_images)
        with _server(library, folder) as (host, pid):
            figures = [Figure("images", options.n_images)]
            figures += _people(host, pid, options)
            figures += _sessions(host, pid)
            figures += _thumbnails(host)
            figures += _page(host, options)
    report("server", figures, options)


def arguments() -> argparse.Namespace:
    """The command line."""
    made = parser(__doc__ or "")
    made.add_argument("--n-images", type=int, default=100_000)
    made.add_argument("--pictures", type=Path, help="photographs to draw vectors from")
    made.add_argument("--folder", type=Path, help="keep the library there, and use it again")
    return made.parse_args()


def _make(folder: Path, options: argparse.Namespace) -> None:
    encoder = BuiltinEncoder()
    say("encoding real pictures to draw from")
    tiles = real_tiles(encoder, options.pictures, 2500 if options.full else 400)
    say(f"writing {options.n_images:,} images and their index")
    make_library(folder, encoder, tiles, options.n_images)
    with Library(folder, encoder=encoder) as library:
        build_index(library.files, encoder)


def _fill_cache(cache: Path, n_images: int) -> None:
    """Thumbnails of every image, as the server would have made them."""
    models = []
    for number, image in enumerate(variants(24, THUMBNAIL_PX, seed=3)):
        image.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
        models.append(cache / f"{number}.jpg")
        cache.mkdir(exist_ok=True)
        image.save(models[-1], "JPEG", quality=82)
    thumbnails = ThumbnailCache(cache, sys.maxsize)
    for number in range(n_images):
        place = thumbnails.path(number.to_bytes(16, "big"), THUMBNAIL_PX)
        if number == 0:
            place.parent.mkdir(exist_ok=True)
        os.link(models[number % len(models)], place)


SERVE = """
import sys
from pathlib import Path
from relook import Library
from relook.server import Server, ServerSettings, bind, create_app
settings = ServerSettings(port=0, cache=Path(sys.argv[2]))
sock = bind(settings)
print(sock.getsockname()[1], flush=True)
Server(create_app([Library(sys.argv[1])], settings)).run([sock])
"""


@contextmanager
def _server(library: Path, folder: Path) -> Iterator[tuple[str, int]]:
    """A server in a process of its own: its host with port, and the process."""
    command = [sys.executable, "-c", SERVE, str(library), str(folder / "cache")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        host = f"127.0.0.1:{int(process.stdout.readline())}"
        _wait(host)
        yield host, process.pid
    finally:
        process.terminate()
        process.wait(30)


def _wait(host: str) -> None:
    """Until the models are loaded, as in a server that has run for a moment."""
    for _ in range(200):
        try:
            if _search(http.client.HTTPConnection(host), "a dog")[0] == 200:
                return
        except OSError:
            time.sleep(0.1)
    raise SystemExit("the server does not answer")


def _search(connection: http.client.HTTPConnection, words: str) -> tuple[int, bytes]:
    body = json.dumps({"query": words, "limit": 20})
    path = "/api/v1/libraries/library/search"
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    return answer.status, answer.read()


def _many_queries(n: int) -> list[str]:
    """Different queries, in a fixed mixed order."""
    words = [f"{a}{who} {where}".strip() for a in CARRIERS for where in PLACES for who in SUBJECTS]
    order = np.random.default_rng(9).permutation(len(words))
    return [words[at] for at in order[:n]]


def _people(host: str, pid: int, options: argparse.Namespace) -> list[Figure]:
    n_each = 20 if options.full else 10
    say(f"{N_PEOPLE} people search {n_each} times each")
    queries = _many_queries(N_PEOPLE * n_each)
    figures = []
    for told in ("new words", "words asked before"):
        before_s = _cpu_s(pid)
        taken, n_errors, whole_s = _at_once(host, queries)
        cpu_ms = (_cpu_s(pid) - before_s) / len(queries) * 1e3
        rate = len(taken) / whole_s
        note = f"{rate:.0f} searches/s; load {os.getloadavg()[0]:.1f}"
        figures += [
            Figure(f"50 searchers p50, {told}", float(np.median(taken)), "ms", note=note),
            Figure(f"50 searchers p95, {told}", float(np.quantile(taken, 0.95)), "ms", at_most=400),
            Figure("  CPU time of the server a search", cpu_ms, "ms", note="steadier when busy"),
            Figure("  errors", n_errors, at_most=0),
        ]
    return figures


def _cpu_s(pid: int) -> float:
    """CPU time that a process has used; 0 where the system does not tell."""
    facts = Path(f"/proc/{pid}/stat")
    if not facts.is_file():
        return 0.0
    fields = facts.read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _at_once(host: str, queries: list[str]) -> tuple[list[float], int, float]:
    """Milliseconds of every search, how many failed, and how long it all took.

    What was answered is looked at afterwards, and one thread keeps all connections: people's
    browsers are not on the server's cores.
    """
    taken: list[float] = []
    answers: list[tuple[int, bytes]] = []

    async def person(number: int) -> None:
        reader, writer = await asyncio.open_connection(*host.split(":"))
        for words in queries[number::N_PEOPLE]:
            began = time.perf_counter()
            writer.write(_request(host, words))
            try:
                answers.append(await _answer(reader))
            except (OSError, EOFError) as error:
                answers.append((0, repr(error).encode()))
                break
            taken.append((time.perf_counter() - began) * 1e3)
        writer.close()

    async def all_people() -> float:
        began = time.perf_counter()
        await asyncio.gather(*(person(number) for number in range(N_PEOPLE)))
        return time.perf_counter() - began

    whole_s = asyncio.run(all_people())
    failed = [a for a in answers if a[0] != 200 or len(json.loads(a[1])["hits"]) != 20]
    return taken, len(failed), whole_s


def _request(host: str, words: str) -> bytes:
    body = json.dumps({"query": words, "limit": 20}).encode()
    head = (
        f"POST /api/v1/libraries/library/search HTTP/1.1\r\nHost: {host}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def _answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    """Status and body of the next answer of a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = re.search(rb"\r\ncontent-length: *(\d+)", head)
    if length is None:
        raise ValueError(f"an answer without its length: {head!r}")
    return int(head.split()[1]), await reader.readexactly(int(length[1]))


def _sessions(host: str, pid: int) -> list[Figure]:
    """What the page asks for at Enter, one after the other."""
    say("sessions")
    connection = http.client.HTTPConnection(host)
    queries, before_s = _many_queries(100), _cpu_s(pid)
    for words in queries:
        body = json.dumps({"query": words, "limit": 20})
        path = "/api/v1/libraries/library/sessions"
        connection.request("POST", path, body, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 201
    cpu_ms = (_cpu_s(pid) - before_s) / len(queries) * 1e3
    return [Figure("CPU time of the server, a session begun with known words", cpu_ms, "ms")]


def _thumbnails(host: str) -> list[Figure]:
    say("thumbnails")
    connection = http.client.HTTPConnection(host)
    taken = []
    for image_id in np.random.default_rng(1).integers(1, 1000, 300):
        path = f"/api/v1/libraries/library/images/{image_id}/thumbnail?size={THUMBNAIL_PX}"
        began = time.perf_counter()
        connection.request("GET", path)
        answer = connection.getresponse()
        data = answer.read()
        taken.append((time.perf_counter() - began) * 1e3)
        assert (answer.status, data[:2]) == (200, b"\xff\xd8")
    note = f"load {os.getloadavg()[0]:.1f}"
    return [
        Figure("thumbnail p50, warm", float(np.median(taken)), "ms", at_most=5, note=note),
        Figure("thumbnail p95, warm", float(np.quantile(taken, 0.95)), "ms"),
    ]


def _page(host: str, options: argparse.Namespace) -> list[Figure]:
    from playwright.sync_api import sync_playwright

    found = next((path for name in BROWSERS if (path := shutil.which(name))), None)
    if found is None:
        return [Figure("page", None, note="no Chromium or Chrome on this machine")]
    say("the page")
    address, size = f"http://{host}/", {"width": 1280, "height": 800}
    with sync_playwright() as driver:
        cold = []
        for _ in range(5):  # each browser is new: nothing of the page is anywhere in it
            browser = driver.chromium.launch(executable_path=found, args=FLAGS)
            page = browser.new_page(viewport=size)
            page.goto(address, wait_until="commit")
            cold.append(float(page.evaluate(USABLE)))
            browser.close()
        browser = driver.chromium.launch(executable_path=found, args=FLAGS)
        page = browser.new_page(viewport=size)
        page.goto(address)
        page.evaluate(USABLE)
        stages = _stages(lambda words: page.evaluate(PAINTED, words), options)
        scrolled = _scrolled(page)
        browser.close()
    note = f"load {os.getloadavg()[0]:.1f}"
    return [
        Figure("page usable, new browser, median", float(np.median(cold)), "ms", at_most=500),
        Figure("page usable, new browser, worst", max(cold), "ms", note=note),
        Figure(
            "Enter to painted p50", float(np.median(stages[:, 3])), "ms", at_most=150, note=note
        ),
        Figure("  answer of the server there p50", float(np.median(stages[:, 0])), "ms"),
        Figure("  tiles in the page p50", float(np.median(stages[:, 1])), "ms"),
        Figure("  thumbnails in sight there p50", float(np.median(stages[:, 2])), "ms"),
        Figure("Enter to painted p95", float(np.quantile(stages[:, 3], 0.95)), "ms"),
        *scrolled,
    ]


def _scrolled(page: Any) -> list[Figure]:
    """Frames while a page of 1,000 hits is scrolled to its end: fast, and as a finger flings it."""
    page.evaluate("localStorage.setItem('relook.page-size', '1000')")
    figures = []
    for share, pace, most in ((1 / 16, "3,000 px a second", 0), (1 / 3, "flung", None)):
        page.evaluate(PAINTED, f"a boat on a lake, {pace}")
        between, n_tiles = page.evaluate(SCROLLED, share)
        assert n_tiles == 1000, n_tiles
        note = f"{len(between)} frames; load {os.getloadavg()[0]:.1f}"
        n_slow = sum(ms > SLOW_FRAME_MS for ms in between)
        figures += [
            Figure(f"1,000 hits, {pace}: longest frame", max(between), "ms", note=note),
            Figure(f"  frames above {SLOW_FRAME_MS} ms", n_slow, at_most=most),
        ]
    return figures


def _stages(search: Callable[[str], list[float]], options: argparse.Namespace) -> np.ndarray:
    """What `PAINTED` tells of each search [n, 4], after three that do not count."""
    queries = text_queries(60 if options.full else 30)
    for words in queries[:3]:
        search(words)
    return np.array([search(words) for words in queries[3:]])


if __name__ == "__main__":
    main()
