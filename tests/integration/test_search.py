"""Searching through `relook.Library`: hits, scores and tiles that were worked out by hand."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from library_parts import CORNER, ids, many, names

import relook
from relook.core.errors import InputError, QueryError, RelookError
from relook.core.settings import SearchSettings
from relook.core.types import WHOLE, Box, Part, Query
from relook.encoders.builtin import BuiltinEncoder
from relook.search.filtering import Filter
from relook.testing import ColourEncoder, noise, patched, solid

NO_FOLD = SearchSettings(fold=False)
QUARTERS = {
    "left upper": Box(0, 0, 0.5, 0.5), "right upper": Box(0.5, 0, 1, 0.5),
    "left lower": Box(0, 0.5, 0.5, 1), "right lower": CORNER,
}  # fmt: skip


@pytest.mark.parametrize("name", QUARTERS)
def test_a_patch_in_a_corner_is_found_by_that_corners_tile(
    library: relook.Library, pictures: Path, name: str
) -> None:
    patched("white", "red", QUARTERS[name]).save(pictures / "patch.png")
    library.add(pictures)
    first, second = library.search("red", limit=2)
    assert (first.path.name, first.tile, first.score) == ("red.png", WHOLE, 1.0)
    assert (second.path.name, second.tile) == ("patch.png", QUARTERS[name])
    assert second.score == pytest.approx(0.9, abs=1e-6)  # the weight of a tile
    assert (second.width_px, second.height_px) == (64, 64)


def test_what_is_no_query_and_no_number_is_refused_in_words(
    library: relook.Library, pictures: Path
) -> None:
    library.add(pictures)
    session = library.look("red")
    for call in (library.search, library.look):
        for query in (None, 5, ["red"]):
            with pytest.raises(QueryError, match="is no query"):
                call(query)  # type: ignore[arg-type]
    for limited in (
        partial(library.search, "red"), partial(library.similar, 1), partial(library.look, "red"),
        session.again,
    ):  # fmt: skip
        for limit in ("5", 2.5, -1):
            with pytest.raises(InputError, match="limit is") as refused:
                limited(limit=limit)  # type: ignore[arg-type]
            assert refused.value.code == "bad_limit"
    with pytest.raises(InputError, match="None is no path"):
        library.similar(None)  # type: ignore[arg-type]


def test_the_weight_of_tiles_decides_between_whole_and_tile(
    open_library: Callable[..., relook.Library], pictures: Path
) -> None:
    """Three quarters red scores 3/sqrt(10) as a whole, .9487, and 1 x weight as a tile."""
    image = patched("red", "white", CORNER)
    image.save(pictures / "most.png")
    library = open_library(encoder=ColourEncoder(tile_weight=0.9), search=NO_FOLD)
    library.add(pictures)
    hit = library.search("red", limit=2)[1]
    assert (hit.path.name, hit.tile) == ("most.png", WHOLE)
    assert hit.score == pytest.approx(3 / 10**0.5, abs=1e-3)
    library.encoder.tile_weight = 0.97  # type: ignore[union-attr]
    hit = library.search("red", limit=2)[1]
    assert (hit.tile, hit.score) == (QUARTERS["left upper"], pytest.approx(0.97, abs=1e-6))


def test_negative_parts_push_away(library: relook.Library, pictures: Path) -> None:
    patched("red", "blue", Box(0, 0, 1, 0.5)).save(pictures / "both.png")
    library.add(pictures)
    assert set(names(library.search("red + blue", limit=3))[:1]) == {"both.png"}
    page = library.search("red - blue", limit=9)
    assert names(page)[0] == "red.png"
    assert names(page)[-1] == "blue.png"
    assert page[-1].score == pytest.approx(-(0.5**0.5) * 0.9, abs=1e-3)  # its tiles count less
    assert names(library.search("red", without=["blue"], limit=9)) == names(page)


def test_weights_count(library: relook.Library, pictures: Path) -> None:
    library.add(pictures)
    assert names(library.search("red + 0.5:blue", limit=2)) == ["red.png", "blue.png"]
    assert names(library.search("0.5:red + blue", limit=2)) == ["blue.png", "red.png"]
    top = library.search("2:red + blue", limit=1)[0]
    assert top.score == pytest.approx(2 / 5**0.5, abs=1e-3)


def test_a_picture_from_outside_is_a_query(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    library.add(pictures)
    solid("green").save(tmp_path / "outside.jpg")
    assert names(library.similar(tmp_path / "outside.jpg", limit=1)) == ["green.png"]
    page = library.search("", images=[tmp_path / "outside.jpg"], limit=1)
    assert (page[0].tile, page[0].score) == (CORNER, pytest.approx(0.9, abs=1e-6))
    assert names(library.search(f"image:{tmp_path}/outside.jpg + 3:blue", limit=1)) == ["blue.png"]
    assert len(library) == 3


def test_a_region_of_a_picture_is_a_query(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    library.add(pictures)
    patched("white", "blue", CORNER).save(tmp_path / "outside.png")
    line = f"image:{tmp_path}/outside.png@0.5,0.5,1,1"
    assert names(library.search(line, limit=1)) == ["blue.png"]
    green = ids(library)["green.png"]
    assert names(library.search(f"id:{green}@0.6,0.6,1,1", limit=1)) == ["green.png"]
    assert library.search(f"id:{green}@0.6,0.6,1,1", limit=1)[0].tile == CORNER


def test_similar_to_an_image_leaves_it_out(library: relook.Library, pictures: Path) -> None:
    solid("red", 10, 10).save(pictures / "red2.png")
    library.add(pictures)
    page = library.similar(ids(library)["red.png"], limit=9)
    assert names(page)[0] == "red2.png"
    assert "red.png" not in names(page)
    assert len(page) == 3


def test_scores_of_all_images_are_those_of_the_ranking(
    library: relook.Library, pictures: Path
) -> None:
    many(pictures / "many", 30)
    library.add(pictures)
    library.forget(pictures / "many" / "0007.png")
    texts = ["red", "blue green", "white black yellow"]
    vectors = library.encoder.encode_texts(texts) - np.float32(0.3)  # [3, d], some scores below 0
    engine = library.engine
    engine.files.refresh()
    table = engine.score_all(vectors)  # [3, n]
    assert table.shape == (3, 32)
    for vector, scores in zip(vectors, table, strict=True):
        ranking = engine.rank(vector, 99)
        assert len(ranking) == 32
        by_id = dict(zip(engine.files.row_table[:, 2].tolist(), scores, strict=True))
        expected = [by_id[image_id] for image_id in ranking.image_ids.tolist()]
        assert ranking.scores == pytest.approx(expected, abs=1e-6)
        assert ranking.tiles.any()


def test_a_limit_beyond_the_library_gives_all(library: relook.Library, pictures: Path) -> None:
    library.add(pictures)
    page = library.search("red", limit=1000)
    assert sorted(names(page)) == ["blue.png", "green.png", "red.png"]
    assert [hit.score for hit in page] == sorted((hit.score for hit in page), reverse=True)


def test_an_empty_library_has_no_hits(library: relook.Library, tmp_path: Path) -> None:
    (tmp_path / "none").mkdir()
    library.add(tmp_path / "none")
    assert list(library.search("red")) == []
    assert library.info()["n_images"] == 0


def test_filters_never_return_too_few(library: relook.Library, tmp_path: Path) -> None:
    for seed in range(60):
        folder = tmp_path / "pictures" / ("rare" if seed % 12 == 0 else "common")
        folder.mkdir(parents=True, exist_ok=True)
        image = noise(seed) if seed % 12 == 0 else patched("red", "blue", Box(0, 0, seed / 99, 1))
        image.save(folder / f"{seed}.png")
    library.add(tmp_path / "pictures")
    page = library.search("red", limit=5, path="/rare/")
    assert sorted(names(page)) == sorted(f"{seed}.png" for seed in range(0, 60, 12))
    assert len(library.search("red", limit=3, path="/rare/")) == 3
    assert len(library.search("red", limit=30, path="/common/")) == 30
    chosen = Filter(without=frozenset(ids(library).values()) - {7, 9})
    page = library.engine.search(Query((Part("red"),)), 5, chosen)
    assert sorted(hit.image_id for hit in page) == [7, 9]


def test_copies_fold_into_one_hit(
    open_library: Callable[..., relook.Library], pictures: Path
) -> None:
    library = open_library()
    image = noise(3, 256, 256)
    image.save(pictures / "first.png")
    image.resize((128, 128)).save(pictures / "small.jpg", quality=90)
    noise(4, 256, 256).save(pictures / "other.png")
    library.add(pictures)
    page = library.search(f"image:{pictures}/first.png", limit=9)
    both = {ids(library)["first.png"], ids(library)["small.jpg"]}
    assert {page[0].image_id, *page[0].folded} == both
    assert not both & {hit.image_id for hit in page[1:]}
    apart = library.search(f"image:{pictures}/first.png", limit=9, fold=False)
    assert len(apart) == len(page) + 1


def test_folding_many_copies_still_fills_the_page(
    open_library: Callable[..., relook.Library], pictures: Path
) -> None:
    library = open_library()
    red = (pictures / "red.png").read_bytes()
    for number in range(40):
        (pictures / f"copy{number}.png").write_bytes(red)
    library.add(pictures)
    page = library.search("red", limit=3)
    assert len(page[0].folded) == 40
    assert sorted(names(page)[1:]) == ["blue.png", "green.png"]


def test_a_long_query_says_what_was_not_read(library: relook.Library, pictures: Path) -> None:
    library.add(pictures)
    page = library.search(" ".join(["red"] * 16 + ["blue"] * 5), limit=1)
    assert page.notes == ("the query is long: its last 5 tokens were not read",)
    assert (page[0].path.name, page[0].score) == ("red.png", 1.0)
    assert library.search("red").notes == ()


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("", "empty_query"), (" \t\n", "empty_query"), ("- red", "only_negative"),
        ("red - red", "cancelled_query"), ("image:/no/such/file.jpg", "vanished"),
        ("id:77", "no_image"), ("0:red", "bad_weight"), ("id:1@1,1,0,0", "bad_box"),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_answered_says_why(
    library: relook.Library, pictures: Path, query: str, code: str
) -> None:
    library.add(pictures)
    with pytest.raises(RelookError) as raised:
        library.search(query)
    assert raised.value.code == code


@pytest.mark.parametrize("limit", [0, -3])
def test_a_limit_below_one_is_refused(library: relook.Library, pictures: Path, limit: int) -> None:
    library.add(pictures)
    with pytest.raises(InputError) as raised:
        library.search("red", limit=limit)
    assert raised.value.code == "bad_limit"


def test_a_query_picture_that_is_none_is_told(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    library.add(pictures)
    (tmp_path / "text.jpg").write_text("hello")
    with pytest.raises(relook.RelookError, match=r"the query's picture: .*text\.jpg") as raised:
        library.similar(tmp_path / "text.jpg")
    assert raised.value.code == "not_an_image"


def test_only_words_of_not_is_no_query(library: relook.Library, pictures: Path) -> None:
    library.add(pictures)
    with pytest.raises(QueryError):
        library.search("", without=["red"])


@pytest.mark.parametrize(
    "words",
    ["photos without red", "everything but red", "show me pictures with no red", "photos - red"],
)
def test_pictures_at_large_without_a_thing_are_all_others(
    library: relook.Library, tmp_path: Path, words: str
) -> None:
    """The word "photos" alone was searched for, and red pictures were found."""
    many(tmp_path / "many", 40)
    solid("red").save(tmp_path / "many" / "red.png")
    library.add(tmp_path / "many")
    page = library.search(words, limit=100)
    others = {f"{number:04}.png" for number in range(40)}
    assert {hit.path.name for hit in page} == others
    assert page.query.unwanted == ("red",)
    assert (page.n_fitting, {hit.fit for hit in page}) == (None, {None})
    assert [note for note in page.notes if "names nothing to look for" in note] == list(page.notes)
    session = library.look(words, limit=5)
    assert session.first_page == session.page
    assert session.page.n_fitting is None
    shown = {hit.path.name for hit in session.again("none", limit=100)} | {*names(session.page)}
    assert "red.png" not in shown


def test_words_never_load_the_image_tower(
    open_library: Callable[..., relook.Library], tmp_path: Path
) -> None:
    many(tmp_path / "pictures", 2)
    with open_library(encoder=None) as library:
        library.add(tmp_path / "pictures")
    encoder = BuiltinEncoder()
    with open_library(encoder=encoder) as library:
        assert len(library.search("a dog", limit=2)) == 2
    assert "_plain_text_tower" in vars(encoder)
    assert "_image_tower" not in vars(encoder)


def test_an_image_that_another_process_removed_is_left_out(
    library: relook.Library,
    open_library: Callable[..., relook.Library],
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library.add(pictures)
    library.search("red")
    other = open_library()
    monkeypatch.setattr(type(library.files), "refresh", lambda _: False)
    other.forget(pictures / "red.png")
    assert sorted(names(library.search("red", limit=9))) == ["blue.png", "green.png"]


def test_images_that_another_process_added_do_not_disturb_a_search(
    library: relook.Library,
    open_library: Callable[..., relook.Library],
    pictures: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    library.add(pictures)
    reader = open_library(search=NO_FOLD)
    many(pictures / "more", 5)
    library.add(pictures)
    monkeypatch.setattr(type(reader.files), "refresh", lambda _: False)
    assert sorted(names(reader.search("red", limit=99))) == ["blue.png", "green.png", "red.png"]
    monkeypatch.undo()
    assert len(reader.search("red", limit=99)) == 8
