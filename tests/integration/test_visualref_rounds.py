"""An imported configuration gives VisualReF's pages: its formulas are worked out again here."""

import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_parts import many
from numpy.typing import NDArray
from server_parts import serving

import relook
from relook.app.configured import configured, library_of
from relook.compat.visualref import translate
from relook.core.config_file import load_config
from relook.core.types import WHOLE, Box
from relook.core.vectors import Floats, unit
from relook.testing import ColourEncoder

DEMO = {
    "VLM_MODEL_FAMILY": "clip", "VLM_MODEL_NAME": "openai/clip-vit-base-patch32", "TOP_K": 5,
    "INDEX_PATH": "faiss/x.index", "IMAGE_CORPUS_PATH": "photos",
}  # fmt: skip
BOX = Box(0.1, 0.1, 0.6, 0.9)
DIM = 24
# Two rounds: for each, captions of boxes by place on the page, and words without a box.
ROUNDS = (
    ({1: (True, "a red hat, two dogs"), 4: (False, "grey street")}, ("", "")),
    ({2: (True, "snow"), 3: (True, "old boat, calm sea, dusk")}, ("winter, evening", "people")),
)


class Random(ColourEncoder):
    """Text and picture vectors at random, the same ones every time; one vector a picture."""

    dim = DIM
    means = None

    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        return (WHOLE,)

    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        return [_drawn(colours.tobytes())[None] for colours in prepared]

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        return np.stack([_drawn(text.encode()) for text in texts] or [np.zeros(DIM, np.float32)])[
            : len(texts)
        ]


def _drawn(data: bytes) -> Floats:
    drawn = np.random.default_rng(zlib.crc32(data)).normal(size=DIM) + 0.4
    vector: Floats = unit(drawn.astype(np.float32))
    return vector


class Theirs:
    """VisualReF's retrieval service, from its published description.

    The query of a round is that of the round before (averaged with the first query when they
    are fused); .6 of it, .2 of the mean of the relevant phrases, less .2 of the irrelevant ones;
    the page is the best of the whole corpus. Phrases are what stands between ", " in the two
    text boxes, which hold all captions of a side.
    """

    def __init__(self, corpus: NDArray[np.float64], words: str, fuse: bool) -> None:
        self.corpus, self.fuse = corpus, fuse
        self.first = self.now = _drawn(words.encode()).astype(np.float64)

    def page(self, top_k: int) -> list[int]:
        return np.argsort(-(self.corpus @ self.now), kind="stable")[:top_k].tolist()

    def again(self, relevant: list[str], irrelevant: list[str]) -> None:
        start = (self.now + self.first) / 2 if self.fuse else self.now
        query = 0.6 * start
        for sign, captions in ((0.2, relevant), (-0.2, irrelevant)):
            phrases = ", ".join(captions).split(", ")
            if captions:
                query = query + sign * np.mean([_drawn(one.encode()) for one in phrases], axis=0)
        self.now = query / np.linalg.norm(query)


def imported(folder: Path, **keys: Any) -> relook.Library:
    """A library as the imported configuration describes it, with vectors of this test."""
    file = folder / "my.toml"
    file.write_text(translate({**DEMO, **keys}).toml())
    from relook.app.configured import SECTIONS

    config = load_config(SECTIONS, [file], {})
    library = library_of(config, folder / "lib", encoder=Random())
    many(folder / "photos", 40)
    library.add(folder / "photos")
    return library


@pytest.fixture(params=[None, True, False], ids=["default", "fused", "chained"])
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[relook.Library, Theirs]]:
    keys = {} if request.param is None else {"FUSE_INITIAL_QUERY": request.param}
    with imported(tmp_path, **keys) as library:
        corpus = library.files.vectors.rows(library.files.row_table[:, 0]).astype(np.float64)
        yield library, Theirs(corpus, "dogs in the snow", request.param is not False)


def shown(library: relook.Library, image_ids: Sequence[int]) -> list[int]:
    """Places in the corpus of images."""
    ids = library.files.row_table[:, 2].tolist()
    return [ids.index(image_id) for image_id in image_ids]


def sides(marks: dict[int, tuple[bool, str]], words: tuple[str, str]) -> list[list[str]]:
    return [
        [*(text for fits, text in marks.values() if fits == sign), *([typed] if typed else [])]
        for sign, typed in ((True, words[0]), (False, words[1]))
    ]


def test_two_rounds_in_python_show_their_pages(pair: tuple[relook.Library, Theirs]) -> None:
    library, theirs = pair
    session = library.look("dogs in the snow")
    assert shown(library, [hit.image_id for hit in session.page]) == theirs.page(5)
    for marks, words in ROUNDS:
        for at, (fits, caption) in marks.items():
            session.judge(session.page[at], fits, box=BOX, caption=caption)
        page = session.again(relevant_words=words[0], irrelevant_words=words[1])
        theirs.again(*sides(marks, words))
        assert session.round.strategy == "caption-rocchio"
        assert shown(library, [hit.image_id for hit in page]) == theirs.page(5)
        scores = theirs.corpus @ theirs.now
        best = scores[theirs.page(5)]
        assert [hit.score for hit in page] == pytest.approx(best.tolist(), abs=1e-4)


def test_two_rounds_of_the_server_show_their_pages(
    pair: tuple[relook.Library, Theirs], tmp_path: Path
) -> None:
    library, theirs = pair
    with serving(library, cache=tmp_path / "cache") as running:
        begun = running.post("/sessions", {"query": "dogs in the snow"}).json()
        hits = begun["page"]["hits"]
        for marks, words in ROUNDS:
            judgements = [
                {"image_id": hits[at]["image_id"], "relevant": fits, "caption": caption,
                 "box": BOX.as_list()}
                for at, (fits, caption) in marks.items()
            ]  # fmt: skip
            body = {
                "judgements": judgements, "relevant_words": words[0], "irrelevant_words": words[1],
            }  # fmt: skip
            made = running.post(f"/sessions/{begun['session_id']}/rounds", body).json()
            hits = made["page"]["hits"]
            theirs.again(*sides(marks, words))
            assert shown(library, [hit["image_id"] for hit in hits]) == theirs.page(5)


def test_the_fuse_setting_makes_a_difference(tmp_path: Path) -> None:
    fused, chained = tmp_path / "fused", tmp_path / "chained"
    pages = []
    for folder, fuse in ((fused, True), (chained, False)):
        folder.mkdir()
        with imported(folder, FUSE_INITIAL_QUERY=fuse) as library:
            session = library.look("dogs in the snow")
            for _ in range(2):
                session.again(relevant_words="a red hat, snow", irrelevant_words="grey street")
            pages.append(session.fitted().scorer.vector)
    assert float(pages[0] @ pages[1]) < 0.999


def test_undo_takes_typed_words_back(tmp_path: Path) -> None:
    with imported(tmp_path) as library:
        session = library.look("dogs in the snow")
        first = session.fitted().scorer.vector
        session.again(relevant_words="a red hat")
        assert session.round.record["relevant_words"] == "a red hat"
        assert not np.allclose(session.fitted().scorer.vector, first)
        session.undo()
        assert np.allclose(session.fitted().scorer.vector, first)


@pytest.mark.parametrize("strategy", ["auto", "rocchio", "probe", "region", "rocchio-paper"])
def test_typed_words_move_every_strategy_and_their_shares_add_up(
    tmp_path: Path, strategy: str
) -> None:
    from relook.search.explain import why

    with imported(tmp_path) as library:
        session = library.look("dogs in the snow")
        session.judge(session.page[0], True)
        page = session.again(strategy, relevant_words="a red hat", irrelevant_words="grey street")
        reasons = {one.name: one.amount for one in why(session, page[0], strategy)}
        assert {"words relevant: a red hat", "words irrelevant: grey street"} <= set(reasons)
        assert sum(reasons.values()) == pytest.approx(page[0].score, abs=1e-4)


def test_a_configuration_opens_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "user"))
    with configured("cpu-only", tmp_path / "lib") as library:
        assert library.feedback.strategy == "auto"
