"""VisualReF's own configuration, imported and served: the page shows what its formula gives."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Browser, Page, expect

import relook
import relook.server
from relook.cli.main import main
from relook.encoders.hf import HfEncoder
from relook.testing import noise
from relook.testing.checkpoints import tiny_clip, tiny_llava

from .conftest import PATIENCE_MS, drag, search, session_of, shown

CLIP, LLAVA, COMMIT = "openai/clip-vit-base-patch32", "llava-hf/llava-1.5-7b-hf", "c" * 40
QUERY = 'a dgo in 0.5:snow - no "cats" @night'  # words, to VisualReF
# For each round: a caption and its sign by place on the page, and words without a box.
ROUNDS: tuple[tuple[dict[int, tuple[bool, str]], tuple[str, str]], ...] = (
    ({0: (True, "a red hat, two dogs"), 3: (False, "grey street")}, ("", "")),
    ({1: (True, "old boat, calm sea, dusk")}, ("winter, evening", "people")),
)


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The hub's cache with tiny weights under the names that VisualReF's files have."""
    cache = tmp_path_factory.mktemp("hub")
    makers: dict[str, Callable[[Path], Path]] = {CLIP: tiny_clip, LLAVA: tiny_llava}
    for model, make in makers.items():
        home = cache / f"models--{model.replace('/', '--')}"
        (home / "refs").mkdir(parents=True)
        (home / "refs" / "main").write_text(COMMIT)
        make(home / "snapshots" / COMMIT)
    return cache


@pytest.fixture(params=[True, False], ids=["fused", "chained"])
def served(
    request: pytest.FixtureRequest, hub: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Path, bool]]:
    """`config import`, `index` and `serve` as a person runs them; the address, and the library."""
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(hub))
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "user"))
    monkeypatch.setenv("RELOOK_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RELOOK_LIBRARY", raising=False)
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    for seed in range(24):
        noise(seed, 240, 180).save(f"photos/{seed:02}.png")
    Path("demo.yaml").write_text(
        f'IMAGE_CORPUS_PATH: "photos"\nINDEX_PATH: "faiss/{CLIP}/image_index.faiss"\n'
        f'VLM_MODEL_FAMILY: "clip"\nVLM_MODEL_NAME: "{CLIP}"\nIMG_SIZE: 224\nTOP_K: 6\n'
        f"FUSE_INITIAL_QUERY: {request.param}\n"
    )
    Path("llava.yaml").write_text(
        f'MODEL_FAMILY: "llava"\nMODEL_ID: "{LLAVA}"\nUSE_8BIT: true\n'
        'PROMPT: "For {}: what is {} here, in 5-10 words?"\n'
    )
    assert main(["config", "import", "demo.yaml", "llava.yaml", "--to", "my.toml"]) == 0
    assert main(["index", "--config", "my.toml"]) == 0
    started: queue.Queue[tuple[Any, int]] = queue.Queue()

    class Told(relook.server.Server):
        def run(self, sockets: Any = None) -> None:
            started.put((self, sockets[0].getsockname()[1]))
            super().run(sockets)

    monkeypatch.setattr(relook.server, "Server", Told)
    command = ["serve", "--config", "my.toml", "--port", "0", "--no-open"]
    thread = threading.Thread(target=main, args=(command,), name="serve")
    thread.start()
    server, port = started.get(timeout=PATIENCE_MS / 1000)
    try:
        yield f"http://127.0.0.1:{port}", Path(f"faiss/{CLIP}/library.relook"), request.param
    finally:
        server.should_exit = True
        thread.join(120)
        assert not thread.is_alive()


class Theirs:
    """VisualReF's retrieval service: the formula of its code, as `test_visualref_rounds` checks it.

    Images are numbered as the library numbers them; the query of a round is that of the round
    before, averaged with the first one when they are fused; then .6 / .2 / .2. Words are as long
    as the model makes them, the query of a later round has length one.
    """

    def __init__(self, folder: Path, encoder: HfEncoder, fuse: bool) -> None:
        with relook.Library(folder) as library:
            rows = library.files.row_table
            self.corpus = library.files.vectors.rows(rows[:, 0]).astype(np.float64)  # [n, d]
            self.image_ids = rows[:, 2].tolist()
        self.encoder, self.fuse = encoder, fuse
        self.first = self.now = self._read([QUERY])[0]  # [d]

    def _read(self, texts: list[str]) -> Any:
        return self.encoder.text_features(texts).astype(np.float64)

    def again(self, sides: list[list[str]]) -> None:
        """One round from the phrases of both text boxes."""
        start = (self.now + self.first) / 2 if self.fuse else self.now
        query = 0.6 * start
        for sign, boxes in zip((0.2, -0.2), sides, strict=True):
            if phrases := [part.strip() for box in boxes for part in box.split(",") if part]:
                query = query + sign * self._read(phrases).mean(axis=0)
        self.now = query / np.linalg.norm(query)

    def page(self, n: int) -> list[str]:
        best = np.argsort(-(self.corpus @ self.now), kind="stable")[:n]
        return [str(self.image_ids[at]) for at in best]


def mark(page: Page, image_id: str, relevant: bool, caption: str) -> None:
    """Draws a box on a picture, signs it, and puts words to it."""
    side = page.locator(f".tray-group.{'relevant' if relevant else 'irrelevant'}")
    n_before = side.locator(".mark").count()
    drag(page, f'.tile[data-id="{image_id}"] .photo', (0.2, 0.2, 0.7, 0.8))
    page.locator(f".boxbar .{'yes' if relevant else 'no'}").click()
    expect(side.locator(".mark")).to_have_count(n_before + 1)
    side.locator(".mark").first.locator(".chip:not(.writing)").click()  # the newest comes first
    field = page.get_by_label("Caption of this box")
    field.fill(caption)
    field.press("Enter")
    expect(side.locator(".mark").first.locator(".chip")).to_have_text(caption)


def test_the_page_of_an_imported_configuration_is_its_formulas(
    served: tuple[str, Path, bool], hub: Path, browser: Browser
) -> None:
    address, folder, fuse = served
    snapshot = hub / f"models--{CLIP.replace('/', '--')}" / "snapshots" / COMMIT
    theirs = Theirs(folder, HfEncoder(snapshot), fuse)
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE_MS)
    page = context.new_page()
    page.goto(address)
    search(page, QUERY)
    more = page.get_by_role("button", name="More pictures")
    expect(more).to_be_visible()
    assert shown(page) == theirs.page(6)  # TOP_K
    expect(page.get_by_label("How marks are used")).to_have_value("caption-rocchio")
    for number, (marks, (relevant, irrelevant)) in enumerate(ROUNDS, start=1):
        before = shown(page)
        for at, (fits, caption) in marks.items():
            mark(page, before[at], fits, caption)
        page.get_by_label("What fits, in words").fill(relevant)
        page.get_by_label("What does not fit, in words").fill(irrelevant)
        page.locator("#side .primary").click()
        expect(page.locator(".history [aria-current]")).to_have_text(str(number + 1))
        theirs.again(
            [[text for fits, text in marks.values() if fits is sign] + [words]
             for sign, words in ((True, relevant), (False, irrelevant))]
        )  # fmt: skip
        assert session_of(page)["rounds"][-1]["strategy"] == "caption-rocchio"
        assert shown(page) == theirs.page(6)
    page.locator(".history button").first.click()  # the first page goes on for who wants it to
    more.click()
    expect(page.locator(".grid .tile")).to_have_count(24)
    assert shown(page)[:6] != theirs.page(6)
    left_out(page)
    context.close()


def left_out(page: Page) -> None:
    """What the bar leaves out stays a part of its own; the filters have the line read."""

    def asked(act: Callable[[], None]) -> list[tuple[str, bool]]:
        with page.expect_response(
            lambda answer: answer.request.method == "POST" and answer.url.endswith("/sessions")
        ) as made:
            act()
        parts = made.value.json()["query"]["parts"]
        expect(page.locator("#bar .part")).to_have_count(len(parts))
        return [(part["text"], part.get("literal", False)) for part in parts]

    def apply(value: str) -> None:
        page.get_by_role("button", name="Filters").click()
        words = page.locator("select[name=words]")
        expect(words).to_have_value("false")
        words.select_option(value)
        page.get_by_role("button", name="Apply").click()

    without = page.get_by_label("Words for what to leave out")
    without.fill("boats")
    literal = [(QUERY, True), ("boats", False)]
    assert asked(lambda: without.press("Enter")) == literal
    expect(page.get_by_role("searchbox")).to_have_value(f"{QUERY} - boats")
    assert asked(lambda: apply("false")) == literal
    read = [("a dgo in 0.5:snow", False), ('no "cats" @night', False), ("boats", False)]
    assert asked(lambda: apply("true")) == read
