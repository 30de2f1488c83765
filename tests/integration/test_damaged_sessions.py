"""Sessions that an older or forged import, or a disk, left in bad shape are shown all the same."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mcp_parts
import pytest
import server_parts

import relook
from relook.cli.main import main
from relook.core.errors import RelookError
from relook.core.registry import Adapter
from relook.encoders import ENCODERS
from relook.search.transfer import export_session
from relook.testing import ColourEncoder, noise

DAMAGE = {
    "notes true": ("UPDATE rounds SET record = ?", '{"notes": true, "choice": {}}'),
    "notes 1.5": ("UPDATE rounds SET record = ?", '{"notes": 1.5}'),
    "notes of numbers": ("UPDATE rounds SET record = ?", '{"notes": [1, null]}'),
    "choice x": ("UPDATE rounds SET record = ?", '{"choice": "x"}'),
    "choice list": ("UPDATE rounds SET record = ?", '{"choice": [1]}'),
    "deep choice": ("UPDATE rounds SET record = ?",
                    '{"choice": {"reason": ' + "[" * 900 + "]" * 900 + "}}"),
    "NaN in a record": ("UPDATE rounds SET record = ?", '{"choice": {"step": NaN}}'),
    "record list": ("UPDATE rounds SET record = ?", "[]"),
    "record no JSON": ("UPDATE rounds SET record = ?", "{"),
    "record no text": ("UPDATE rounds SET record = CAST(? AS TEXT)", b"\xff\xfe{"),
    "record deep": ("UPDATE rounds SET record = ?", "[" * 50_000),
    "only 7": ("UPDATE rounds SET record = ?", '{"only": {"where": 7}}'),
    "only stars": ("UPDATE rounds SET record = ?", '{"only": {"path": "*******"}}'),
    "instruction": ("UPDATE rounds SET record = ?", '{"instruction": {"a": 1}}'),
    "hits number": ("UPDATE rounds SET hits = ?", "7"),
    "hits pairs": ("UPDATE rounds SET hits = ?", '[[1, 2], 5, [1, "a", 0], [true, 1, 0]]'),
    "hits infinite": ("UPDATE rounds SET hits = ?", "[[1, Infinity, 0], [2, NaN, 10000]]"),
    "parent text": ("UPDATE rounds SET parent = ? WHERE number = 1", "x"),
    "parent gone": ("UPDATE rounds SET parent = ? WHERE number = 1", 77),
    "parents in a circle": ("UPDATE rounds SET parent = ?", 1),
    "number text": ("UPDATE rounds SET number = ? WHERE number = 1", "x"),
    "strategy": ("UPDATE rounds SET strategy = ?", "[1]"),
    "rounds gone": ("DELETE FROM rounds WHERE ? = 1", 1),
    "first round gone": ("DELETE FROM rounds WHERE number = ?", 0),
    "query number": ("UPDATE sessions SET query = ?", "7"),
    "query empty": ("UPDATE sessions SET query = ?", '{"parts": []}'),
    "query no JSON": ("UPDATE sessions SET query = ?", "{"),
    "name no text": ("UPDATE sessions SET name = CAST(? AS TEXT)", b"\xff\xfe"),
    "current round gone": ("UPDATE sessions SET current_round = ?", 99),
    "current round text": ("UPDATE sessions SET current_round = ?", "x"),
    "created text": ("UPDATE sessions SET created_s = ?", "x"),
    "box text": ("UPDATE judgements SET box = ?", "x"),
    "box swapped": ("UPDATE judgements SET box = ?", "[0.8, 0, 0.3, 1]"),
    "box of bools": ("UPDATE judgements SET box = ?", "[false, false, true, true]"),
    "weight": ("UPDATE judgements SET weight = ?", 1e300),
    "weight text": ("UPDATE judgements SET weight = ?", "x"),
    "crop torn": ("UPDATE judgements SET crop = ?", b"abc"),
    "crop of another size": ("UPDATE judgements SET crop = ?", b"\0\0\x80?" * 3),
    "crop not finite": ("UPDATE judgements SET crop = ?", b"\xff\xff\xff\xff" * 16),
    "caption no text": ("UPDATE judgements SET caption = CAST(? AS TEXT)", b"\xff"),
    "author": ("UPDATE judgements SET caption_by = ?", "x"),
    "image text": ("UPDATE judgements SET image_id = ?", "x"),
    "led to text": ("UPDATE judgements SET led_to = ?", "x"),
}  # fmt: skip
QUIET = {
    "strategy", "author", "created text", "led to text", "name no text", "caption no text",
    "crop of another size", "hits infinite", "parent gone", "parents in a circle",
}  # fmt: skip
"""Damage that nobody can tell from what was meant, or that takes nothing from what is shown."""


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, str]]:
    """A library with a session for each damage: its folder, and damage -> session id."""
    place = tmp_path_factory.mktemp("broken")
    (place / "pictures").mkdir()
    for number in range(1, 6):
        noise(number, 60, 60).save(place / "pictures" / f"{number}.png")
    with relook.Library(place / "library", encoder=ColourEncoder()) as made:
        made.add(place / "pictures")
        return place / "library", {damage: damaged_session(made, damage) for damage in DAMAGE}


def damaged_session(library: relook.Library, damage: str) -> str:
    session = library.look("red", limit=3, captions=False)
    session.judge(session.page[0], True, box=(0, 0, 0.5, 0.5), caption="a")
    session.again("rocchio", limit=2)
    sql, value = DAMAGE[damage]
    joint = "AND" if "WHERE" in sql else "WHERE"
    # A foreign key names the session only, so that every other column may hold anything.
    with library.files.catalog.transaction() as db:
        db.execute(f"{sql} {joint} session_id = ?", (value, session.session_id))
    return session.session_id


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_shown_in_python_and_notebooks(
    broken: tuple[Path, dict[str, str]], damage: str
) -> None:
    with relook.Library(broken[0], encoder=ColourEncoder()) as library:
        session = library.session(broken[1][damage], captions=False)
        told = " ".join(session.page.notes)
        assert all(problem in told for problem in session.row.problems)
        assert bool(session.problems) == (damage not in QUIET), session.problems
        exported = export_session(session)
        json.dumps(exported, allow_nan=False)
        assert exported.get("problems", []) == list(session.problems)
        session.widget("rocchio").close()


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_shown_by_commands(
    broken: tuple[Path, dict[str, str]], damage: str, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(
        "relook.cli.session_commands.open_library",
        lambda *_: relook.Library(broken[0], encoder=ColourEncoder()),
    )
    lists = (("list",), ("list", "--json")) if damage == next(iter(DAMAGE)) else ()
    for words in (*lists, ("show", broken[1][damage]), ("export", broken[1][damage])):
        assert main(["session", *words]) == 0, words
    capsys.readouterr()


@pytest.fixture(scope="module")
def server(broken: tuple[Path, dict[str, str]]) -> Iterator[server_parts.Running]:
    with (
        relook.Library(broken[0], encoder=ColourEncoder()) as library,
        server_parts.serving(library, cache=broken[0] / "cache", caption=None) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def agents(broken: tuple[Path, dict[str, str]]) -> Iterator[Any]:
    with mcp_parts.serving(broken[0]) as made:
        yield made


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_shown_to_agents(
    agents: Any, broken: tuple[Path, dict[str, str]], damage: str
) -> None:
    shown, listed = mcp_parts.calls(
        agents, ("show_session", {"session_id": broken[1][damage]}), ("list_sessions", {})
    )
    assert not shown.is_error, shown.content
    assert not listed.is_error, listed.content


@pytest.mark.parametrize("damage", DAMAGE)
def test_it_is_shown_by_the_api_and_can_be_worked_on_or_not(
    server: server_parts.Running, broken: tuple[Path, dict[str, str]], damage: str
) -> None:
    session_id = copied(broken, damage)
    results = f"/{session_id}/export?format=csv&what=results"
    for path in ("", f"/{session_id}", f"/{session_id}/export", results):
        answer = server.get(f"/sessions{path}")
        assert answer.status_code == 200, (path, answer.text)
    for number in (0, 1):
        assert server.get(f"/sessions/{session_id}/rounds/{number}").status_code in (200, 404)
    requests: list[tuple[str, Any]] = [
        ("/judgements", {"image_id": 2, "relevant": True}), ("/rounds", {}), ("/undo", None),
    ]  # fmt: skip
    for path, body in requests:
        answer = server.post(f"/sessions/{session_id}{path}", body)
        assert answer.status_code < 500, (path, answer.text)
    assert server.http.delete(f"{server.base}/sessions/{session_id}").status_code == 204


def copied(broken: tuple[Path, dict[str, str]], damage: str) -> str:
    """Another session with the same damage, to be worked on."""
    with relook.Library(broken[0], encoder=ColourEncoder()) as library:
        return damaged_session(library, damage)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    colour = Adapter("relook.testing.fakes:ColourEncoder", "for tests")
    monkeypatch.setitem(ENCODERS.builtin, "colour", colour)
    (tmp_path / "pictures").mkdir()
    for number in range(1, 6):
        noise(number, 60, 60).save(tmp_path / "pictures" / f"{number}.png")
    with relook.Library(tmp_path / "library", encoder="colour") as made:
        made.add(tmp_path / "pictures")
    return tmp_path / "library"


def damaged(folder: Path, damage: str) -> str:
    with relook.Library(folder, encoder="colour") as library:
        return damaged_session(library, damage)


def test_one_bad_session_does_not_hide_or_keep_the_others(folder: Path) -> None:
    session_id = damaged(folder, "query no JSON")
    with relook.Library(folder, encoder="colour") as library:
        other = library.look("blue", limit=2)
        assert {row.session_id for row in library.sessions()} == {session_id, other.session_id}
        session = library.session(session_id, captions=False)
        assert "its name stands here instead" in " ".join(session.page.notes)
        for act in (lambda: session.again("rocchio"), lambda: session.judge(1, True)):
            with pytest.raises(RelookError) as caught:
                act()
            assert caught.value.code == "bad_session"
        session.rename("kept")
        assert library.session(session_id).row.name == "kept"


def test_a_judgement_that_cannot_be_read_is_told_kept_and_can_be_taken_back(folder: Path) -> None:
    session_id = damaged(folder, "weight")
    with relook.Library(folder, encoder="colour") as library:
        session = library.session(session_id, captions=False)
        assert session.all_judgements == []
        assert (
            "judgement 1 cannot be read, and does not count: 1e+300 is not" in session.problems[0]
        )
        session.again("rocchio", keep_shown=True)
        assert library.files.catalog.ask("SELECT count(*) FROM judgements") == [(1,)]
        session.remove(1)
        assert session.problems == ()


def test_a_filter_that_no_session_can_keep_is_refused_at_its_beginning(folder: Path) -> None:
    with relook.Library(folder, encoder="colour") as library:
        before = len(library.sessions())
        with pytest.raises(RelookError) as caught:
            library.look("red", path="*a*b*c*d*e*f*g")
        assert caught.value.code == "bad_filter"
        assert len(library.sessions()) == before
