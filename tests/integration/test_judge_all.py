"""Several marks in one step: all of them are made, or everything stays as it was.

Each surface (Python, command line, prompt, MCP, API, notebook) is given lists of good marks
with one bad one somewhere among them.
"""

import io
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import mcp_parts
import pytest
import server_parts
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import relook
from relook.cli.main import main
from relook.core.errors import RelookError
from relook.core.registry import Adapter
from relook.core.types import Box
from relook.encoders import ENCODERS
from relook.search.judging import JudgementRequest
from relook.testing import ColourEncoder, noise

BROKEN = 6
"""The image whose file is no picture any more."""
SOME = settings(
    max_examples=25, deadline=None, database=None, derandomize=True,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
BOXES = st.sampled_from([None, (0.0, 0.0, 0.5, 0.5), (0.25, 0.5, 1.0, 1.0)])


@st.composite
def requests(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Good marks on images 1 to 5, each place once."""
    places = draw(st.lists(st.tuples(st.integers(1, 5), BOXES), max_size=6, unique=True))
    return [
        {"image_id": image_id, "relevant": draw(st.booleans()), "box": box}
        for image_id, box in places
    ]


BAD = {
    "no_image": {"image_id": 99, "relevant": True, "box": None},
    "not_an_image": {"image_id": BROKEN, "relevant": True, "box": (0.0, 0.0, 0.5, 0.5)},
    "bad_mark": None,  # the opposite of another one, see `spoiled`
}


def spoiled(marks: list[dict[str, Any]], code: str, at: int) -> list[dict[str, Any]]:
    """The marks with one more that cannot be, at some place."""
    bad, at = BAD[code], at % (len(marks) + 1)
    if bad is None:
        marks = marks or [{"image_id": 2, "relevant": True, "box": None}]
        twin = marks[at % len(marks)]
        bad = {**twin, "relevant": not twin["relevant"]}
    return [*marks[:at], bad, *marks[at:]]


def state_of(library: relook.Library) -> list[list[tuple[object, ...]]]:
    """Every row of every session, to the byte."""
    tables = ("sessions", "rounds", "judgements")
    return [library.files.catalog.ask(f"SELECT * FROM {one} ORDER BY 1, 2") for one in tables]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library of six pictures with marks of its own; the file of image 6 is broken."""
    colour = Adapter("relook.testing.fakes:ColourEncoder", "for tests")
    monkeypatch.setitem(ENCODERS.builtin, "colour", colour)
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(1, 7):
        noise(number, 100, 100).save(pictures / f"{number}.png")
    with relook.Library(tmp_path / "library", encoder="colour") as made:
        made.add(pictures)
        session = made.look("red", limit=6, captions=False)
        session.judge(1, relevant=True, weight=3.0)
        session.judge(2, relevant=False, box=(0.0, 0.0, 0.5, 0.5), caption="a person's words")
        session.judge(BROKEN, relevant=False, weight=0.5)
    (pictures / f"{BROKEN}.png").write_bytes(b"no picture")
    return tmp_path / "library"


Judge = Callable[[list[dict[str, Any]]], str | None]
"""Marks a session by some way; the code of the error, or None."""


def as_requests(marks: list[dict[str, Any]]) -> list[JudgementRequest]:
    return [
        JudgementRequest(one["image_id"], one["relevant"], one["box"] and Box(*one["box"]))
        for one in marks
    ]


def attempt(act: Callable[[], object]) -> str | None:
    try:
        act()
    except RelookError as error:
        return error.code
    return None


@contextmanager
def python(folder: Path, *, looking: bool = False) -> Iterator[tuple[Judge, relook.Library]]:
    with relook.Library(folder, encoder=ColourEncoder()) as library:
        session = library.session(library.sessions()[0].session_id, captions=False)

        def judge(marks: list[dict[str, Any]]) -> str | None:
            wanted = as_requests(marks)
            if looking:
                return attempt(lambda: session.again("rocchio", judging=session.prepare(wanted)))
            return attempt(lambda: session.judge_all(wanted))

        yield judge, library


@contextmanager
def looking(folder: Path) -> Iterator[tuple[Judge, relook.Library]]:
    with python(folder, looking=True) as made:
        yield made


@contextmanager
def several(folder: Path) -> Iterator[tuple[Judge, relook.Library]]:
    with api(folder, "/judgements/several") as made:
        yield made


@contextmanager
def rounds(folder: Path) -> Iterator[tuple[Judge, relook.Library]]:
    with api(folder, "/rounds") as made:
        yield made


@contextmanager
def api(folder: Path, route: str) -> Iterator[tuple[Judge, relook.Library]]:
    with (
        relook.Library(folder, encoder=ColourEncoder()) as library,
        server_parts.serving(library, cache=folder / "cache", caption=None) as server,
    ):
        session_id = library.sessions()[0].session_id

        def judge(marks: list[dict[str, Any]]) -> str | None:
            if not marks:
                return None
            told = server.post(f"/sessions/{session_id}{route}", {"judgements": marks}).json()
            return told["error"]["code"] if "error" in told else None

        yield judge, library


@contextmanager
def agent(folder: Path) -> Iterator[tuple[Judge, relook.Library]]:
    with mcp_parts.serving(folder) as server:
        library = relook.Library(folder, encoder=ColourEncoder())
        session_id = library.sessions()[0].session_id

        def judge(marks: list[dict[str, Any]]) -> str | None:
            whole = [one for one in marks if one["box"] is None]
            boxed = [one for one in marks if one["box"] is not None]
            told = mcp_parts.call(
                server, "look_again", session_id=session_id, keep_shown=True, boxes=boxed,
                relevant=[one["image_id"] for one in whole if one["relevant"]],
                irrelevant=[one["image_id"] for one in whole if not one["relevant"]],
            )  # fmt: skip
            return mcp_parts.code(told) if told.is_error else None

        yield judge, library
        library.close()


SURFACES = {
    "python": python, "looking": looking, "several": several, "rounds": rounds, "agent": agent,
}  # fmt: skip


@pytest.mark.parametrize("surface", SURFACES)
def test_one_bad_mark_anywhere_leaves_everything_as_it_was(folder: Path, surface: str) -> None:
    with SURFACES[surface](folder) as (judge, library):
        before = state_of(library)

        @SOME
        @given(requests(), st.sampled_from(sorted(BAD)), st.integers(0, 9))
        def check(marks: list[dict[str, Any]], code: str, at: int) -> None:
            assert judge(spoiled(marks, code, at)) == code
            assert state_of(library) == before

        check()
        good = [{"image_id": 1, "relevant": False, "box": None},
                {"image_id": 3, "relevant": True, "box": (0.0, 0.0, 0.5, 0.5)}]  # fmt: skip
        assert judge(good) is None
        judged = state_of(library)[2]
        assert len(judged) == len(before[2]) + 1, "one of them takes the place of an older one"
        assert {row[0] for row in before[2]} < {row[0] for row in judged}


def hits_of(library: relook.Library) -> dict[int, int]:
    """Image id -> number on the page."""
    page = library.session(library.sessions()[0].session_id).page
    return {hit.image_id: number for number, hit in enumerate(page, start=1)}


def typed(box: tuple[float, ...]) -> str:
    return ",".join(f"{edge:g}" for edge in box)


@settings(SOME, max_examples=8)
@given(marks=requests(), code=st.sampled_from(sorted(BAD)), at=st.integers(0, 9))
@pytest.mark.parametrize("way", ["refine", "prompt"])
def test_the_same_by_command_line(
    folder: Path, way: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    marks: list[dict[str, Any]], code: str, at: int,
) -> None:  # fmt: skip
    with relook.Library(folder, encoder="colour") as library:
        session_id, numbers = library.sessions()[0].session_id, hits_of(library)
        before = state_of(library)
    sign = {True: "relevant", False: "irrelevant"}
    words: list[str] = []
    for one in spoiled(marks, code, at):
        number = numbers.get(one["image_id"], 99)
        if way == "refine" and one["box"] is None:
            words += [f"--{sign[one['relevant']]}", str(number)]
        elif way == "refine":
            words += ["--box", f"{number}:{typed(one['box'])}:{sign[one['relevant']]}"]
        elif one["box"] is None:
            words.append(f"{'+' if one['relevant'] else '-'}{number}")
        else:
            words += ["box" if one["relevant"] else "-box", str(number)]
            words += typed(one["box"]).split(",")
    capsys.readouterr()
    expected = "no_hit" if code == "no_image" else code
    if way == "refine":
        assert main(["refine", session_id, "--library", str(folder), "--json", *words]) == 1
        assert json.loads(capsys.readouterr().out)["error"]["code"] == expected
    else:
        monkeypatch.setattr("sys.stdin", io.StringIO(" ".join(words) + "\n"))
        resume = ["look", "--resume", session_id, "-l", str(folder), "--no-thumbnails"]
        assert main(resume) == 0
        assert f"error[{expected}]" in capsys.readouterr().err
    with relook.Library(folder, encoder="colour") as library:
        assert state_of(library) == before


@pytest.mark.parametrize("bad", [BAD["no_image"], BAD["not_an_image"]])
def test_the_same_by_a_single_mark(folder: Path, bad: dict[str, Any]) -> None:
    """On the page and in a notebook marks come one by one, over older ones."""
    with (
        relook.Library(folder, encoder=ColourEncoder()) as library,
        server_parts.serving(library, cache=folder / "cache", caption=None) as server,
    ):
        session_id, before = library.sessions()[0].session_id, state_of(library)
        assert "error" in server.post(f"/sessions/{session_id}/judgements", bad).json()
        widget = library.session(session_id, captions=False).widget("rocchio")
        widget._heard(
            None, {"kind": "mark", "n": 1, **bad, "box": bad["box"] and [*bad["box"]]}, []
        )
        assert widget.trouble["code"] in BAD
        widget.close()
        assert state_of(library) == before


def test_a_contradiction_names_the_image(folder: Path) -> None:
    box = Box(0, 0, 0.5, 0.5)
    with relook.Library(folder, encoder=ColourEncoder()) as library:
        session = library.session(library.sessions()[0].session_id, captions=False)
        for twins, message in (
            ([JudgementRequest(4, True), JudgementRequest(4, False)],
             "image 4 ({}) is marked relevant and irrelevant"),
            ([JudgementRequest(4, True, weight=2), JudgementRequest(4, True)],
             "image 4 ({}) is marked twice, with different words or weights"),
            ([JudgementRequest(4, True, box), JudgementRequest(4, False, box)],
             "the box [0, 0, 0.5, 0.5] of image 4 ({}) is marked relevant and irrelevant"),
        ):  # fmt: skip
            with pytest.raises(RelookError) as caught:
                session.judge_all(twins)
            assert caught.value.code == "bad_mark"
            assert caught.value.message == message.format(library.image(4).path)
        made = session.judge_all([JudgementRequest(4, True), JudgementRequest(4, False, box),
                                  JudgementRequest(4, True)])  # fmt: skip
        assert [one.relevant for one in made] == [True, False], "said twice is said once"


def test_marks_go_when_the_page_cannot_be_made(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the command line and by an agent, a mark and the page it asks for are one step."""
    with python(folder) as (_, library):
        before = state_of(library)
        session = library.session(library.sessions()[0].session_id, captions=False)
        monkeypatch.setattr(
            library.engine.__class__, "rank", lambda *_: (_ for _ in ()).throw(OSError("no disk"))
        )
        with pytest.raises(OSError, match="no disk"):
            session.again("rocchio", judging=session.prepare([JudgementRequest(1, False)]))
        assert state_of(library) == before


def test_a_page_with_its_marks_is_that_of_marks_made_before(folder: Path) -> None:
    wanted = [JudgementRequest(1, False), JudgementRequest(3, True, Box(0, 0, 0.5, 0.5))]
    with python(folder) as (_, library):
        one = library.session(library.sessions()[0].session_id, captions=False)
        page = one.again("rocchio", judging=one.prepare(wanted), keep_shown=True)
        by_one_step = [(j.image_id, j.relevant, j.box, j.led_to == 1) for j in one.judgements]
        one.undo()
        one.judge_all(wanted)
        assert [hit.image_id for hit in one.again("rocchio", keep_shown=True)] == [
            hit.image_id for hit in page
        ]
        marks = [(j.image_id, j.relevant, j.box, j.led_to == 2) for j in one.judgements]
        assert marks == by_one_step


def test_marks_prepared_for_a_page_that_was_left_are_refused(folder: Path) -> None:
    with python(folder) as (_, library):
        session_id = library.sessions()[0].session_id
        session = library.session(session_id, captions=False)
        prepared = session.prepare([JudgementRequest(4, True)])
        library.session(session_id).again("none", keep_shown=True)
        before = state_of(library)
        with pytest.raises(RelookError) as caught:
            session.judge_all(prepared)
        assert caught.value.code == "session_busy"
        assert state_of(library) == before


def test_a_mark_on_a_picture_that_left_meanwhile_is_refused(folder: Path) -> None:
    """A captioner takes its time; nothing would bring a mark back that was written too late."""
    with python(folder) as (_, library):
        session = library.session(library.sessions()[0].session_id, captions=False)
        prepared = session.prepare([JudgementRequest(1, True), JudgementRequest(4, True)])
        library.forget(library.image(4).path)
        before = state_of(library)
        with pytest.raises(RelookError) as caught:
            session.judge_all(prepared)
        assert caught.value.code == "no_image"
        assert state_of(library) == before


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/judgements/{j}", {"caption": "new", "relevant": False, "box": [0, 0, 0.4, 0.4]},
         "not_an_image"),
        ("/judgements/{j}", {"relevant": True, "weight": 5.0, "box": [0.5, 0.5, 0.4, 0.4]},
         "bad_box"),
        ("", {"name": "new", "current_round": 7}, "no_round"),
    ],
)  # fmt: skip
def test_a_change_of_several_values_is_one(
    folder: Path, path: str, body: dict[str, Any], code: str
) -> None:
    with (
        relook.Library(folder, encoder=ColourEncoder()) as library,
        server_parts.serving(library, cache=folder / "cache", caption=None) as server,
    ):
        session_id, before = library.sessions()[0].session_id, state_of(library)
        judged = next(row[0] for row in before[2] if row[3] == BROKEN)
        place = f"{server.base}/sessions/{session_id}{path.format(j=judged)}"
        answer = server.http.patch(place, json=body)
        assert answer.json()["error"]["code"] == code
        assert state_of(library) == before


def test_several_marks_over_the_client_and_bounds_of_values(folder: Path) -> None:
    with (
        relook.Library(folder, encoder=ColourEncoder()) as library,
        server_parts.serving(library, cache=folder / "cache", caption=None) as server,
    ):
        session_id = library.sessions()[0].session_id
        made = server.client.judge_all(
            "library", session_id,
            [{"image_id": 4, "relevant": True, "weight": 2.0},
             {"image_id": 5, "relevant": False, "box": [0, 0, 1, 1], "caption": "green"}],
        )  # fmt: skip
        assert [(one["image_id"], one["weight"], one["caption"]) for one in made] == [
            (4, 2.0, None), (5, 1.0, "green"),
        ]  # fmt: skip
        before, session = state_of(library), library.session(session_id)
        for request, code in (
            (JudgementRequest(1, True, weight=1001.0), "bad_weight"),
            (JudgementRequest(1, True, weight=float("nan")), "bad_weight"),
            (JudgementRequest(1, True, caption="x" * 10_001), "bad_caption"),
            (JudgementRequest("1", True), "bad_mark"),  # type: ignore[arg-type]
        ):
            assert attempt(lambda one=request: session.judge_all([one])) == code  # type: ignore[misc]
        assert state_of(library) == before
