"""How many of a kind there are, in Python, on the command line, over HTTP and for agents."""

from collections.abc import Callable
from pathlib import Path

import pytest
from library_parts import ids, many
from mcp_parts import call, code, values
from mcp_parts import serving as mcp_serving
from server_parts import error_of, serving
from typer.testing import CliRunner

import relook
from relook.cli.main import command_line
from relook.core.errors import InputError
from relook.core.types import Box
from relook.encoders.builtin import BuiltinEncoder
from relook.search.completeness import CONTRADICTORY, NOTHING_HERE, NOTHING_RELEVANT
from relook.testing import solid
from relook.testing.fakes import patched


@pytest.fixture
def colours(library: relook.Library, tmp_path: Path) -> relook.Library:
    """Forty noisy pictures, and three that are red but for another corner each."""
    many(tmp_path / "pictures", 40)
    for at, other in enumerate(("green", "blue", "yellow")):
        picture = patched("red", other, Box(0.0, 0.0, 0.2, 0.2), 100, 100)
        picture.save(tmp_path / "pictures" / f"red{at}.png")
    library.add(tmp_path / "pictures")
    return library


def test_what_is_marked_is_found_and_the_next_is_named(colours: relook.Library) -> None:
    session = colours.look("red", limit=6)
    session.judge(session.page[0], relevant=True)
    session.judge(session.page[1], relevant=True)
    session.judge(session.page[5], relevant=False)
    made = session.estimate(limit=3)
    assert (made.n_found, made.n_seen, made.n_images) == (2, 3, 43)
    assert made.low <= 3 <= made.high <= 42
    assert made.to_judge[0].image_id == session.page[2].image_id
    assert [one.chance for one in made.to_judge] == sorted(
        (one.chance for one in made.to_judge), reverse=True
    )
    judged = {mark.image_id for mark in session.judgements}
    assert not judged & {one.image_id for one in made.to_judge}
    assert made.summary == f"2 found, likely {made.low} to {made.high} in all."
    assert not made.complete


def test_everything_looked_at_is_the_end(colours: relook.Library) -> None:
    session = colours.look("red", limit=3)
    reds = {i for name, i in ids(colours).items() if name.startswith("red")}
    for image_id in ids(colours).values():
        session.judge(image_id, relevant=image_id in reds)
    made = session.estimate()
    assert (made.n_found, made.low, made.high, made.chance) == (3, 3, 3, 1.0)
    assert made.complete
    assert made.to_judge == ()
    assert made.summary == "3 found: 43 pictures looked at, all there are."


def test_what_was_passed_over_beside_marks_counts_as_seen(colours: relook.Library) -> None:
    session = colours.look("red", limit=6)
    session.judge(session.page[0], relevant=True)
    assert session.estimate().n_seen == 1  # the page is still looked at
    session.again("none", limit=6)
    left = session.estimate()
    assert left.n_seen == 6
    assert left.notes == ("5 pictures passed over beside marked ones: counted as not of the kind.",)
    assert session.estimate(passed_over=False).n_seen == 1
    session.again("none", limit=6)  # nothing was marked on that page: nobody looked at it
    assert session.estimate().n_seen == 6
    session.go(0)
    assert session.estimate().n_seen == 0


def test_a_filter_says_what_all_is(colours: relook.Library) -> None:
    session = colours.look("red", limit=3, path="*red*")
    session.judge(session.page[0], relevant=True)
    made = session.estimate(limit=9)
    assert made.n_images == 3
    assert made.high <= 3
    assert len(made.to_judge) == 2


def test_a_box_counts_for_its_picture(colours: relook.Library) -> None:
    session = colours.look("red", limit=3)
    session.judge(session.page[0], relevant=True, box=(0.0, 0.0, 0.5, 0.5), caption="")
    session.judge(session.page[0], relevant=False, box=(0.5, 0.5, 1.0, 1.0), caption="")
    session.judge(session.page[1], relevant=False, box=(0.5, 0.5, 1.0, 1.0), caption="")
    made = session.estimate()
    assert (made.n_found, made.n_seen) == (1, 2)


def test_only_irrelevant_marks(colours: relook.Library) -> None:
    session = colours.look("red", limit=3)
    assert session.estimate().summary == NOTHING_RELEVANT
    session.judge(session.page[2], relevant=False)
    made = session.estimate()
    assert made.summary == NOTHING_RELEVANT
    assert (made.n_found, made.complete, made.chance) == (0, False, 0.0)


def test_contradictory_marks_are_told(colours: relook.Library) -> None:
    session = colours.look("red", limit=43)
    for hit in session.page[:3]:
        session.judge(hit, relevant=False)
    for hit in session.page[-3:]:
        session.judge(hit, relevant=True)
    assert CONTRADICTORY in session.estimate().notes


def test_copies_are_one_picture(
    open_library: Callable[..., relook.Library], tmp_path: Path
) -> None:
    library = open_library()
    (tmp_path / "copies").mkdir()
    for at in range(30):
        solid("red").save(tmp_path / "copies" / f"{at}.png")
    library.add(tmp_path / "copies")
    session = library.look("red", limit=5)
    session.judge(session.page[0], relevant=True)
    made = session.estimate()
    assert (made.n_found, made.n_images, made.low, made.high) == (1, 1, 1, 1)
    assert made.notes == ("29 copies counted with the picture they copy.",)
    other = next(i for i in ids(library).values() if i != session.page[0].image_id)
    session.judge(other, relevant=False)
    assert session.estimate().notes[0] == (
        "1 picture marked relevant and, as a copy, not relevant: counted as found."
    )


def test_ten_pictures(open_library: Callable[..., relook.Library], tmp_path: Path) -> None:
    library = open_library()
    many(tmp_path / "ten", 10)
    library.add(tmp_path / "ten")
    session = library.look("red", limit=10)
    session.judge(session.page[0], relevant=True)
    made = session.estimate(limit=99)
    assert 1 <= made.low <= made.high <= 10
    assert len(made.to_judge) == 9


def test_an_empty_library(colours: relook.Library, tmp_path: Path) -> None:
    session = colours.look("red", limit=3)
    session.judge(session.page[0], relevant=True)
    for file in (tmp_path / "pictures").glob("*.png"):
        colours.forget(file)
    made = session.estimate()
    assert (made.summary, made.n_images, made.complete) == (NOTHING_HERE, 0, False)


@pytest.mark.parametrize("limit", [-1, 1001])
def test_a_limit_that_cannot_be(colours: relook.Library, limit: int) -> None:
    with pytest.raises(InputError) as raised:
        colours.look("red").estimate(limit)
    assert raised.value.code == "bad_limit"


@pytest.fixture
def shipped(open_library: Callable[..., relook.Library], tmp_path: Path) -> relook.Library:
    """The built-in encoder's library of a dozen noisy pictures."""
    many(tmp_path / "pictures", 12)
    library = open_library(encoder=BuiltinEncoder())
    library.add(tmp_path / "pictures")
    return library


def test_the_command_line_marks_and_estimates(
    shipped: relook.Library, run: Callable[..., dict]
) -> None:
    session = shipped.look("red", limit=3)
    fits, does_not = (hit.image_id for hit in session.page[:2])
    where = (session.session_id, "-l", shipped.folder)
    made = run("session", "estimate", *where, "--relevant", fits, "--irrelevant", does_not)
    assert (made["n_found"], made["n_seen"], len(made["to_judge"])) == (1, 2, 5)
    shown = CliRunner().invoke(command_line(), ["session", "estimate", *map(str, where)])
    assert shown.stdout.startswith("1 found, likely ")
    assert "worth judging" in shown.stdout
    run("session", "estimate", *where, "--relevant", 999_999, code=1)


def test_the_loop_shows_what_is_worth_judging(shipped: relook.Library) -> None:
    typed = "+1 +2\nestimate\n-3\nestimate\nquit\n"
    asked = ["look", "red", "-n", "3", "--no-thumbnails", "-l", str(shipped.folder)]
    shown = CliRunner().invoke(command_line(), asked, input=typed)
    assert shown.stdout.count("2 found, likely ") == 2
    assert "mark 3: hit 3 irrelevant" in shown.stdout
    assert shipped.session(shipped.sessions()[0].session_id).estimate().n_seen == 3


def test_the_api_and_agents_say_the_same(colours: relook.Library, tmp_path: Path) -> None:
    session = colours.look("red", limit=3)
    session.judge(session.page[0], relevant=True)
    expected = session.estimate(limit=2).as_dict()
    with serving(colours, cache=tmp_path / "cache") as server:
        assert server.client.estimate("library", session.session_id, limit=2) == expected
        refused = server.get(f"/sessions/{session.session_id}/estimate?limit=-1")
        assert error_of(refused) == (422, "bad_request")
    with mcp_serving(colours.folder) as agents:
        told = call(agents, "estimate", session_id=session.session_id, limit=2)
        assert values(told) == expected
        assert told.content[0].text.startswith("1 found, likely ")
        assert code(call(agents, "estimate", session_id="nothing")) == "no_session"
