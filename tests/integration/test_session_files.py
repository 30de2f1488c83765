"""Session files that nobody should believe: refused whole, with the place that is wrong."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from session_parts import CORNER, bars, library_of_bars, make_session  # noqa: F401 -- fixtures

import relook
from relook.core.errors import RelookError
from relook.core.settings import SessionLimits
from relook.core.types import Box
from relook.search.transfer import export_session
from relook.testing.fakes import ColourEncoder

Values = dict[str, Any]


def put(*path: str | int, value: object) -> Callable[[Values], None]:
    """Puts a value at a place of the file."""

    def change(values: Values) -> None:
        place: Any = values
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value

    return change


def record(key: str, value: object) -> Callable[[Values], None]:
    return put("rounds", 1, "record", key, value=value)


def judgement(key: str, value: object) -> Callable[[Values], None]:
    return put("judgements", 0, key, value=value)


FORGED = [
    (record("notes", True), "rounds[1].record.notes: True is no list"),
    (record("notes", 1.5), "rounds[1].record.notes: 1.5 is no list"),
    (record("notes", ["a", 3]), "rounds[1].record.notes[1]: 3 is no text"),
    (record("choice", "x"), "rounds[1].record.choice: 'x' is no object"),
    (record("choice", [1]), "rounds[1].record.choice: [1] is no object"),
    (
        record("choice", {"trials": [{"gain": "much"}]}),
        "rounds[1].record.choice.trials[0].gain: 'much' is no finite number",
    ),
    (record("instruction", ["a"]), "rounds[1].record.instruction: ['a'] is no text"),
    (record("only", {"path": "*" * 7}), "rounds[1].record.only.path: '*******' has more than 6"),
    (put("rounds", 1, "record", value=None), "rounds[1].record: None is no object"),
    (put("rounds", 1, "strategy", value="best"), "rounds[1].strategy: 'best' is none of: none, "),
    (put("rounds", 1, "strategy", value=1), "rounds[1].strategy: 1 is no text"),
    (put("rounds", 1, "number", value=0), "rounds[1].number: round 0 is there already"),
    (put("rounds", 1, "number", value="1"), "rounds[1].number: '1' is no whole number"),
    (put("rounds", 1, "number", value=True), "rounds[1].number: True is no whole number"),
    (put("rounds", 1, "number", value=-1), "rounds[1].number: -1 is not 0 or more"),
    (put("rounds", 1, "number", value=1.0), "rounds[1].number: 1.0 is no whole number"),
    (put("rounds", 1, "parent", value=9), "rounds[1].parent: there is no round 9 before it"),
    (put("rounds", 1, "parent", value=None), "rounds[1].parent: only round 0"),
    (put("rounds", 0, "hits", 0, value=[1, 0.5]), "rounds[0].hits[0]: [1, 0.5] has 2 values"),
    (put("rounds", 0, "hits", 0, 2, value=2**70), "rounds[0].hits[0][2]: "),
    (put("rounds", 0, "hits", 0, 1, value=float("nan")), "NaN is no number that JSON has"),
    (put("rounds", 0, "hits", 0, 1, value=1e400), "Infinity is no number that JSON has"),
    (put("rounds", 0, "hits", value={}), "rounds[0].hits: {} is no list"),
    (put("rounds", value="x"), "rounds: 'x' is no list"),
    (put("current_round", value=7), "current_round: there is no round 7"),
    (put("current_round", value=True), "current_round: True is no whole number"),
    (judgement("box", [0.8, 0, 0.3, 1]), "judgements[0].box: x0 0.8 is not below x1 0.3"),
    (judgement("box", [0, 0.5, 1, 0.5]), "judgements[0].box: y0 0.5 is not below y1 0.5"),
    (judgement("box", [0, 0, 1]), "judgements[0].box: [0, 0, 1] has 3 values, not 4"),
    (judgement("box", [0, 0, 1, "1"]), "judgements[0].box[y1]: '1' is no finite number"),
    (judgement("box", [0, 0, 1, 1.5]), "judgements[0].box: box (0, 0, 1, 1.5) is not inside"),
    (judgement("weight", 0), "judgements[0].weight: 0.0 is not above 0 and at most 1000"),
    (judgement("weight", 1e300), "judgements[0].weight: 1e+300 is not above 0"),
    (judgement("weight", True), "judgements[0].weight: True is no finite number"),
    (judgement("weight", 10**400), "is not an exported session"),
    (judgement("relevant", 1), "judgements[0].relevant: 1 is neither true nor false"),
    (judgement("image_id", True), "judgements[0].image_id: True is no whole number"),
    (judgement("caption", "x" * 10_001), "judgements[0].caption: 10,001 characters are more than"),
    (judgement("caption", "\ud800"), "judgements[0].caption: "),
    (judgement("caption_by", "somebody"), "judgements[0].caption_by: 'somebody' is none of"),
    (judgement("led_to", 9), "judgements[0].led_to: there is no round 9"),
    (judgement("round", 9), "judgements[0].round: there is no round 9"),
    (put("judgements", 1, "judgement_id", value=1), "judgements[1].judgement_id: judgement 1 is"),
    (lambda values: values["judgements"][0].pop("weight"), "judgements[0].weight: it is missing"),
    (put("images", "2", "content", value="xyz"), "images[2].content: 'xyz' is no row of hexa"),
    (put("images", "2", value=None), "images[2]: None is no object"),
    (put("images", "02", value={"content": "00"}), "images[02]: '02' is no image id"),
    (put("name", value=None), "name: None is no text"),
    (put("query", value={"parts": []}), "query: the query is empty"),
    (put("query", value={"parts": [{"text": "a", "weight": 1e9}]}), "query.parts[0].weight: 1e+09"),
    (put("query", value={"parts": [{"image_id": 2.5}]}), "query.parts[0].image_id: 2.5 is no"),
    (put("format", value="relook-session-9"), "format: 'relook-session-9' is none of: relook-se"),
]


def file_of(values: Values, folder: Path) -> Path:
    file = folder / "session.json"
    file.write_text(json.dumps(values))
    return file


def counts(library: relook.Library) -> list[tuple[object, ...]]:
    return [
        library.files.catalog.ask(f"SELECT count(*) FROM {one}")[0]
        for one in ("sessions", "rounds", "judgements")
    ]


@pytest.mark.parametrize(("forge", "message"), FORGED)
def test_a_forged_file_is_refused_with_its_place(
    tmp_path: Path, library: relook.Library, forge: Callable[[Values], None], message: str
) -> None:
    values = export_session(make_session(library))
    forge(values)
    before = counts(library)
    with pytest.raises(RelookError) as caught:
        library.import_session(file_of(values, tmp_path))
    assert caught.value.code == "bad_session_file"
    assert message in caught.value.message
    assert len(caught.value.message) < 600
    assert counts(library) == before


@pytest.mark.parametrize(
    "text",
    ["[" * 100_000, '{"a":' * 100_000, '{"format": 1, "format": 1}', "\ufeff{}", "", "nul"],
)
def test_what_is_no_json_is_refused(tmp_path: Path, library: relook.Library, text: str) -> None:
    (tmp_path / "session.json").write_text(text)
    with pytest.raises(RelookError) as caught:
        library.import_session(tmp_path / "session.json")
    assert caught.value.code == "bad_session_file"


def test_every_wrong_place_is_counted(tmp_path: Path, library: relook.Library) -> None:
    values = export_session(make_session(library))
    values["judgements"][0]["weight"] = values["judgements"][1]["weight"] = "x"
    with pytest.raises(RelookError, match=r"judgements\[0\].weight: .* \(and 1 more\)"):
        library.import_session(file_of(values, tmp_path))


@pytest.mark.parametrize(
    ("limits", "held"),
    [
        (SessionLimits(max_judgements=1), "2 judgements; at most 1"),
        (SessionLimits(max_rounds=2), "3 rounds; at most 2"),
        (SessionLimits(max_file_bytes=100), "101 bytes; at most 100"),
    ],
)
def test_bounds_are_told_with_their_setting(
    tmp_path: Path, library: relook.Library, limits: SessionLimits, held: str
) -> None:
    file = file_of(export_session(make_session(library)), tmp_path)
    library.session_limits = limits
    with pytest.raises(RelookError) as caught:
        library.import_session(file)
    assert caught.value.code == "session_too_large"
    assert held in caught.value.message
    assert "sessions.max_" in caught.value.hint
    assert len(library.sessions()) == 1


class Counting(ColourEncoder):
    """Counts the pictures that it prepares."""

    n_prepared = 0

    def prepare(self, image: Any) -> Any:
        self.n_prepared += 1
        return super().prepare(image)


def test_equal_crops_are_encoded_once(tmp_path: Path, library: relook.Library) -> None:
    values = export_session(make_session(library))
    one = values["judgements"][0]
    other = {**one, "box": [0, 0, 1, 1]}
    values["judgements"] = [{**row, "judgement_id": n} for n, row in enumerate([one, other] * 20)]
    with relook.Library(library.folder, encoder=Counting()) as counting:
        session, _ = counting.import_session(file_of(values, tmp_path))
        assert counting.encoder.n_prepared == 2
        kept = session.all_judgements
    assert len(kept) == 40
    assert {one.box for one in kept} == {CORNER, Box(0, 0, 1, 1)}
    assert all((one.crop == kept[n % 2].crop).all() for n, one in enumerate(kept))


def test_a_box_whose_picture_cannot_be_read_waits_for_its_vector(
    tmp_path: Path, library: relook.Library, pictures: Path
) -> None:
    """Everything else of the session comes in, and looking again sees the box when it can."""
    made = make_session(library)
    file, whole = file_of(export_session(made), tmp_path), (pictures / "2.png").read_bytes()
    [expected] = [one for one in made.all_judgements if one.box is not None]
    (pictures / "2.png").write_bytes(b"no picture")
    session, notes = library.import_session(file)
    assert len(notes) == 1
    assert notes[0].startswith("1 box is kept without vectors, on pictures that cannot be read now")
    assert len(session.all_judgements) == len(made.all_judgements)
    [box] = [one for one in session.all_judgements if one.box is not None]
    assert (box.crop, box.box, box.caption) == (None, expected.box, expected.caption)
    session.again("rocchio", limit=2)
    assert [one.crop for one in session.all_judgements if one.box is not None] == [None]
    (pictures / "2.png").write_bytes(whole)
    session.go(0)
    session.again("rocchio", limit=2)
    [box] = [one for one in session.all_judgements if one.box is not None]
    assert box.crop is not None
    assert (box.crop == expected.crop).all()


def test_a_box_without_a_vector_stands_for_its_tiles_or_does_not_count(
    tmp_path: Path, library: relook.Library, pictures: Path
) -> None:
    """It never stands for the whole picture."""
    values = export_session(make_session(library))
    row = next(one for one in values["judgements"] if one["box"])
    values["judgements"] = [row]
    for box, n_tiles in ((row["box"], 1), ([0.4, 0.4, 0.45, 0.45], None)):
        row["box"] = box
        file = file_of(values, tmp_path)
        whole = (pictures / "2.png").read_bytes()
        (pictures / "2.png").write_bytes(b"no picture")
        session, _ = library.import_session(file)
        session.go(1)
        fitted = session.fitted("rocchio")
        told = [note for note in fitted.notes if "has no vector" in note]
        assert [len(item.tiles) for item in fitted.evidence.items] == ([n_tiles] if n_tiles else [])
        assert len(told) == (n_tiles is None)
        assert all(item.boxed for item in fitted.evidence.items)
        (pictures / "2.png").write_bytes(whole)


def test_keys_of_newer_files_are_left_alone(tmp_path: Path, library: relook.Library) -> None:
    values = export_session(make_session(library))
    values["rounds"][0]["record"]["later"] = values["later"] = {"a": [1]}
    session, notes = library.import_session(file_of(values, tmp_path))
    assert notes == ()
    assert "later" not in session.rounds[0].record
    assert session.problems == ()


def test_marks_on_pictures_that_are_not_here_are_counted(
    tmp_path: Path, library: relook.Library
) -> None:
    values = export_session(make_session(library))
    del values["images"]["4"]
    session, notes = library.import_session(file_of(values, tmp_path))
    assert notes == ("1 judgement is left out, on pictures that are not here",)
    assert [one.image_id for one in session.all_judgements] == [2]


def test_two_pictures_that_are_one_here_are_one_hit(
    tmp_path: Path, library: relook.Library
) -> None:
    values = export_session(make_session(library))
    first, second = (hit[0] for hit in values["rounds"][0]["hits"][:2])
    values["images"][str(second)] = values["images"][str(first)]
    session, _ = library.import_session(file_of(values, tmp_path))
    shown = [image_id for image_id, _, _ in session.rounds[0].hits]
    assert len(shown) == len(set(shown)) == 2


def test_copies_of_a_page_come_along(
    library: relook.Library, pictures: Path, tmp_path: Path
) -> None:
    with Image.open(pictures / "6.png") as picture:
        picture.save(pictures / "6-again.png", optimize=False, compress_level=1)
    library.add(pictures)
    file = file_of(export_session(library.look("red")), tmp_path)
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as other:
        for name in sorted(pictures.glob("*.png"), reverse=True):  # their ids are others here
            other.add(name)
        best, *more = other.import_session(file)[0].page
        of = {record.image_id: record.path.stem for record in other.files.catalog.each_image()}
        assert {of[best.image_id], *(of[copy] for copy in best.folded)} == {"6", "6-again"}
        assert not any(hit.folded for hit in more)
