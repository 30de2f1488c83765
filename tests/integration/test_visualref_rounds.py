"""An imported configuration gives VisualReF's pages, as its own code gave them.

`visualref_rounds.json` holds numbers that VisualReF's code (its branch `recsys_demo`, unchanged)
gave with tiny checkpoints of both its families: the vectors of forty pictures as its index has
them, those of the words as its model makes them (not of length one), and, for both settings of
`FUSE_INITIAL_QUERY`, the pages and scores of a query and four rounds. A round is the boxes with
their captions and the words in its two text boxes; the third round has none at all.
"""

import json
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from library_parts import many
from numpy.typing import NDArray
from server_parts import serving

import relook
from relook.app.configured import SECTIONS, configured, library_of
from relook.compat.visualref import translate
from relook.core.config_file import load_config
from relook.core.types import WHOLE, Box
from relook.core.vectors import Floats, unit
from relook.feedback.strategies import strategy as strategy_called
from relook.testing import ColourEncoder, noise

DEMO = {
    "VLM_MODEL_FAMILY": "clip", "VLM_MODEL_NAME": "openai/clip-vit-base-patch32", "TOP_K": 5,
    "INDEX_PATH": "faiss/x.index", "IMAGE_CORPUS_PATH": "photos",
}  # fmt: skip
THEIRS = json.loads((Path(__file__).parent / "visualref_rounds.json").read_text("utf-8"))
QUERY, ROUNDS = THEIRS["query"], THEIRS["rounds"]


class Recorded(ColourEncoder):
    """Vectors of the fixture, one a picture; of texts that it does not have, any."""

    means = None

    def __init__(self, family: str = "clip") -> None:
        super().__init__()
        self._texts = THEIRS["families"][family]["texts"]
        corpus = THEIRS["families"][family]["corpus"]
        self.dim = len(corpus[0])
        self._pictures = {
            self.prepare(noise(at)).tobytes(): np.array([vector], np.float32)
            for at, vector in enumerate(corpus)
        }

    def tiles_for(self, width_px: int, height_px: int) -> tuple[Box, ...]:
        return (WHOLE,)

    def encode_prepared(self, prepared: Sequence[NDArray[Any]]) -> list[Floats]:
        known = [(seen.tobytes(), self._pictures.get(seen.tobytes())) for seen in prepared]
        return [self._any(data)[None] if row is None else row for data, row in known]

    def text_features(self, texts: Sequence[str]) -> Floats:
        rows = [np.array(self._texts.get(text) or self._any(text.encode())) for text in texts]
        return np.stack(rows).astype(np.float32) if rows else np.zeros((0, self.dim), np.float32)

    def encode_texts(self, texts: Sequence[str]) -> Floats:
        return unit(self.text_features(texts))

    def _any(self, data: bytes) -> Floats:
        drawn = np.random.default_rng(zlib.crc32(data)).normal(size=self.dim)
        vector: Floats = unit(drawn.astype(np.float32))
        return vector


def imported(folder: Path, family: str = "clip", **keys: Any) -> relook.Library:
    """A library as the imported configuration describes it, with the fixture's vectors."""
    file = folder / "my.toml"
    file.write_text(translate({**DEMO, **keys}).toml())
    config = load_config(SECTIONS, [file], {})
    library = library_of(config, folder / "lib", encoder=Recorded(family))
    many(folder / "photos", 40)
    library.add(folder / "photos")
    return library


@dataclass(frozen=True)
class Pair:
    """Our library, and what theirs gave."""

    library: relook.Library
    pages: list[list[int]]
    scores: list[list[float]]

    def places(self, image_ids: Sequence[int]) -> list[int]:
        """Places in the corpus of images."""
        ids = self.library.files.row_table[:, 2].tolist()
        return [ids.index(image_id) for image_id in image_ids]


@pytest.fixture(params=[None, True, False], ids=["default", "fused", "chained"])
def fuse(request: pytest.FixtureRequest) -> bool | None:
    value: bool | None = request.param
    return value


@pytest.fixture(params=["clip", "siglip"])
def pair(request: pytest.FixtureRequest, fuse: bool | None, tmp_path: Path) -> Iterator[Pair]:
    keys = {} if fuse is None else {"FUSE_INITIAL_QUERY": fuse}
    runs = THEIRS["families"][request.param]["runs"]
    (run,) = [run for run in runs if run["fuse"] is (fuse is not False)]
    with imported(tmp_path, request.param, **keys) as library:
        yield Pair(library, run["pages"], run["scores"])


def test_the_rounds_in_python_show_their_pages(pair: Pair) -> None:
    session = pair.library.look(QUERY)
    assert pair.places([hit.image_id for hit in session.page]) == pair.pages[0]
    for number, made in enumerate(ROUNDS, start=1):
        for at, fits, box, caption in made["marks"]:
            session.judge(session.page[at], fits, box=box, caption=caption)
        page = session.again(
            relevant_words=made["relevant"], irrelevant_words=made["irrelevant"]
        )  # fmt: skip
        assert session.round.strategy == "caption-rocchio"
        assert pair.places([hit.image_id for hit in page]) == pair.pages[number]
        assert [hit.score for hit in page] == pytest.approx(pair.scores[number], abs=1e-3)


def test_the_rounds_of_the_server_show_their_pages(pair: Pair, tmp_path: Path) -> None:
    with serving(pair.library, cache=tmp_path / "cache") as running:
        begun = running.post("/sessions", {"query": QUERY}).json()
        hits = begun["page"]["hits"]
        for number, made in enumerate(ROUNDS, start=1):
            judgements = [
                {"image_id": hits[at]["image_id"], "relevant": fits, "caption": caption, "box": box}
                for at, fits, box, caption in made["marks"]
            ]  # fmt: skip
            body = {
                "judgements": judgements, "relevant_words": made["relevant"],
                "irrelevant_words": made["irrelevant"],
            }  # fmt: skip
            answer = running.post(f"/sessions/{begun['session_id']}/rounds", body).json()
            hits = answer["page"]["hits"]
            assert pair.places([hit["image_id"] for hit in hits]) == pair.pages[number]


@pytest.mark.parametrize(
    ("text", "phrases"),
    [
        ("red hat,two dogs", ["red hat", "two dogs"]),
        ("a boat , 1,000 people.", ["a boat", "1,000 people."]),
        (" , ,", []),
    ],
)
def test_commas_part_typed_words_as_their_client_does(
    tmp_path: Path, text: str, phrases: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    features: Callable[..., Floats] = Recorded.text_features
    monkeypatch.setattr(
        Recorded, "text_features",
        lambda self, texts: (read.extend(texts), features(self, texts))[1],
    )  # fmt: skip
    with imported(tmp_path) as library:
        session = library.look(QUERY)
        read.clear()
        session.again(relevant_words=text)
        assert [word for word in read if word != QUERY] == phrases


def test_the_fuse_setting_makes_a_difference(tmp_path: Path) -> None:
    fused, chained = tmp_path / "fused", tmp_path / "chained"
    pages = []
    for folder, fuse in ((fused, True), (chained, False)):
        folder.mkdir()
        with imported(folder, FUSE_INITIAL_QUERY=fuse) as library:
            session = library.look(QUERY)
            for _ in range(2):
                session.again(relevant_words="a red hat, snow", irrelevant_words="grey street")
            pages.append(session.fitted().scorer.vector)
    assert float(pages[0] @ pages[1]) < 0.999


def test_a_box_as_a_picture_has_the_weights_of_their_server_without_captions(
    tmp_path: Path,
) -> None:
    with imported(tmp_path) as library:
        session = library.look(QUERY)
        for at, fits in ((0, True), (1, True), (2, False)):
            session.judge(session.page[at], fits, box=Box(0.1, 0.1, 0.6, 0.9))
        parts = session.fitted("rocchio-visualref").scorer.parts
        lengths = [float(np.linalg.norm(part.vector)) for part in parts]
        # 0.6 of the query, 0.2 of the mean of two boxes, 0.2 of the other box.
        assert [length / lengths[0] * 0.6 for length in lengths] == pytest.approx(
            [0.6, 0.1, 0.1, 0.2], abs=1e-3
        )
        assert strategy_called("rocchio-visualref").options.rounds == "fused"


def test_undo_takes_typed_words_back(tmp_path: Path) -> None:
    with imported(tmp_path) as library:
        session = library.look(QUERY)
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
        session = library.look(QUERY)
        session.judge(session.page[0], True)
        page = session.again(strategy, relevant_words="a red hat", irrelevant_words="grey street")
        reasons = {one.name: one.amount for one in why(session, page[0], strategy)}
        assert {"words relevant: a red hat", "words irrelevant: grey street"} <= set(reasons)
        assert sum(reasons.values()) == pytest.approx(page[0].score, abs=1e-4)


def test_a_configuration_opens_from_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RELOOK_CONFIG", str(tmp_path / "user"))
    with configured("cpu-only", tmp_path / "lib") as library:
        assert library.feedback.strategy == "auto"
