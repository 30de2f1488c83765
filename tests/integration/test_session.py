"""Sessions: judged, refined, undone, branched and kept."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from session_parts import CORNER, bars, id_of, ids, library_of_bars  # noqa: F401  (two are fixtures)

import relook
import relook.captioners.base
import relook.feedback.strategies
from relook.app.models import Captions
from relook.core.errors import ImageError, InputError, NotFoundError
from relook.core.types import Box
from relook.encoders.base import encode_images
from relook.learning.attentive import Attentive, Size, write_afs
from relook.search.explain import influence
from relook.search.regions import crop_vectors
from relook.testing.fakes import ColourEncoder, patched


def test_a_relevant_mark_brings_its_like_up(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    unmarked = ids(session.again("none", limit=4))
    session.go(0)
    blue, other_blue = id_of(library, "2.png"), id_of(library, "3.png")
    assert ids(session.page) == [id_of(library, "6.png"), id_of(library, "5.png")]
    session.judge(blue, relevant=True)
    page = session.again("rocchio", limit=3)
    assert ids(page)[0] == other_blue
    assert unmarked[0] != other_blue


def test_shown_and_judged_images_stay_out_unless_kept(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    first = ids(session.page)
    session.judge(first[0], relevant=True)
    assert not set(first) & set(ids(session.again("rocchio", limit=10)))
    kept = ids(session.again("rocchio", limit=10, keep_shown=True, keep_judged=True))
    assert sorted(kept) == [1, 2, 3, 4, 5, 6]
    assert first[0] not in ids(session.again("rocchio", limit=10, keep_shown=True))


def test_undo_takes_marks_then_the_page(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    first = session.page
    session.judge(first[0], relevant=True)
    before = ids(session.again("rocchio"))
    session.judge(before[0], relevant=False)
    session.undo()
    assert len(session.judgements) == 1
    assert session.undo() == "back on page 1; page 2 is kept"
    assert session.page == first
    assert [one.image_id for one in session.judgements] == [first[0].image_id], "it waits again"
    assert ids(session.again("rocchio")) == before
    session.undo()
    assert session.undo() == f"image {first[0].image_id} is not relevant any more"
    with pytest.raises(InputError, match="first page") as caught:
        session.undo()
    assert caught.value.code == "nothing_to_undo"


def test_every_round_is_fitted_from_the_first_query(library: relook.Library) -> None:
    """Judging over two rounds gives what judging all at once gives: no drift."""
    slow, quick = library.look("red", limit=1), library.look("red", limit=1)
    slow.judge(2, relevant=True)
    slow.again("rocchio", limit=1)
    slow.judge(4, relevant=False)
    quick.judge(2, relevant=True)
    quick.judge(4, relevant=False)
    np.testing.assert_allclose(
        slow.fitted("rocchio").scorer.vector, quick.fitted("rocchio").scorer.vector, atol=1e-6
    )


def test_branches_do_not_see_each_other(library: relook.Library) -> None:
    session = library.look("red", limit=1)
    session.again("none", limit=1)
    session.judge(2, relevant=True)
    session.again("rocchio", limit=1)
    session.go(0)
    assert session.judgements == []
    session.judge(4, relevant=True)
    page = session.again("rocchio", limit=1)
    assert [(row.number, row.parent) for row in session.rounds] == [
        (0, None), (1, 0), (2, 1), (3, 0),
    ]  # fmt: skip
    assert ids(page) == [id_of(library, "5.png")]
    session.go(2)
    assert [one.image_id for one in session.judgements] == [2]


def test_a_branch_keeps_the_marks_it_grew_from(library: relook.Library) -> None:
    """Marks made later on the shared page belong to the other branch."""
    session = library.look("red", limit=1)
    session.judge(2, relevant=True)
    session.again("rocchio", limit=1)
    session.go(0)
    assert session.judgements == []
    session.judge(4, relevant=True)
    session.again("rocchio", limit=1)
    assert [one.image_id for one in session.judgements] == [4]
    session.go(1)
    assert [one.image_id for one in session.judgements] == [2]


def test_undo_never_removes_a_round(library: relook.Library) -> None:
    session = library.look("red", limit=1)
    session.judge(2, relevant=True)
    session.again("none", limit=1)
    session.again("none", limit=1)
    session.go(1)
    assert session.undo() == "back on page 1; page 2 is kept"
    assert [row.number for row in session.rounds] == [0, 1, 2]
    session.judge(2, relevant=False)  # the mark that waits again, and not the round's own
    session.go(1)
    assert [mark.relevant for mark in session.judgements] == [True]


def test_redo_makes_every_step_again_in_any_process(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    session.judge(2, relevant=True, box=CORNER, caption="blue", weight=2.0)
    session.judge(4, relevant=False)
    page = session.again("rocchio")
    session.judge(page[0], relevant=True)
    steps: list[tuple[int, list[int]]] = []

    def stands(at: object) -> tuple[int, list[tuple[int, bool, float]]]:
        there = library.session(session.session_id)
        marks = [(one.image_id, one.relevant, one.weight) for one in there.judgements]
        return there.row.current_round, marks

    for _ in range(4):  # the mark, the page, both marks of the page before
        steps.append(stands(session))  # type: ignore[arg-type]
        session.undo()
    assert stands(session) == (0, [])
    for before in reversed(steps):
        library.session(session.session_id).redo()
        assert stands(session) == before
    assert [hit.image_id for hit in session.page] == ids(page)
    box = next(mark for mark in session.judgements if mark.box)
    assert (box.box, box.caption, box.crop is not None) == (CORNER, "blue", True)
    assert len(session.all_judgements) == 3, "what waited meanwhile is not there twice"
    with pytest.raises(InputError) as caught:
        session.redo()
    assert caught.value.code == "nothing_to_redo"


def test_another_step_ends_what_could_be_made_again(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    session.judge(2, relevant=True)
    session.again("rocchio")
    session.undo()
    session.judge(4, relevant=True)
    with pytest.raises(InputError, match="others were made since") as caught:
        session.redo()
    assert caught.value.code == "nothing_to_redo"
    assert [row.number for row in session.rounds] == [0, 1]
    session.undo()
    assert session.redo() == "image 4 is relevant again"
    with pytest.raises(InputError):
        session.redo()  # the older step belonged to how the session stood before
    session.delete()
    assert library.files.catalog.ask("SELECT count(*) FROM undone_steps") == [(0,)]


def test_the_last_word_on_a_picture_counts(library: relook.Library) -> None:
    session = library.look("red", limit=3)
    first = session.judge(2, relevant=True)
    second = session.judge(2, relevant=False)
    assert second.judgement_id == first.judgement_id
    assert [one.relevant for one in session.judgements] == [False]
    session.judge(2, relevant=True, box=CORNER)
    assert len(session.judgements) == 2, "a region and the whole are two places"
    session.again("rocchio")
    session.judge(2, relevant=True)
    assert [one.relevant for one in session.judgements if one.box is None] == [True]


def test_a_box_counts_as_its_crop_and_the_rest_as_context(
    tmp_path: Path, library: relook.Library
) -> None:
    """The red corner of a blue picture is boxed: blue must not be what is looked for."""
    patched("blue", "red", CORNER, 100, 100).save(tmp_path / "corner.png")
    library.add(tmp_path / "corner.png")
    corner = id_of(library, "corner.png")
    session = library.look("red yellow blue green black", limit=1)
    session.judge(corner, relevant=True, box=Box(0.05, 0.05, 0.45, 0.45))
    evidence = session.fitted("region").evidence
    item = evidence.items[0]
    assert item.boxed
    np.testing.assert_allclose(item.tiles[0], ColourEncoder().encode_texts(["red"])[0], atol=1e-6)
    assert len(item.tiles) == 2, "the crop and the one tile inside the box"
    assert len(item.context) == 4
    by_box = session.fitted("region").scorer.vector
    session.undo()
    session.judge(corner, relevant=True)
    by_click = session.fitted("region").scorer.vector
    blue = ColourEncoder().encode_texts(["blue"])[0]
    assert by_box @ blue < by_click @ blue


def test_a_box_smaller_than_every_tile_counts_as_what_a_tile_shows(
    tmp_path: Path, library: relook.Library
) -> None:
    """Tiles are half as wide as the picture; who puts words to it sees what was drawn."""
    patched("blue", "red", Box(0.4, 0.4, 0.6, 0.6), 100, 100).save(tmp_path / "spot.png")
    library.add(tmp_path / "spot.png")
    places = [(id_of(library, "spot.png"), Box(0.4, 0.4, 0.6, 0.6))]
    seen = []
    vectors = crop_vectors(library.engine, places, lambda place, crop: seen.append(crop.size))
    tile = patched("blue", "red", Box(0.3, 0.3, 0.7, 0.7), 50, 50)
    np.testing.assert_allclose(
        vectors[places[0]], encode_images(ColourEncoder(), [tile])[0], atol=0.01
    )
    assert seen == [(22, 22)]


@pytest.mark.parametrize(
    "box", [(0.5, 0.5, 0.5, 0.8), (0.8, 0.1, 0.2, 0.9), (-0.1, 0, 1, 1), (0, 0, 1.2, 1)]
)
def test_a_bad_box_is_refused_and_changes_nothing(
    library: relook.Library, box: tuple[float, ...]
) -> None:
    session = library.look("red", limit=2)
    with pytest.raises(InputError) as caught:
        session.judge(1, relevant=True, box=box)
    assert caught.value.code == "bad_box"
    assert session.judgements == []


def test_unknown_things_are_named(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    with pytest.raises(NotFoundError) as caught:
        session.judge(99, relevant=True)
    assert caught.value.code == "no_image"
    for weight in (0.0, None, "2", float("nan")):
        with pytest.raises(InputError) as refused:
            session.judge(1, relevant=True, weight=weight)
        assert refused.value.code == "bad_weight"
    for act, code in (
        (lambda: session.go(7), "no_round"),
        (lambda: session.remove(7), "no_judgement"),
        (lambda: session.again("best"), "unknown_strategy"),
        (lambda: library.session("nope"), "no_session"),
    ):
        with pytest.raises(NotFoundError) as caught:
            act()
        assert caught.value.code == code
    assert [row.number for row in session.rounds] == [0]


def test_a_judged_image_that_left_the_library(library: relook.Library, pictures: Path) -> None:
    session = library.look("red", limit=2)
    session.judge(2, relevant=True)
    session.judge(4, relevant=False)
    (pictures / "2.png").unlink()
    library.add(pictures)
    page = session.again("rocchio", limit=3)
    assert page.notes == ("image 2 left the library; its judgement is kept, and does not count",)
    assert [one.image_id for one in session.judgements] == [2, 4]
    assert [item.sign for item in session.fitted().evidence.items] == [-1]


def test_a_box_needs_the_picture_file(library: relook.Library, pictures: Path) -> None:
    session = library.look("red", limit=2)
    (pictures / "3.png").write_bytes(b"no picture")
    with pytest.raises(ImageError) as caught:
        session.judge(id_of(library, "3.png"), relevant=True, box=CORNER)
    assert caught.value.code == "not_an_image"
    assert session.judgements == []


@pytest.mark.parametrize("strategy", relook.feedback.strategies.STRATEGIES)
def test_every_strategy_takes_any_judgements(library: relook.Library, strategy: str) -> None:
    """None at all, only irrelevant ones, contradictory captions, and a hundred of them."""
    weights = Attentive(16, Size(8, 2, 1))
    write_afs(weights, ColourEncoder().fingerprint, {}, library.folder / "afs.onnx")
    session = library.look("red", limit=2)
    assert len(session.again(strategy)) == 2
    session.go(0)
    session.judge(4, relevant=False)
    assert len(session.again(strategy)) == 2
    session.go(0)
    session.judge(2, relevant=True, box=CORNER, caption="blue")
    session.judge(2, relevant=False, box=Box(0, 0, 0.4, 0.5), caption="blue")
    for step in range(98):
        session.judge(1 + step % 6, bool(step % 2), box=Box(0, 0, 1, (step + 1) / 100), caption="")
    assert len(session.judgements) == 100
    page = session.again(strategy, keep_judged=True, keep_shown=True, limit=6)
    assert sorted(ids(page)) == [1, 2, 3, 4, 5, 6]


def test_without_judgements_auto_is_the_first_query(library: relook.Library) -> None:
    session = library.look("red", limit=2)
    np.testing.assert_allclose(session.fitted().scorer.vector, session.vector, atol=1e-7)
    session.again()
    assert session.round.record["choice"]["strategy"] == "none"


def test_captions_are_suggested_edited_and_switched_off(library: relook.Library) -> None:
    library._captions = Captions(_Says("a blue thing"))
    session = library.look("red", limit=2)
    suggested = session.judge(2, relevant=True, box=CORNER)
    assert (suggested.caption, suggested.caption_by) == ("a blue thing", "captioner")
    typed = session.judge(3, relevant=True, box=CORNER, caption="green")
    assert (typed.caption, typed.caption_by) == ("green", "person")
    assert session.judge(4, relevant=True).caption is None
    green, blue = ColourEncoder().encode_texts(["green", "blue"])
    edited = session.edit_caption(suggested.judgement_id, " blue ")
    assert (edited.caption, edited.caption_by) == ("blue", "person")
    vector = session.fitted("caption-rocchio").scorer.vector
    assert vector @ blue == pytest.approx(vector @ green, abs=1e-6)
    session.edit_caption(typed.judgement_id, "")
    assert session.fitted("caption-rocchio").scorer.vector @ green == pytest.approx(0.0, abs=1e-6)


class _Says:
    """A captioner that knows one phrase."""

    def __init__(self, text: str) -> None:
        self._text = text

    def caption(self, images: list, limit: int, about: object) -> list:
        return [[relook.captioners.base.Phrase(self._text, 1.0)] for _ in images]


def test_a_session_outlives_the_process(tmp_path: Path, library: relook.Library) -> None:
    session = library.look("red - green", limit=3, name="evening light")
    session.judge(2, relevant=True, box=CORNER, caption="blue", weight=0.5)
    page = session.again("rocchio", limit=2)
    vector = session.fitted("region").scorer.vector
    library.close()
    with relook.Library(tmp_path / "library", encoder=ColourEncoder()) as again:
        assert [(row.session_id, row.name) for row in again.sessions()] == [
            (session.session_id, "evening light")
        ]
        kept = again.session(session.session_id)
        assert kept.page == page
        assert kept.query == session.query
        np.testing.assert_array_equal(kept.fitted("region").scorer.vector, vector)
        kept.rename("dusk")
        assert again.sessions()[0].name == "dusk"
        kept.delete()
        assert again.sessions() == []
        assert again.files.catalog.ask("SELECT count(*) FROM judgements") == [(0,)]


@pytest.mark.parametrize("how", ["removed", "changed"])
def test_a_round_stands_while_a_writer_takes_images_away(
    library: relook.Library, pictures: Path, how: str
) -> None:
    """A request reads one moment of the files; the catalog may be newer by then."""
    session = library.look("red", limit=6)
    session.judge(2, relevant=True)
    with library.files.moment(), relook.Library(library.folder, encoder=ColourEncoder()) as writer:
        if how == "removed":
            writer.forget(pictures / "2.png")
        else:
            patched("green", "red", CORNER, 400, 100).save(pictures / "2.png")
            writer.add()
        page = library.engine.search(session.query, 6, fold_duplicates=False)
        found = {hit.image_id for hit in page}
        assert found == {1, 3, 4, 5, 6}
        assert "image 2 left the library" in " ".join(session.fitted("rocchio").notes)
        page = session.again("rocchio", keep_shown=True)
        assert sorted(ids(page)) == [1, 3, 4, 5, 6]
        judged = session.judgements[0].judgement_id
        moved = influence(session, judged, "rocchio")
        assert 2 not in {one.image_id for one in (*moved.raised, *moved.lowered)}
        first = {hit.image_id for hit in session.round_at(0)[1]}
        assert (2 in first) == (how == "changed"), "an old page needs no vectors"


def test_later_pages_fold_copies_and_show_none_of_what_was_shown(
    library: relook.Library, pictures: Path
) -> None:
    for name in ("5", "6", "3"):  # the two of the first page, and a later one
        with Image.open(pictures / f"{name}.png") as picture:
            picture.save(pictures / f"{name}-again.png", optimize=False, compress_level=1)
    library.add(pictures)

    def named(page: relook.Page) -> list[tuple[set[str], ...]]:
        of = {record.image_id: record.path.stem for record in library.files.catalog.each_image()}
        return [{of[hit.image_id], *(of[other] for other in hit.folded)} for hit in page]

    session = library.look("red", limit=2)
    assert named(session.page) == [{"6", "6-again"}, {"5", "5-again"}]
    later = session.again("none", limit=6)
    assert sorted(map(sorted, named(later))) == [["1"], ["2"], ["3", "3-again"], ["4"]]
    assert library.session(session.session_id).page.hits == later.hits, "kept with the session"
    session.go(0)
    session.judge(session.page[0], relevant=True)
    kept = session.again("rocchio", limit=6, keep_shown=True)
    assert {"5", "5-again"} in named(kept), "what may come again comes with its copies"
    assert not any("6-again" in names for names in named(kept))
