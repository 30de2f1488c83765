"""Sessions as files: exported, imported, refused when damaged."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from session_parts import CORNER, bars, id_of, library_of_bars, make_session  # noqa: F401  (two are fixtures)

import relook
import relook.captioners.base
import relook.feedback.strategies
from relook.core.errors import InputError
from relook.core.types import Part, Query
from relook.search.transfer import export_session
from relook.testing.fakes import ColourEncoder, solid


def test_export_and_import_into_another_library(
    tmp_path: Path, library: relook.Library, pictures: Path
) -> None:
    """Other ids, other paths: pictures are found by content, and the next page is the same."""
    session = make_session(library)
    file = tmp_path / "session.json"
    file.write_text(json.dumps(export_session(session)))
    moved = pictures.rename(tmp_path / "elsewhere")
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as other:
        solid("white").save(tmp_path / "0.png")
        other.add(tmp_path / "0.png")
        other.add(moved)
        other.forget(tmp_path / "0.png")
        taken, notes = other.import_session(file)
        assert notes == ()
        assert taken.row.name == "to share"
        assert [hit.path.name for hit in taken.page] == [hit.path.name for hit in session.page]
        shape = [(j.relevant, j.box, j.caption, j.weight, j.round) for j in session.judgements]
        assert [
            (j.relevant, j.box, j.caption, j.weight, j.round) for j in taken.judgements
        ] == shape
        names = [hit.path.name for hit in session.again("rocchio", limit=2)]
        assert [hit.path.name for hit in taken.again("rocchio", limit=2)] == names


def test_equal_pictures_are_told_apart_by_their_paths(
    tmp_path: Path, library: relook.Library, pictures: Path
) -> None:
    """One copy is what is looked for and the other is not: they do not become one."""
    (pictures / "sub").mkdir()
    shutil.copy(pictures / "1.png", pictures / "sub" / "copy.png")
    library.add()
    session = library.look("red", captions=False)
    session.judge(id_of(library, "1.png"), relevant=False)
    session.judge(id_of(library, "copy.png"), relevant=True)
    file = tmp_path / "session.json"
    file.write_text(json.dumps(export_session(session)))
    taken, _ = library.import_session(file)
    marks = {library.image(j.image_id).path.name: j.relevant for j in taken.judgements}
    assert marks == {"1.png": False, "copy.png": True}


def test_marks_on_deleted_pictures_are_in_the_file_and_count_when_those_are_back(
    tmp_path: Path, library: relook.Library, pictures: Path
) -> None:
    session = make_session(library)
    aside = (pictures / "2.png").rename(tmp_path / "2.png")
    library.add()
    file = tmp_path / "session.json"
    file.write_text(json.dumps(export_session(library.session(session.session_id))))
    session, notes = library.import_session(file)
    assert notes[0].startswith("1 picture of the session was deleted from this library")
    assert [(j.image_id, j.box, j.caption) for j in session.all_judgements] == [
        (2, CORNER, "blue"), (4, None, None),
    ]  # fmt: skip
    aside.rename(pictures / "back.png")
    library.add()
    assert library.image(2).path.name == "back.png"
    library.session(session.session_id).again("rocchio")


def test_import_says_what_is_missing(
    tmp_path: Path, library: relook.Library, pictures: Path
) -> None:
    session = make_session(library)
    file = tmp_path / "session.json"
    file.write_text(json.dumps(export_session(session)))
    shown = session.rounds[0].hits[0][0]
    library.forget(library.image(shown).path)
    taken, notes = library.import_session(file)
    assert notes == ("1 picture of the session is not in this library",)
    assert shown not in [image_id for row in taken.rounds for image_id, _, _ in row.hits]
    solid("white").save(tmp_path / "0.png")
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as other:
        other.add(tmp_path / "0.png")
        with pytest.raises(InputError) as caught:
            other.import_session(file)
        assert caught.value.code == "other_library"
        assert other.sessions() == []


@pytest.mark.parametrize(
    "damage",
    [
        lambda v: "not json",
        lambda v: "[]",
        lambda v: json.dumps({**v, "format": "relook-session-9"}),
        lambda v: json.dumps({k: w for k, w in v.items() if k != "rounds"}),
        lambda v: json.dumps({**v, "current_round": 9}),
        lambda v: json.dumps({**v, "rounds": v["rounds"][1:]}),
        lambda v: json.dumps({**v, "rounds": [v["rounds"][0], v["rounds"][0]]}),
        lambda v: json.dumps({**v, "query": {"parts": []}}),
        lambda v: json.dumps({**v, "judgements": [{**v["judgements"][0], "box": [1, 1, 0, 0]}]}),
        lambda v: json.dumps({**v, "judgements": [{**v["judgements"][0], "weight": -1}]}),
        lambda v: json.dumps({**v, "images": {"x": {}}}),
    ],
)
def test_a_corrupt_session_file_is_refused_whole(
    tmp_path: Path, library: relook.Library, damage: object
) -> None:
    file = tmp_path / "session.json"
    file.write_text(damage(export_session(make_session(library))))
    with pytest.raises(InputError) as caught:
        library.import_session(file)
    assert caught.value.code == "bad_session_file"
    assert len(library.sessions()) == 1


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_session_file_that_an_editor_kept_in_another_unicode(
    tmp_path: Path, library: relook.Library, encoding: str
) -> None:
    file = tmp_path / "session.json"
    file.write_text(json.dumps(export_session(make_session(library))), encoding)
    assert library.import_session(file)[1] == ()


def test_a_session_file_that_cannot_be_had(tmp_path: Path, library: relook.Library) -> None:
    for file, message in (
        (tmp_path / "none.json", f"there is no {tmp_path}/none.json"),
        (tmp_path, f"cannot read {tmp_path}: {os.strerror(errno.EISDIR)}"),
    ):
        with pytest.raises(InputError) as caught:
            library.import_session(file)
        assert (caught.value.code, caught.value.message) == ("bad_session_file", message)


def test_a_session_that_looks_for_a_picture_of_the_library_looks_for_the_same_one_elsewhere(
    tmp_path: Path, library: relook.Library, pictures: Path
) -> None:
    """Image ids are of one library: the query is found by content, as hits and marks are."""
    wanted = library.image(3).path
    query = Query((Part(image_id=3),))
    file = tmp_path / "session.json"
    file.write_text(json.dumps(export_session(library.look(query, limit=1, captions=False))))
    with relook.Library(tmp_path / "other", encoder=ColourEncoder()) as other:
        for picture in sorted(pictures.glob("*.png"), reverse=True):
            other.add(picture)
        taken, notes = other.import_session(file)
        assert notes == ()
        [part] = taken.query.parts
        assert other.image(part.image_id).path == wanted
        other.forget(wanted)
        with pytest.raises(InputError) as caught:
            other.import_session(file)
        assert caught.value.code == "other_library"
        assert len(other.sessions()) == 1
