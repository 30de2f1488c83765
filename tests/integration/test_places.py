"""Words at places: what is shown there comes first, several hold together, errors are clear."""

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import relook
from relook.cli.main import main
from relook.core.errors import InputError, QueryError
from relook.core.types import Box, Part, Query
from relook.search.explain import why
from relook.search.grammar import line_of, parse_query
from relook.search.places import inside, standard
from relook.testing.fakes import ColourEncoder, patched, solid

LEFT, RIGHT = Box(0, 0, 0.5, 1), Box(0.5, 0, 1, 1)


@pytest.fixture(name="library")
def of_halves(tmp_path: Path) -> Iterator[relook.Library]:
    """Pictures of two halves, by name: the left colour, then the right one."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    colours = ("red", "blue", "green")
    for left in colours:
        for right in colours:
            patched(left, right, RIGHT, 100, 100).save(folder / f"{left}-{right}.png")
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as made:
        made.add(folder)
        yield made


def names(page: relook.Page) -> list[str]:
    return [hit.path.stem for hit in page]


@pytest.mark.parametrize(
    ("line", "first"),
    [
        ("red@0,0,0.5,1 + blue@0.5,0,1,1", "red-blue"),
        ("red@0.5,0,1,1 + blue@0,0,0.5,1", "blue-red"),
        ("green @0.5,0,1,1 + red@0,0,0.5,1", "red-green"),
    ],
)
def test_words_hold_together_at_their_places(
    library: relook.Library, line: str, first: str
) -> None:
    page = library.search(line, limit=9, fold=False)
    assert names(page)[0] == first
    assert len(page) == 9
    assert [hit.score for hit in page] == sorted((hit.score for hit in page), reverse=True)


def test_a_place_counts_for_the_first_page_and_for_later_ones(library: relook.Library) -> None:
    """What is red on the left stays before what is red on the right."""
    session = library.look("red@0,0,0.5,1", limit=9)
    order = names(session.page)
    assert order.index("red-blue") < order.index("blue-red")
    session.judge(session.page[-1], relevant=False)
    later = names(session.again("rocchio", limit=8, keep_shown=True))
    assert later.index("red-blue") < later.index("blue-red")
    assert session.replay().same
    with pytest.raises(InputError, match="not a sum"):
        why(session, session.page[0])
    session.judge(session.page[0], relevant=True)
    with pytest.raises(InputError, match="no places"):
        library.concepts.save(session, "red left")


def test_places_and_words_without_one_and_words_left_out_go_together(
    library: relook.Library,
) -> None:
    page = library.search("red@0,0,0.5,1 + green - blue", limit=3, fold=False)
    assert names(page)[0] == "red-green"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("dog@-0.1,0,0.5,1", "bad_box"),
        ("dog@0,0,1.5,1", "bad_box"),
        ("dog@0.5,0,0.5,1", "bad_box"),
        ("dog@0.9,0,0.1,1", "bad_box"),
        ("dog@0,0,1..2,1", "bad_box"),
        ("dog - cat@0,0,0.5,1", "bad_part"),
    ],
)
def test_a_place_outside_the_canvas_is_a_clear_error(line: str, code: str) -> None:
    with pytest.raises((InputError, QueryError)) as caught:
        parse_query(line)
    assert caught.value.code == code
    assert caught.value.hint


def test_a_picture_has_no_place_and_a_place_needs_words() -> None:
    with pytest.raises(QueryError, match="a place is for words"):
        Part(image_id=3, place=LEFT)
    with pytest.raises(QueryError):
        parse_query("@0,0,0.5,1")


def test_a_query_with_places_is_one_line_and_one_json_object() -> None:
    query = parse_query("dog@0,0,0.5,1 + @van@0.5,0,1,1 + snow - cat")
    assert parse_query(line_of(query)) == query
    assert Query.from_dict(query.as_dict()) == query
    assert query.has_places
    assert not parse_query("me@home").has_places


def test_tiles_at_a_place() -> None:
    tiling = [Box(0, 0, 1, 1), Box(0, 0, 0.57, 0.57), Box(0.43, 0, 1, 0.57), Box(0, 0.43, 0.57, 1)]
    assert inside(tiling, Box(0, 0, 0.5, 1)).tolist() == [True, True, False, True]
    assert inside(tiling, Box(0, 0, 0.1, 0.1)).tolist() == [False, True, False, False]
    assert inside(tiling, Box(0, 0, 1, 1)).all()


def test_scores_that_are_all_one_say_nothing() -> None:
    assert standard(np.ones((2, 3), np.float32)).tolist() == [[0, 0, 0], [0, 0, 0]]
    assert standard(np.zeros((2, 0), np.float32)).shape == (2, 0)


def test_small_and_empty_libraries_answer(tmp_path: Path) -> None:
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as one:
        one.open_or_create()
        assert len(one.search("red@0,0,0.5,1")) == 0
        solid("red").save(tmp_path / "red.png")
        one.add(tmp_path / "red.png")
        assert names(one.search("red@0,0,0.5,1 + blue@0.5,0,1,1")) == ["red"]


def test_the_command_takes_parts_and_refuses_places_outside(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with relook.Library(tmp_path / "own") as own:
        patched("red", "blue", RIGHT, 100, 100).save(tmp_path / "red-blue.png")
        patched("blue", "red", RIGHT, 100, 100).save(tmp_path / "blue-red.png")
        own.add(tmp_path / "red-blue.png", tmp_path / "blue-red.png")
        page = own.search("a red picture@0,0,0.5,1 + a blue picture@0.5,0,1,1", fold=False)
        scores = [hit.score for hit in page]
    where = ["--library", str(tmp_path / "own"), "--no-fold"]
    parts = ["--part", "a red picture@0,0,0.5,1", "--part", "a blue picture@0.5,0,1,1"]
    assert main(["search", *parts, *where, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert [hit["score"] for hit in told["hits"]] == pytest.approx(scores, abs=1e-4)
    assert [part["place"] for part in told["query"]["parts"]] == [LEFT.as_list(), RIGHT.as_list()]
    assert main(["search", "--part", "a dog@0,0,2,1", *where]) == 1
    refused = capsys.readouterr().err
    assert "bad_box" in refused
    assert "between 0 and 1" in refused
