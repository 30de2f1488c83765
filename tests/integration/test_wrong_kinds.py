"""What is no path, no query, no mark or no name: one line says what came and what to give."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

import relook
from relook.core.types import Box
from relook.testing import ColourEncoder, solid


class Place(NamedTuple):
    """A library of two pictures and a session in it."""

    library: relook.Library
    session: Any
    folder: Path


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    folder = tmp_path_factory.mktemp("kinds")
    (folder / "pictures").mkdir()
    for colour in ("red", "blue"):
        solid(colour).save(folder / "pictures" / f"{colour}.png")
    with relook.Library(folder / "library", encoder=ColourEncoder()) as library:
        library.add(folder / "pictures")
        session = library.look("red")
        session.judge(1, relevant=True)
        yield Place(library, session, folder)


Call = Callable[[Place, Any], object]
PATHS: dict[str, Call] = {
    "Library": lambda at, value: relook.Library(value),
    "add": lambda at, value: at.library.add(value),
    "metadata": lambda at, value: at.library.add(at.folder / "pictures", metadata=(value,)),
    "forget": lambda at, value: at.library.forget(value),
    "move": lambda at, value: at.library.move(value, at.folder),
    "move to": lambda at, value: at.library.move(at.folder / "pictures", value),
    "import_session": lambda at, value: at.library.import_session(value),
    "images": lambda at, value: at.library.search("red", images=(value,)),
}
QUERIES: dict[str, Call] = {
    "search": lambda at, value: at.library.search(value),
    "look": lambda at, value: at.library.look(value),
}
OTHERS: dict[str, tuple[Call, str]] = {
    "similar": (lambda at, value: at.library.similar(value), "path"),
    "ask": (lambda at, value: at.library.ask(value), "path"),
    "image": (lambda at, value: at.library.image(value), "image id"),
    "judge": (lambda at, value: at.session.judge(value, relevant=True), "image id"),
    "judge_all": (lambda at, value: at.session.judge_all([value]), "mark"),
    "box": (lambda at, value: at.session.judge(1, relevant=True, box=[value]), "box"),
    "revised box": (lambda at, value: at.session.revise(1, box=[value]), "box"),
    "rename": (lambda at, value: at.session.rename(value), "name of a session"),
    "concept": (lambda at, value: at.library.concepts.save(at.session, value), "name of a concept"),
    "album": (lambda at, value: at.library.albums.create(value), "name of an album"),
    "path": (lambda at, value: at.library.search("red", path=value), "pattern of a path"),
    "suggest": (lambda at, value: at.library.suggest(value), "picture"),
    "encoder": (lambda at, value: relook.Library(at.folder / "other", encoder=value), "encoder"),
    "upgrade": (lambda at, value: at.library.upgrade(value), "encoder"),
    "Part": (lambda at, value: relook.Part(value), "words"),
    "Query": (lambda at, value: relook.Query((value,)), "tuple of Part"),
}


def refused(call: Call, place: Place, value: Any) -> relook.RelookError:
    with pytest.raises(relook.RelookError) as raised:
        call(place, value)
    error = raised.value
    assert "\n" not in error.message
    assert error.hint
    assert "doctor" not in error.hint, "the library is whole"
    return error


@pytest.mark.parametrize("value", [3.5, ["a.jpg", "b.jpg"], {}, b"a.jpg"])
@pytest.mark.parametrize("what", PATHS)
def test_what_is_no_path_is_said_to_be_none(place: Place, what: str, value: Any) -> None:
    error = refused(PATHS[what], place, value)
    assert error.message == f"{value!r} is no path"
    is_list = isinstance(value, list)
    assert error.hint == (
        "several are given apart: add(*paths)" if is_list else "name a file or folder"
    )


@pytest.mark.parametrize("value", [None, 3, ["red"], b"red"])
@pytest.mark.parametrize("what", QUERIES)
def test_what_is_no_query_is_said_to_be_none(place: Place, what: str, value: Any) -> None:
    assert refused(QUERIES[what], place, value).message == f"{value!r} is no query"


@pytest.mark.parametrize("value", [2.5, ["red"], {}])
@pytest.mark.parametrize("what", OTHERS)
def test_what_is_of_another_kind_is_said_to_be_none(place: Place, what: str, value: Any) -> None:
    call, kind = OTHERS[what]
    message = refused(call, place, value).message
    assert message in {f"{given!r} is no {kind}" for given in (value, [value], (value,))}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        (lambda at: at.library.session(["x"]), "bad_value"),
        (lambda at: at.session.remove(["x"]), "bad_value"),
        (lambda at: at.session.go("1"), "no_round"),
        (lambda at: at.session.round_at(None), "no_round"),
        (lambda at: at.session.again(["rocchio"]), "unknown_strategy"),
        (lambda at: at.session.estimate("5"), "bad_limit"),
        (lambda at: at.session.judge_all(5), "bad_mark"),
        (lambda at: at.library.search("red", where="city"), "bad_filter"),
        (lambda at: at.library.search("red", without=3), "bad_part"),
        (lambda at: at.library.add(at.folder / "pictures", metadata=3), "bad_path"),
        (lambda at: relook.Query(3), "bad_query"),
        (lambda at: Box.parse((0, 0, 1, 1)), "bad_box"),
    ],
)
def test_no_other_kind_is_damage_or_a_bare_type_error(
    place: Place, call: Callable[[Place], object], code: str
) -> None:
    with pytest.raises(relook.RelookError) as raised:
        call(place)
    assert raised.value.code == code
    assert raised.value.hint


def test_one_picture_and_one_word_need_no_list(place: Place) -> None:
    """A text was taken letter by letter: three letters were left out of the pictures."""
    picture = str(place.folder / "pictures" / "red.png")
    page = place.library.search("", images=picture, without="blue")
    assert page.query == place.library.search("", images=[picture], without=["blue"]).query
    assert page.query.unwanted == ("blue",)
